//! `ports` and `expose`, with ranges expanded.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::forms::address;
use super::swarm;
use crate::cursor::Cursor;
use crate::fields::Fields;
use crate::model::{ExposedPort, Port, Protocol, PublishMode};
use crate::yaml::Node;

const EXPECTED: &str =
    "[HOST_IP:][HOST_PORT:]PORT[/tcp|udp|sctp], as in 8080:80 or 127.0.0.1:8080:80/tcp";

const PROTOCOLS: &[(&str, Protocol)] = &[
    ("tcp", Protocol::Tcp),
    ("udp", Protocol::Udp),
    ("sctp", Protocol::Sctp),
];

/// `ports`.
pub(super) fn ports(cursor: &Cursor<'_>) -> Vec<Port> {
    let mut ports = Vec::new();
    for item in cursor.items().unwrap_or_default() {
        let spec = if item.is_scalar() {
            item.parse(EXPECTED, parse_short)
        } else {
            long(&item)
        };
        if let Some(spec) = spec {
            spec.expand(&item, &mut ports);
        }
    }
    ports
}

/// `expose`.
pub(super) fn expose(cursor: &Cursor<'_>) -> Vec<ExposedPort> {
    let mut exposed = Vec::new();
    for item in cursor.items().unwrap_or_default() {
        let spec = item.parse("PORT[/tcp|udp|sctp]", |text| {
            let (ports, protocol) = split_protocol(text)?;
            Some((range(ports)?, protocol))
        });
        if let Some((ports, protocol)) = spec
            && within_limit(&item, ports.len())
        {
            exposed.extend(ports.map(|port| ExposedPort { port, protocol }));
        }
    }
    exposed
}

/// An entry before its ranges are expanded.
pub(super) struct Spec {
    pub(super) host_ip: Option<IpAddr>,
    pub(super) published: Option<RangeInclusive<u16>>,
    pub(super) target: RangeInclusive<u16>,
    pub(super) protocol: Protocol,
    pub(super) mode: Option<PublishMode>,
}

impl Spec {
    fn expand(self, item: &Cursor<'_>, ports: &mut Vec<Port>) {
        let Self {
            host_ip,
            published,
            target,
            protocol,
            mode,
        } = self;
        let length = target.len();
        if let Some(published) = &published
            && published.len() != length
        {
            item.problem(format!(
                "the host range has {} ports and the container range {length}; both must have the same length",
                published.len(),
            ));
            return;
        }
        if !within_limit(item, length) {
            return;
        }
        let mut published = published.filter(|range| *range.start() != 0);
        ports.extend(target.map(|target| Port {
            target,
            published: published.as_mut().and_then(Iterator::next),
            host_ip,
            protocol,
            mode,
        }));
    }
}

fn within_limit(item: &Cursor<'_>, more: usize) -> bool {
    let within = item.context.count_ports(more);
    if !within {
        item.problem("more than 10,000 ports in one file");
    }
    within
}

fn parse_short(text: &str) -> Option<Spec> {
    let (rest, protocol) = split_protocol(text)?;
    let (rest, target) = match rest.rsplit_once(':') {
        Some((rest, target)) => (Some(rest), target),
        None => (None, rest),
    };
    let (host_ip, published) = match rest {
        None => (None, None),
        Some(rest) => match rest.rsplit_once(':') {
            // An IPv6 address has colons of its own, within brackets.
            Some((ip, published)) => (Some(ip), Some(published)),
            None => (None, Some(rest)),
        },
    };
    let host_ip = match host_ip {
        Some(ip) => {
            let inner = ip
                .strip_prefix('[')
                .map_or(Some(ip), |ip| ip.strip_suffix(']'))?;
            Some(
                inner
                    .parse::<IpAddr>()
                    .ok()
                    .filter(|parsed| parsed.is_ipv6() == (inner != ip))?,
            )
        }
        None => None,
    };
    let published = match published {
        // `127.0.0.1::80`: that address, any port.
        Some("") if host_ip.is_some() => None,
        Some(published) => Some(host_range(published)?),
        None => None,
    };
    Some(Spec {
        host_ip,
        published,
        target: range(target)?,
        protocol,
        mode: None,
    })
}

