//! Who can connect: this machine and its gateways. Ports are opened on loopback and on the addresses that
//! default routes go out from, so that on networks without one, which are shared with other containers,
//! nothing is there; and where others are on the network of the default route, they are refused.
//!
//! What comes in at a port that is published on the host's loopback comes from the gateway of the
//! container's network, by the engine's forwarder as well as by its NAT. Other containers come from
//! addresses of their own, which they can't change without a capability.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Who is answered.
#[derive(Debug)]
pub enum Clients {
    /// Whoever can connect.
    All,
    /// This machine and its gateways.
    Only {
        /// What this machine sends from to its gateways.
        own: BTreeSet<IpAddr>,
        gateways: BTreeSet<IpAddr>,
    },
}

impl Clients {
    /// This machine and the gateways of its default routes, as they are now.
    pub(crate) fn of_gateways() -> io::Result<Self> {
        let gateways = gateways()?;
        if gateways.is_empty() {
            tracing::warn!("there is no default gateway: for this machine alone");
        } else {
            tracing::info!(?gateways, "for this machine and its gateways");
        }
        let own = gateways.iter().filter_map(|it| source_towards(*it));
        let own = own.collect();
        Ok(Self::Only { own, gateways })
    }

    /// Whether who is at this address is answered.
    pub(crate) fn include(&self, address: IpAddr) -> bool {
        match self {
            Self::All => true,
            Self::Only { own, gateways } => {
                let address = address.to_canonical();
                address.is_loopback() || own.contains(&address) || gateways.contains(&address)
            }
        }
    }

    /// What to listen on so that these can connect, and as few others as possible: `listen` itself unless
    /// it stands for every address of the machine, of IPv4 or of both families (`[::]`).
    pub(crate) fn addresses(&self, listen: SocketAddr) -> Vec<SocketAddr> {
        let own = match self {
            Self::Only { own, .. } if listen.ip().is_unspecified() => own,
            _ => return vec![listen],
        };
        let mut addresses = vec![IpAddr::from(Ipv4Addr::LOCALHOST)];
        // None where the kernel has no IPv6.
        addresses.extend(source_towards(Ipv6Addr::LOCALHOST.into()));
        addresses.extend(own);
        addresses.retain(|address| address.is_ipv4() || listen.is_ipv6());
        let port = listen.port();
        let with_port = addresses.into_iter().map(|it| SocketAddr::new(it, port));
        with_port.collect()
    }
}

/// The address of this machine that it would send from, where there is a way; nothing is sent. None to a
/// link-local address, which may be on every link.
fn source_towards(address: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((address, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
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
