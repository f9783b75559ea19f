//! Evidence as lines of text, in the manner of `ip`, `ping` and `resolv.conf`, so
//! that a reader finds the same in what the commands print.

use std::net::IpAddr;

use engine::api::{EndpointSettings, NetworkInspect};
use ipnet::IpNet;

use netcheck::probe::ECHO_DATA;
use netcheck::probe::report::{
    Attempt, Connection, Echo, Fetched, HostsLine, Interface, Masquerade, Reach, Report,
    Resolution, Resolver,
};

/// Bytes before the data of an echo (RFC 792).
const ICMP_HEADER: usize = 8;

/// `18: eth0@if19  veth  mtu 1500  state UP  02:42:ac:11:00:02  172.17.0.2/16`.
pub(super) fn interface(interface: &Interface) -> String {
    let peer = match (interface.kind.as_deref(), interface.link_index) {
        (Some("veth"), Some(index)) => format!("@if{index}"),
        _ => String::new(),
    };
    let mut line = format!("{}: {}{peer}", interface.index, interface.name);
    let mut add = |text: &str| {
        line.push_str("  ");
        line.push_str(text);
    };
    if let Some(kind) = &interface.kind {
        add(kind);
    }
    add(&format!("mtu {}", interface.mtu));
    add(&format!("state {}", interface.state));
    if let Some(bridge) = &interface.bridge {
        add(&format!("master {bridge}"));
    }
    if let Some(mac) = &interface.mac {
        add(mac);
    }
    for address in &interface.addresses {
        add(&address.to_string());
    }
    line
}

/// Every interface, a line each.
pub(super) fn interfaces(report: &Report) -> Vec<String> {
    report.interfaces.iter().map(interface).collect()
}

/// `default via 172.17.0.1 dev eth0`, as `ip route` has it; IPv4 only.
pub(super) fn routes(report: &Report) -> Vec<String> {
    let routes: Vec<String> = report
        .routes
        .iter()
        .filter(|route| matches!(route.destination, IpNet::V4(_)))
        .map(|route| {
            let destination = match route.destination.prefix_len() {
                0 => "default".to_owned(),
                _ => route.destination.to_string(),
            };
            let via = route.gateway.map(|gateway| format!(" via {gateway}"));
            let dev = route
                .interface
                .as_ref()
                .map(|interface| format!(" dev {interface}"));
            [Some(destination), via, dev]
                .into_iter()
                .flatten()
                .collect()
        })
        .collect();
    if routes.is_empty() {
        vec!["no routes".to_owned()]
    } else {
        routes
    }
}

/// `nameserver 127.0.0.11` and what else the file says.
pub(super) fn resolver(resolver: &Resolver) -> Vec<String> {
    let mut lines: Vec<String> = resolver
        .nameservers
        .iter()
        .map(|server| format!("nameserver {server}"))
        .collect();
    if !resolver.search.is_empty() {
        lines.push(format!("search {}", resolver.search.join(" ")));
    }
    if !resolver.options.is_empty() {
        lines.push(format!("options {}", resolver.options.join(" ")));
    }
    if !resolver.forwards_to.is_empty() {
        lines.push(format!(
            "# ExtServers: [{}]",
            resolver.forwards_to.join(" ")
        ));
    }
    if lines.is_empty() {
        vec!["(empty)".to_owned()]
    } else {
        lines
    }
}

/// Lines of `/etc/hosts`.
pub(super) fn hosts(hosts: &[HostsLine]) -> Vec<String> {
    hosts
        .iter()
        .map(|line| format!("{}  {}", line.address, line.names.join(" ")))
        .collect()
}

/// `two → 172.18.0.3, said 127.0.0.11` or `two → NXDOMAIN, said 10.0.0.53`.
pub(super) fn resolution(resolution: &Resolution) -> String {
    let answer = if resolution.addresses.is_empty() {
        resolution.answer.as_str().to_owned()
    } else {
        list(&resolution.addresses)
    };
    let source = match resolution.server {
        Some(server) => format!("said {server}"),
        None if resolution.addresses.is_empty() => "no server answered".to_owned(),
        None => "from /etc/hosts".to_owned(),
    };
    format!("{} → {answer}, {source}", resolution.name)
}

/// `tcp 172.17.0.3:8000 → open (0.210 ms)`.
pub(super) fn connection(connection: &Connection) -> String {
    let target = format!("tcp {}:{}", connection.target.host, connection.target.port);
    format!(
        "{target} → {}",
        outcome(connection.resolution.as_ref(), &connection.attempts, "open")
    )
}

