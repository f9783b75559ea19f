//! What a probe answers.
//!
//! Written by the probe inside the container, read by the asking side outside; both are the same
//! build, so the form may change between releases.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::request::{Resource, Target};

/// One sandbox as seen from inside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The host name of the sandbox's UTS namespace.
    pub hostname: String,
    /// Which network namespace this is ([`namespace::current`](super::namespace::current)).
    pub namespace: Option<String>,
    /// By index.
    pub interfaces: Vec<Interface>,
    /// The main routing tables of IPv4 and IPv6.
    pub routes: Vec<Route>,
    /// `/etc/resolv.conf`.
    pub resolver: Resolver,
    /// `/etc/hosts`.
    pub hosts: Vec<HostsLine>,
    /// TCP sockets in state LISTEN.
    pub listening: Vec<Listener>,
    /// Answers to [`Request::resolve`](super::Request::resolve), in its order.
    pub resolved: Vec<Resolution>,
    /// Answers to [`Request::connect`](super::Request::connect), in its order.
    pub connected: Vec<Connection>,
    /// Answers to [`Request::ping`](super::Request::ping), in its order.
    pub pinged: Vec<Echo>,
    /// Answers to [`Request::get`](super::Request::get), in its order.
    pub fetched: Vec<Fetched>,
    /// Answers to [`Request::path_mtu`](super::Request::path_mtu), in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathMtu>,
    /// The rules of [`Request::masquerading`](super::Request::masquerading).
    pub masquerading: Vec<Masquerade>,
    /// Why these couldn't be read, in a sentence.
    pub masquerading_unread: Option<String>,
    /// What couldn't be read, and why; a sentence each.
    pub incomplete: Vec<String>,
}

impl Report {
    /// The IPv4 default gateway, or else the IPv6 one.
    pub fn default_gateway(&self) -> Option<IpAddr> {
        let mut defaults = self
            .routes
            .iter()
            .filter(|route| route.destination.prefix_len() == 0);
        defaults.find_map(|route| route.gateway)
    }

    /// The interface that bears `address`.
    pub fn interface_of(&self, address: IpAddr) -> Option<&Interface> {
        self.interfaces
            .iter()
            .find(|interface| interface.addresses.iter().any(|net| net.addr() == address))
    }

    /// The interface with this index.
    pub fn interface(&self, index: u32) -> Option<&Interface> {
        self.interfaces
            .iter()
            .find(|interface| interface.index == index)
    }
}

/// A network interface (rtnetlink's link, rtnetlink(7)).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// As `ip link` shows it, without `@…`.
    pub name: String,
    /// Unique within the network namespace.
    pub index: u32,
    /// `veth`, `bridge`, `loopback`, …; none for hardware.
    pub kind: Option<String>,
    /// Hardware address, `02:42:ac:12:00:02`.
    pub mac: Option<String>,
    /// Longest packet, in bytes.
    pub mtu: u32,
    /// Operational state as `ip` spells it: `UP`, `DOWN`, `UNKNOWN`, ….
    pub state: String,
    /// Addresses with the length of their prefix.
    pub addresses: Vec<IpNet>,
    /// `IFLA_LINK`: for a veth, the index that its other end has in its own namespace; for a VLAN
    /// or macvlan, the index of the interface below it.
    pub link_index: Option<u32>,
    /// The bridge that this interface is a port of, by name.
    pub bridge: Option<String>,
    /// For a bridge: its ports, by name.
    pub ports: Vec<String>,
}

/// An entry of a routing table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// `0.0.0.0/0` and `::/0` are the default routes.
    pub destination: IpNet,
    /// The next hop; none for networks that are attached directly.
    pub gateway: Option<IpAddr>,
    /// The outgoing interface, by name.
    pub interface: Option<String>,
    /// The preferred source address.
    pub source: Option<IpAddr>,
    /// The metric, where one is set.
    pub metric: Option<u32>,
}

/// A rule by which packets leave with the host's own address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Masquerade {
    /// The table of `nf_tables`: `nat` is that of `iptables -t nat`.
    pub table: String,
    /// The chain in it.
    pub chain: String,
    /// Where the packets come from; none for anywhere.
    pub source: Option<IpNet>,
    /// By which interface they leave; none for any.
    pub out: Option<OutInterface>,
}

/// What a rule says of the interface by which a packet leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutInterface {
    /// Its name.
    pub name: String,
    /// Whether it has to be this one, or any other.
    pub equal: bool,
}

/// `/etc/resolv.conf` (resolv.conf(5)).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolver {
    /// In the order in which they are asked.
    pub nameservers: Vec<IpAddr>,
    /// Domains that are tried after names with few dots.
    pub search: Vec<String>,
    /// As written: `ndots:0`, ….
    pub options: Vec<String>,
    /// Where the engine's embedded server forwards to, from the comment `ExtServers` that Docker
    /// 25 and later writes; as written there, empty elsewhere.
    pub forwards_to: Vec<String>,
}