fn long(item: &Cursor<'_>) -> Option<Spec> {
    let fields = Fields::of(item)?;
    let target = fields
        .required("target")
        .and_then(|c| c.parse("a port", port));
    let expected = "a port, or a range such as 8000-8009";
    let published = fields.get("published");
    let published = published.and_then(|c| c.parse(expected, host_range));
    let host_ip = fields.get("host_ip").and_then(|c| address(&c, "IP"));
    let protocol = fields.get("protocol").and_then(|c| c.choice(PROTOCOLS));
    let mode = if item.context.swarm {
        fields.get("mode").and_then(|c| swarm::publish_mode(&c))
    } else {
        // Both mean the same without Swarm.
        fields.only("mode", &[("ingress", ()), ("host", ())]);
        None
    };
    fields.finish(&[
        ("name", "it has no effect; remove it"),
        ("app_protocol", "it has no effect; remove it"),
    ]);
    let target = target?;
    Some(Spec {
        host_ip,
        published,
        target: target..=target,
        protocol: protocol.unwrap_or_default(),
        mode,
    })
}

/// An entry in either form, as far as it can be read.
pub(super) fn spec(item: &Node) -> Option<Spec> {
    if let Some(text) = item.text() {
        return parse_short(text);
    }
    let key = |key| item.get(key).and_then(Node::text);
    let protocol = key("protocol").unwrap_or("tcp");
    Some(Spec {
        host_ip: key("host_ip").and_then(|text| text.parse().ok()),
        published: key("published").and_then(host_range),
        target: range(key("target")?)?,
        protocol: choose(protocol)?,
        mode: None,
    })
}

fn split_protocol(text: &str) -> Option<(&str, Protocol)> {
    let Some((ports, protocol)) = text.split_once('/') else {
        return Some((text, Protocol::Tcp));
    };
    Some((ports, choose(protocol)?))
}

fn choose(protocol: &str) -> Option<Protocol> {
    let found = PROTOCOLS.iter().find(|(word, _)| *word == protocol);
    found.map(|(_, protocol)| *protocol)
}

/// On the host, where 0 leaves the choice to the engine.
fn host_range(text: &str) -> Option<RangeInclusive<u16>> {
    if text == "0" {
        return Some(0..=0);
    }
    range(text)
}

/// `8000-8009`, or one port.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    (first <= last).then_some(first..=last)
}

fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str) -> Option<String> {
        let Spec {
            host_ip,
            published,
            target,
            protocol,
            ..
        } = parse_short(text)?;
        let ip = host_ip.map_or("*".to_owned(), |ip| ip.to_string());
        let published = published.map_or("*".to_owned(), |range| format!("{range:?}"));
        Some(format!("{ip} {published} {target:?} {protocol}"))
    }

    #[test]
    fn short_syntax() {
        let cases = [
            ("80", "* * 80..=80 tcp"),
            ("8080:80", "* 8080..=8080 80..=80 tcp"),
            ("0:80", "* 0..=0 80..=80 tcp"),
            ("127.0.0.1:8080:80/udp", "127.0.0.1 8080..=8080 80..=80 udp"),
            ("127.0.0.1::80", "127.0.0.1 * 80..=80 tcp"),
            ("[::1]:8080:80", "::1 8080..=8080 80..=80 tcp"),
            ("9000-9002:80-82", "* 9000..=9002 80..=82 tcp"),
            ("80-82/sctp", "* * 80..=82 sctp"),
        ];
        for (text, expected) in cases {
            assert_eq!(show(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "",
            ":80",
            "80:",
            "0",
            "65536",
            "80/http",
            "80/",
            "a:80",
            "1:2:80",
            "::1:8080:80",
            "[127.0.0.1]:1:2",
            "82-80",
            "-80",
            "80-",
            "+80",
            "http:80",
            "[::1:8080:80",
            "é:80",
        ] {
            assert_eq!(show(text), None, "{text}");
        }
    }
}
