//! Finds the longest packet that gets to an address and back: echo requests of the interface's full size
//! first, then of sizes in between. What is too long for a link on the way is lost without a word where
//! nobody says so, and connections hang as soon as they carry more than a little.

use std::net::IpAddr;
use std::time::Duration;

use surge_ping::{Client, Config, ICMP, PingIdentifier, PingSequence};

use super::super::report::{Interface, PathMtu, Route};

/// Of our echo requests: another than that of pings, which may be under way to the same address.
const IDENTIFIER: u16 = 0xca5f;
/// The client reads no longer datagram, so no longer packet is tried.
const LONGEST: u32 = 2_000;
/// Every IPv4 host takes packets of this size (RFC 791 §3.1).
const SHORTEST: u32 = 576;
/// A lost packet is no short path: the full size is tried so often.
const PATIENCE: u16 = 3;
/// Sizes are told to so many bytes.
const STEP: u32 = 4;

pub(super) async fn longest(
    address: IpAddr,
    interfaces: &[Interface],
    routes: &[Route],
    timeout: Duration,
) -> PathMtu {
    let interface = towards(address, interfaces, routes);
    let mut path = PathMtu {
        address,
        interface,
        answered: None,
    };
    let kind = match address {
        IpAddr::V4(_) => ICMP::V4,
        IpAddr::V6(_) => ICMP::V6,
    };
    let Ok(client) = Client::new(&Config::builder().kind(kind).build()) else {
        return path;
    };
    let full = interface.unwrap_or(SHORTEST).min(LONGEST);
    let mut sequence = 0;
    let mut passes = async |size: u32| {
        sequence += 1;
        echo(&client, address, size, sequence, timeout).await
    };
    for _ in 0..PATIENCE {
        if passes(full).await {
            path.answered = Some(full);
            return path;
        }
    }
    if full <= SHORTEST || !passes(SHORTEST).await {
        return path;
    }
    let (mut good, mut bad) = (SHORTEST, full);
    while bad - good > STEP {
        let between = good + (bad - good) / 2;
        if passes(between).await {
            good = between;
        } else {
            bad = between;
        }
    }
    path.answered = Some(good);
    path
}

/// Whether a packet of this size, its headers included, is answered.
async fn echo(
    client: &Client,
    address: IpAddr,
    size: u32,
    sequence: u16,
    timeout: Duration,
) -> bool {
    // IP without options, and ICMP.
    let headers = if address.is_ipv4() { 20 + 8 } else { 40 + 8 };
    let data = vec![0; usize::try_from(size).unwrap_or(0).saturating_sub(headers)];
    let mut pinger = client.pinger(address, PingIdentifier(IDENTIFIER)).await;
    pinger.timeout(timeout);
    pinger.ping(PingSequence(sequence), &data).await.is_ok()
}

/// The longest packet of the interface by which the most specific route leads there.
fn towards(address: IpAddr, interfaces: &[Interface], routes: &[Route]) -> Option<u32> {
    let fitting = routes.iter().filter(|it| it.destination.contains(&address));
    let route = fitting.max_by_key(|it| it.destination.prefix_len())?;
    let name = route.interface.as_ref()?;
    let interface = interfaces.iter().find(|it| it.name == *name)?;
    Some(interface.mtu)
}
