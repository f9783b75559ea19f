//! How a service is attached to networks, and which of its ports are published.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Serialize, Serializer};

use super::{PublishMode, ServiceName};

/// How a service is attached to a network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Attachment {
    /// Further names on this network, beside the service's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// A fixed address; only with one replica.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv4_address: Option<Ipv4Addr>,
    /// A fixed address; only with one replica.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6_address: Option<Ipv6Addr>,
}

/// `network_mode`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkMode {
    /// Loopback only.
    None,
    /// The host's own network.
    Host,
    /// The engine's default bridge.
    Bridge,
    /// The network namespace of a service's container. It is a dependency as if by `depends_on`.
    Service(ServiceName),
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Host => f.write_str("host"),
            Self::Bridge => f.write_str("bridge"),
            Self::Service(name) => write!(f, "service:{name}"),
        }
    }
}

impl Serialize for NetworkMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Port {
    /// In the container.
    pub target: u16,
    /// On the host; `None`: the engine picks a free one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<u16>,
    /// The host's address to listen on; `None`: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_ip: Option<IpAddr>,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Of a Swarm; `None` is the engine's choice (`ingress`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<PublishMode>,
}

/// Whether two addresses of a host to listen on (`None`: all of them) exclude each other on one port.
/// The engine takes those of IPv6 for IPv6 alone (`IPV6_V6ONLY`), so that `::` leaves `0.0.0.0` free.
pub fn exclude_each_other(a: Option<IpAddr>, b: Option<IpAddr>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => {
            a == b || a.is_ipv4() == b.is_ipv4() && (a.is_unspecified() || b.is_unspecified())
        }
        _ => true,
    }
}

/// Transport protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Protocol {
    #[default]
    Tcp,
    Udp,
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// A port that is declared and not published. Displays as the Engine API's `9090/tcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExposedPort {
    /// In the container.
    pub port: u16,
    /// Transport protocol.
    pub protocol: Protocol,
}

impl fmt::Display for ExposedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.port, self.protocol)
    }
}

impl Serialize for ExposedPort {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An added line of `/etc/hosts`. Displays as the Engine API's `host:address`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraHost {
    /// The name.
    pub host: String,
    /// An IP address, or `host-gateway` for the host as seen from the container.
    pub address: String,
}

impl fmt::Display for ExtraHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.address)
    }
}

impl Serialize for ExtraHost {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_addresses_exclude_each_other() {
        let ip = |text: &str| Some(text.parse().unwrap());
        assert!(exclude_each_other(None, ip("127.0.0.1")));
        assert!(exclude_each_other(ip("0.0.0.0"), ip("127.0.0.1")));
        assert!(exclude_each_other(ip("127.0.0.1"), ip("127.0.0.1")));
        assert!(exclude_each_other(ip("::"), ip("::1")));
        assert!(!exclude_each_other(ip("127.0.0.1"), ip("127.0.0.2")));
        assert!(!exclude_each_other(ip("0.0.0.0"), ip("::1")));
        assert!(!exclude_each_other(ip("0.0.0.0"), ip("::")));
    }
}
