//! What a probe is asked.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// Everything one probe is to find out beside what it always reports (interfaces, routes, files,
/// listening ports). All of it is asked at once, each question with its own timeout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// Longest wait for the answer to any one question, in milliseconds.
    pub timeout_ms: u64,
    /// Names to be resolved to addresses.
    pub resolve: Vec<String>,
    /// TCP ports to be connected to.
    pub connect: Vec<Target>,
    /// Names or addresses to be sent an ICMP echo request.
    pub ping: Vec<String>,
    /// HTTP resources to be fetched.
    pub get: Vec<Resource>,
    /// Addresses to which the longest packet is to be found that gets there and back.
    pub path_mtu: Vec<IpAddr>,
    /// Whether to read the rules for masquerading, which takes `CAP_NET_ADMIN`.
    pub masquerading: bool,
}

/// One second is long for a bridge on the same machine and short for whoever waits.
impl Default for Request {
    fn default() -> Self {
        Self {
            timeout_ms: 1_000,
            resolve: Vec::new(),
            connect: Vec::new(),
            ping: Vec::new(),
            get: Vec::new(),
            path_mtu: Vec::new(),
            masquerading: false,
        }
    }
}

/// A TCP port of a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Target {
    /// A name, resolved inside the sandbox and then tried at each of its addresses, or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// As URLs and `Host` have it: `host:port`, an IPv6 address in brackets (RFC 3986 §3.2.2).
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.parse::<Ipv6Addr>().is_ok() {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

/// An HTTP resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resource {
    /// A name or an address; also sent as `Host`.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Path and query, beginning with `/`.
    pub path: String,
}

impl Resource {
    /// The port that it is asked for at.
    pub fn target(&self) -> Target {
        Target {
            host: self.host.clone(),
            port: self.port,
        }
    }
}