impl Resolver {
    /// Whether the engine's own server, 127.0.0.11, is the only one that is asked.
    pub fn is_embedded(&self) -> bool {
        let embedded = IpAddr::from([127, 0, 0, 11]);
        !self.nameservers.is_empty() && self.nameservers.iter().all(|it| *it == embedded)
    }

    /// Names with at least this many dots are first tried as they are (`options ndots:n`).
    pub fn ndots(&self) -> usize {
        let ndots = self
            .options
            .iter()
            .rev()
            .find_map(|option| option.strip_prefix("ndots:"));
        ndots.and_then(|n| n.parse().ok()).unwrap_or(1)
    }
}

/// A line of `/etc/hosts` (hosts(5)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostsLine {
    /// The address.
    pub address: IpAddr,
    /// The canonical name, then its aliases.
    pub names: Vec<String>,
}

/// A listening TCP socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// `0.0.0.0` or `::` for all of the sandbox's addresses.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
}

/// How a name resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// As asked.
    pub name: String,
    /// What came back.
    pub answer: Answer,
    /// IPv4 before IPv6; empty unless found.
    pub addresses: Vec<IpAddr>,
    /// The server that answered, or the last one that didn't; none where `/etc/hosts` had it.
    pub server: Option<IpAddr>,
    /// The failure in words, where the answer alone doesn't say it.
    pub detail: Option<String>,
    /// Microseconds.
    pub elapsed_us: u64,
}

/// The kinds of answers to a name (RFC 1035 §4.1.1, RFC 2308 for "no data").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// At least one address.
    Found,
    /// The name exists, without addresses.
    NoData,
    /// No such name.
    NxDomain,
    /// The server failed, or those that it asked did.
    ServFail,
    /// The server refuses to answer.
    Refused,
    /// No answer in time.
    Timeout,
    /// Anything else; the detail says what.
    Failed,
}

impl Answer {
    /// Whether a server that knows has answered, with addresses or without.
    pub fn is_told(self) -> bool {
        matches!(self, Self::Found | Self::NoData | Self::NxDomain)
    }

    /// The usual name: `NXDOMAIN`, `SERVFAIL`, `timeout`, ….
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::NoData => "no addresses",
            Self::NxDomain => "NXDOMAIN",
            Self::ServFail => "SERVFAIL",
            Self::Refused => "REFUSED",
            Self::Timeout => "timeout",
            Self::Failed => "failed",
        }
    }
}

/// What came of connecting to a TCP port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// As asked.
    #[serde(flatten)]
    pub target: Target,
    /// How the host's name resolved; none where an address was asked for.
    pub resolution: Option<Resolution>,
    /// One for each address.
    pub attempts: Vec<Attempt>,
}

/// What came of an ICMP echo request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    /// As asked.
    pub host: String,
    /// How the host's name resolved; none where an address was asked for.
    pub resolution: Option<Resolution>,
    /// One for each address.
    pub attempts: Vec<Attempt>,
}

/// One try to reach one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The address.
    pub address: IpAddr,
    /// How it ended.
    pub reach: Reach,
    /// The kernel's error by its symbol: `ECONNREFUSED`, `ENETUNREACH`, …, or words where there
    /// is none.
    pub error: Option<String>,
    /// Microseconds; for a reached address, the round trip.
    pub elapsed_us: u64,
    /// How many more routers an echo could have passed (RFC 791 §3.1), where that is known.
    pub ttl: Option<u8>,
}

/// How a try to reach an address ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// The TCP handshake was completed, or the echo came back.
    Reached,
    /// The host answered that nothing listens there.
    Refused,
    /// The sandbox has no route there or no address to go out with, or a router or the neighbour said
    /// that there is no way.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// Anything else; the error says what.
    Failed,
}

impl Reach {
    /// For sentences: `open`, `refused`, ….
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reached => "open",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Failed => "failed",
        }
    }
}

/// How long a packet may be to get to an address and back in one piece.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathMtu {
    /// The address.
    pub address: IpAddr,
    /// What the interface towards it would send at most, in bytes; none where there is no route.
    pub interface: Option<u32>,
    /// The longest packet that was answered, in bytes; none where not even a short one was.
    pub answered: Option<u32>,
}

/// What came of fetching an HTTP resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetched {
    /// As asked.
    #[serde(flatten)]
    pub resource: Resource,
    /// The status; none where no HTTP response came.
    pub status: Option<u16>,
    /// The beginning of the body as text, at most 4 KiB.
    pub body: String,
    /// Why there is no status.
    pub error: Option<String>,
    /// Microseconds.
    pub elapsed_us: u64,
}
