//! The upstream as it is configured: a name or an address, and a port.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use hickory_resolver::proto::rr::Name;

/// Where requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamName {
    /// What is looked up, if it has to be.
    pub host: Host,
    pub port: u16,
}

/// A host in front of a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A literal address: the one backend.
    Address(IpAddr),
    /// A name that is looked up, again and again.
    Name(Name),
}

/// `host:port`, an IPv6 address in brackets.
impl FromStr for UpstreamName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (host, port) = text.rsplit_once(':').ok_or(())?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(())?;
        let host = if let Some(rest) = host.strip_prefix('[') {
            let address = rest.strip_suffix(']').ok_or(())?;
            Host::Address(address.parse::<Ipv6Addr>().map_err(drop)?.into())
        } else if let Ok(address) = host.parse::<Ipv4Addr>() {
            Host::Address(address.into())
        } else {
            Host::Name(host_name(host).ok_or(())?)
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for UpstreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}:{}", self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// Longest name, without the dot at its end (RFC 1035 §2.3.4: 255 octets on the wire).
const MAX_NAME: usize = 253;
/// Longest label (RFC 1035 §2.3.4).
const MAX_LABEL: usize = 63;

/// A name that a host can have: labels as RFC 1123 §2.1 has them, and with the underscores that
/// containers have in theirs. Four numbers are an address with a mistake in it.
fn host_name(text: &str) -> Option<Name> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    let address = name.split('.').count() == 4 && name.split('.').all(number);
    let valid = name.len() <= MAX_NAME && name.split('.').all(is_label) && !address;
    valid.then(|| Name::from_ascii(text).ok()).flatten()
}

fn is_label(label: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=MAX_LABEL).contains(&label.len())
        && label.bytes().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_printed_as_they_were_given() {
        let longest = "x".repeat(MAX_LABEL) + ":1";
        for text in [
            "flask-app:9090",
            "flask-app.:9090",
            "Flask_App.internal:1",
            "_x:1",
            "10:80",
            "web.1.abc:80",
            "localhost:65535",
            "127.0.0.1:9090",
            "[::1]:9090",
            &longest,
        ] {
            let upstream: UpstreamName = text.parse().expect(text);
            assert_eq!(upstream.to_string(), text);
        }
    }

    #[test]
    fn what_can_never_be_a_host_is_refused() {
        let label = "x".repeat(MAX_LABEL + 1) + ":1";
        let name = "x.".repeat(MAX_NAME / 2) + "xx:1";
        for text in [
            "",
            ":1",
            "a",
            "a:0",
            "a:65536",
            "a b:1",
            "a..b:1",
            ".a:1",
            ".:1",
            "-x:1",
            "x-:1",
            "x.-y:1",
            "a/b:1",
            "a@b:1",
            "ü:1",
            "::1:9090",
            "[::1:1",
            "[a]:1",
            "[127.0.0.1]:1",
            "300.1.1.1:1",
            "1.2.3.4.:1",
            &label,
            &name,
        ] {
            assert!(text.parse::<UpstreamName>().is_err(), "{text}");
        }
    }
}
