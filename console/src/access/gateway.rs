//! Nobody but this machine and its gateways can connect: what comes from elsewhere is dropped by the
//! kernel as if nothing listened, by a filter (classic BPF) on the listening socket.
//!
//! What comes in at a port that is published on the host's loopback comes from the gateway of the
//! container's network, by the engine's forwarder as well as by its NAT. Other containers come from
//! addresses of their own, which they can't change without a capability.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};

use socket2::{SockFilter, SockRef};

/// In every network namespace.
const LOOPBACK_INTERFACE: u32 = 1;
const ETHERTYPE_IPV6: u32 = 0x86dd;
/// Of the source's address in the packet's IP header.
const SOURCE: u32 = 12;
const SOURCE6: u32 = 8;

// <linux/filter.h>
const LOAD_WORD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
/// Offsets from the IP header, and of what the kernel knows about the packet.
const NETWORK: u32 = (-0x10_0000_i32).cast_unsigned();
const PROTOCOL: u32 = (-0x1000_i32).cast_unsigned();
const INTERFACE: u32 = PROTOCOL + 8;
/// So many bytes of the packet pass.
const ALL: u32 = u32::MAX;

/// Who is answered.
#[derive(Debug)]
pub enum Clients {
    /// Whoever can connect.
    All,
    /// This machine and these gateways, where the kernel lets others connect.
    Only(BTreeSet<IpAddr>),
}

impl Clients {
    /// Whether who is at this address is answered.
    pub(crate) fn include(&self, address: IpAddr) -> bool {
        match self {
            Self::All => true,
            Self::Only(gateways) => {
                let address = address.to_canonical();
                address.is_loopback() || gateways.contains(&address)
            }
        }
    }
}

/// Lets nobody connect but this machine and the gateways of its default routes, as they are now. There
/// are kernels on which that takes a capability; there, others can connect and aren't answered.
pub(crate) fn shut_out_others(listener: &TcpListener) -> io::Result<Clients> {
    let gateways = gateways()?;
    if gateways.is_empty() {
        tracing::warn!("there is no default gateway: for this machine alone");
    } else {
        tracing::info!(?gateways, "for this machine and its gateways");
    }
    match SockRef::from(listener).attach_filter(&program(&gateways)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            tracing::warn!(
                "this kernel lets no filter be attached: others can connect, and are refused"
            );
            return Ok(Clients::Only(gateways));
        }
        attached => attached?,
    }
    // Who was there before the filter.
    while listener.accept().is_ok() {}
    Ok(Clients::All)
}

fn program(gateways: &BTreeSet<IpAddr>) -> Vec<SockFilter> {
    let mut of_ipv4 = Vec::new();
    let mut of_ipv6 = Vec::new();
    for gateway in gateways {
        match gateway {
            IpAddr::V4(address) => pass_if(&mut of_ipv4, SOURCE, &address.octets()),
            IpAddr::V6(address) => pass_if(&mut of_ipv6, SOURCE6, &address.octets()),
        }
    }
    for block in [&mut of_ipv4, &mut of_ipv6] {
        block.push(SockFilter::new(RETURN, 0, 0, 0));
    }
    let mut program = vec![
        SockFilter::new(LOAD_WORD, 0, 0, INTERFACE),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, LOOPBACK_INTERFACE),
        SockFilter::new(RETURN, 0, 0, ALL),
        SockFilter::new(LOAD_WORD, 0, 0, PROTOCOL),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, ETHERTYPE_IPV6),
        SockFilter::new(JUMP, 0, 0, u32::try_from(of_ipv4.len()).unwrap_or(u32::MAX)),
    ];
    program.append(&mut of_ipv4);
    program.append(&mut of_ipv6);
    program
}

/// Goes on behind it where the address at `offset` in the IP header is another one.
fn pass_if(program: &mut Vec<SockFilter>, offset: u32, address: &[u8]) {
    let (words, _) = address.as_chunks::<4>();
    for (index, word) in words.iter().enumerate() {
        let index = u8::try_from(index).unwrap_or(u8::MAX);
        let rest = u8::try_from(words.len()).unwrap_or(u8::MAX) - index - 1;
        program.push(SockFilter::new(
            LOAD_WORD,
            0,
            0,
            NETWORK + offset + 4 * u32::from(index),
        ));
        program.push(SockFilter::new(
            JUMP_IF_EQUAL,
            0,
            2 * rest + 1,
            u32::from_be_bytes(*word),
        ));
    }
    program.push(SockFilter::new(RETURN, 0, 0, ALL));
}

/// Of the default routes in this process's network namespace.
fn gateways() -> io::Result<BTreeSet<IpAddr>> {
    let routes = procfs::net::route().map_err(io::Error::other)?;
    let defaults = routes
        .into_iter()
        .filter(|route| route.mask == Ipv4Addr::UNSPECIFIED);
    let mut gateways: BTreeSet<IpAddr> = defaults.map(|route| route.gateway.into()).collect();
    // There is no such file where the kernel has no IPv6.
    let routes6 = fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
    gateways.extend(routes6.lines().filter_map(gateway6).map(IpAddr::V6));
    gateways.retain(|address| !address.is_unspecified());
    Ok(gateways)
}

/// Of a line of `/proc/net/ipv6_route`: destination, its length, source, its length, next hop, …
fn gateway6(line: &str) -> Option<Ipv6Addr> {
    let mut fields = line.split_ascii_whitespace();
    let length = fields.nth(1)?;
    let next = fields.nth(2)?;
    let gateway = u128::from_str_radix(next, 16).ok()?;
    (length == "00").then(|| Ipv6Addr::from_bits(gateway))
}
