//! The proxies in front of us, and who their client is.
//!
//! Each proxy appends the address that it was asked from to `X-Forwarded-For`. So, from the right,
//! what trusted proxies have appended can be believed, up to and with the first address that isn't
//! one of theirs: the client's. What stands left of that, the client may have made up.

use std::{
    fmt, fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use ipnet::IpNet;

/// Stands for the default gateways of this network namespace.
const GATEWAY: &str = "gateway";
/// Of `/proc/net/route` and `/proc/net/ipv6_route`: the route leads to a gateway (`RTF_GATEWAY`).
const LEADS_TO_GATEWAY: u32 = 2;

/// The addresses of proxies that say who their client is.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpNet>);

/// Why a list of trusted proxies can't be used.
#[derive(Debug, PartialEq, Eq)]
pub enum TrustError {
    /// It isn't a list of networks.
    Syntax,
    /// It says `gateway` where there is none.
    NoGateway,
}

impl TrustedProxies {
    /// Reads a list of CIDRs, addresses and the word `gateway`, separated by commas.
    pub fn parse(text: &str) -> Result<Self, TrustError> {
        let mut networks = Vec::new();
        for entry in text.split(',').map(str::trim).filter(|e| !e.is_empty()) {
            if entry == GATEWAY {
                let gateways = gateways();
                if gateways.is_empty() {
                    return Err(TrustError::NoGateway);
                }
                networks.extend(gateways.into_iter().map(IpNet::from));
            } else {
                let network = entry
                    .parse()
                    .or_else(|_| entry.parse::<IpAddr>().map(IpNet::from))
                    .map_err(|_| TrustError::Syntax)?;
                networks.push(network);
            }
        }
        Ok(Self(networks))
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client of a request that came from a trusted proxy: the right-most of the entries of its
    /// `X-Forwarded-For` that isn't trusted, or the left-most where all are. An entry that isn't an
    /// address ends the list. `None` if the list is empty: the client is the peer then.
    pub(crate) fn client<'e>(
        &self,
        forwarded_for: impl DoubleEndedIterator<Item = &'e [u8]>,
    ) -> Option<IpAddr> {
        let mut client = None;
        for entry in forwarded_for.rev() {
            let Some(address) = address(entry) else {
                break;
            };
            client = Some(address);
            if !self.contains(address) {
                break;
            }
        }
        client
    }
}

impl fmt::Display for TrustedProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, network) in self.0.iter().enumerate() {
            write!(f, "{}{network}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// An entry of `X-Forwarded-For`: an address, perhaps in brackets, perhaps with a port.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let entry = str::from_utf8(entry).ok()?;
    let bare = entry.strip_prefix('[').and_then(|e| e.strip_suffix(']'));
    let address = match bare {
        Some(bare) => bare.parse().map(IpAddr::V6).ok()?,
        None => entry
            .parse()
            .or_else(|_| entry.parse().map(|address: SocketAddr| address.ip()))
            .ok()?,
    };
    Some(address.to_canonical())
}

/// The gateways of this network namespace's default routes; none where there is no such route, or
/// no such family.
fn gateways() -> Vec<IpAddr> {
    let read = |table| fs::read_to_string(table).unwrap_or_default();
    let v4 = read("/proc/net/route");
    let v6 = read("/proc/net/ipv6_route");
    let v4 = v4.lines().filter_map(gateway_v4).map(IpAddr::V4);
    v4.chain(v6.lines().filter_map(gateway_v6).map(IpAddr::V6))
        .collect()
}

/// The gateway in a line of `/proc/net/route`, if the line is a default route.
fn gateway_v4(line: &str) -> Option<Ipv4Addr> {
    let columns: Vec<_> = line.split_whitespace().collect();
    let &[_, destination, gateway, flags, _, _, _, mask, ..] = &columns[..] else {
        return None;
    };
    let number = |text| u32::from_str_radix(text, 16).ok();
    let is_default = number(destination)? == 0 && number(mask)? == 0;
    // The kernel prints the bytes of an address as the number that they are in memory.
    let gateway = Ipv4Addr::from(number(gateway)?.to_ne_bytes());
    (is_default && number(flags)? & LEADS_TO_GATEWAY != 0).then_some(gateway)
}

/// The same for a line of `/proc/net/ipv6_route`.
fn gateway_v6(line: &str) -> Option<Ipv6Addr> {
    let columns: Vec<_> = line.split_whitespace().collect();
    let &[destination, length, _, _, gateway, _, _, _, flags, _] = &columns[..] else {
        return None;
    };
    let number = |text| u128::from_str_radix(text, 16).ok();
    let is_default = number(destination)? == 0 && number(length)? == 0;
    let gateway = Ipv6Addr::from(number(gateway)?);
    (is_default && number(flags)? & u128::from(LEADS_TO_GATEWAY) != 0).then_some(gateway)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_right_most_address_that_is_not_trusted() {
        let proxies = TrustedProxies::parse("10.0.0.0/8, fd00::/8,192.0.2.7").unwrap();
        for (forwarded_for, client) in [
            ("198.51.100.1", Some("198.51.100.1")),
            ("203.0.113.66, 198.51.100.1", Some("198.51.100.1")),
            ("203.0.113.66, 198.51.100.1, 10.1.2.3", Some("198.51.100.1")),
            (
                "198.51.100.1,, fd00::1, 192.0.2.7 ,10.0.0.1",
                Some("198.51.100.1"),
            ),
            ("10.0.0.1, 10.0.0.2", Some("10.0.0.1")),
            ("198.51.100.1:4711", Some("198.51.100.1")),
            ("198.51.100.1, 10.0.0.1:80", Some("198.51.100.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:db8::1]:443, [fd00::2]", Some("2001:db8::1")),
            ("198.51.100.1, ::ffff:10.0.0.1", Some("198.51.100.1")),
            ("198.51.100.1, unknown, 10.0.0.1", Some("10.0.0.1")),
            ("198.51.100.1, unknown", None),
            ("198.51.100.1, 10.0.0.1 10.0.0.2", None),
            ("[198.51.100.1]", None),
            ("_hidden", None),
            ("", None),
        ] {
            let found = proxies.client(crate::http1::field::list(forwarded_for.as_bytes()));
            let client = client.map(|client| client.parse().unwrap());
            assert_eq!(found, client, "{forwarded_for:?}");
        }
    }

    #[test]
    fn only_networks_and_the_gateway_are_understood() {
        for bad in [
            "x",
            "10.0.0.0/33",
            "10.0.0.0/8 fd00::/8",
            "Gateway",
            "gateway/24",
        ] {
            assert_eq!(
                TrustedProxies::parse(bad).unwrap_err(),
                TrustError::Syntax,
                "{bad}"
            );
        }
        assert!(TrustedProxies::parse(" , ").unwrap().is_empty());
        let proxies = TrustedProxies::parse("::1,10.0.0.0/8").unwrap();
        assert_eq!(proxies.to_string(), "::1/128,10.0.0.0/8");
    }

    #[test]
    fn gateways_are_found_in_the_kernels_tables() {
        let v4 = "eth0\t00000000\t010012AC\t0003\t0\t0\t0\t00000000\t0\t0\t0";
        if cfg!(target_endian = "little") {
            assert_eq!(gateway_v4(v4), Some(Ipv4Addr::new(172, 18, 0, 1)));
        }
        for other in [
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT",
            "eth0\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0",
            "eth0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0",
            "",
        ] {
            assert_eq!(gateway_v4(other), None, "{other}");
        }
        let none = "00000000000000000000000000000000";
        let gateway = "fd000000000000000000000000000001";
        let v6 =
            format!("{none} 00 {none} 00 {gateway} 00000400 00000001 00000000 00000003     eth0");
        assert_eq!(gateway_v6(&v6), Some("fd00::1".parse().unwrap()));
        let unreachable =
            format!("{none} 00 {none} 00 {none} ffffffff 00000001 00000000 00200200       lo");
        assert_eq!(gateway_v6(&unreachable), None);
        let local =
            format!("{gateway} 40 {none} 00 {none} 00000100 00000001 00000000 00000003 eth0");
        assert_eq!(gateway_v6(&local), None);
    }
}