/// `16 bytes from 172.17.0.3: seq=1 ttl=64 time=0.063 ms`, as `ping` prints it, or what came instead.
pub(super) fn ping(echo: &Echo) -> Vec<String> {
    let answers = echo.attempts.iter().map(|attempt| match attempt.reach {
        Reach::Reached => {
            let ttl = attempt
                .ttl
                .map_or_else(String::new, |ttl| format!(" ttl={ttl}"));
            format!(
                "{} bytes from {}: seq=1{ttl} time={}",
                ICMP_HEADER + ECHO_DATA.len(),
                attempt.address,
                milliseconds(attempt.elapsed_us)
            )
        }
        reach => {
            let why = attempt.error.as_deref().unwrap_or(reach.as_str());
            format!("no reply from {}: {why}", attempt.address)
        }
    });
    let title = format!("PING {}: {} data bytes", echo.host, ECHO_DATA.len());
    [title].into_iter().chain(answers).collect()
}

/// `-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE`, as `iptables -t nat -S` prints it.
pub(super) fn masquerade(rule: &Masquerade) -> String {
    let table = match rule.table.as_str() {
        "nat" => String::new(),
        table => format!("-t {table} "),
    };
    let source = rule.source.map(|source| format!(" -s {source}"));
    let out = rule.out.as_ref().map(|out| {
        let not = if out.equal { "" } else { " !" };
        format!("{not} -o {}", out.name)
    });
    let [source, out] = [source, out].map(Option::unwrap_or_default);
    format!("{table}-A {}{source}{out} -j MASQUERADE", rule.chain)
}

/// `ping 172.17.0.3 → reply (0.300 ms)`.
pub(super) fn echo(echo: &Echo) -> String {
    let outcome = outcome(echo.resolution.as_ref(), &echo.attempts, "reply");
    format!("ping {} → {outcome}", echo.host)
}

/// `http 127.0.0.1:8080 → 200 "hello from web"`.
pub(super) fn fetched(fetched: &Fetched) -> String {
    let resource = &fetched.resource;
    let outcome = match fetched.status {
        Some(status) => format!("{status} {:?}", fetched.body.trim_end()),
        None => fetched
            .error
            .clone()
            .unwrap_or_else(|| "no answer".to_owned()),
    };
    format!("http {}:{} → {outcome}", resource.host, resource.port)
}

fn outcome(resolution: Option<&Resolution>, attempts: &[Attempt], success: &str) -> String {
    if attempts.is_empty() {
        return match resolution {
            Some(resolution) => format!("name not resolved ({})", resolution.answer.as_str()),
            None => "not tried".to_owned(),
        };
    }
    let attempts: Vec<String> = attempts
        .iter()
        .map(|attempt| match (attempt.reach, &attempt.error) {
            (Reach::Reached, _) => format!("{success} ({})", milliseconds(attempt.elapsed_us)),
            (reach, Some(error)) => format!("{} ({error})", reach.as_str()),
            (reach, None) => reach.as_str().to_owned(),
        })
        .collect();
    attempts.join(", ")
}

fn milliseconds(microseconds: u64) -> String {
    format!("{}.{:03} ms", microseconds / 1000, microseconds % 1000)
}

/// `bridge: IPAddress 172.17.0.2/16, Gateway 172.17.0.1`, in the engine's own words.
pub(super) fn endpoint(network: &str, endpoint: &EndpointSettings) -> String {
    let text = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    let mut facts = Vec::new();
    if let Some(address) = text(&endpoint.ip_address) {
        facts.push(format!(
            "IPAddress {address}/{}",
            endpoint.ip_prefix_len.unwrap_or_default()
        ));
    }
    if let Some(gateway) = text(&endpoint.gateway) {
        facts.push(format!("Gateway {gateway}"));
    }
    if let Some(mac) = text(&endpoint.mac_address) {
        facts.push(format!("MacAddress {mac}"));
    }
    if facts.is_empty() {
        facts.push("no address".to_owned());
    }
    format!("{network}: {}", facts.join(", "))
}

/// `Driver bridge, Subnet 172.18.0.0/16, Gateway 172.18.0.1`, in the engine's own words.
pub(super) fn network(network: &NetworkInspect) -> String {
    let mut facts = vec![format!(
        "Driver {}",
        network.driver.as_deref().unwrap_or("unknown")
    )];
    for pool in network
        .ipam
        .iter()
        .flat_map(|ipam| ipam.config.iter().flatten())
    {
        if let Some(subnet) = &pool.subnet {
            facts.push(format!("Subnet {subnet}"));
        }
        if let Some(gateway) = &pool.gateway {
            facts.push(format!("Gateway {gateway}"));
        }
    }
    format!(
        "{}: {}",
        network.name.as_deref().unwrap_or("?"),
        facts.join(", ")
    )
}

/// Addresses in a row.
pub(super) fn list(addresses: &[IpAddr]) -> String {
    if addresses.is_empty() {
        return "none".to_owned();
    }
    addresses
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
