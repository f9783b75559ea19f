//! Checks that several lessons make: who reaches whom, and which name leads where.

use std::net::IpAddr;

use engine::api::NetworkInspect;
use netcheck::probe::Report;
use netcheck::probe::report::{Connection, Resolution};

use super::lesson::Step;
use super::{show, view};

/// Where the rule for masquerading is found.
const NAT_TABLE: &str = "the host's NAT table";

impl Step {
    /// `host` accepted a TCP connection.
    pub(super) fn reaches(self, report: &Report, host: &str, what: &str) -> Self {
        let attempts = connection(report, host).map(|connection| connection.attempts.as_slice());
        let attempts = attempts.unwrap_or_default();
        self.check(
            format!("{what}: open"),
            view::outcome(attempts),
            view::reached(attempts),
        )
    }

    /// `host` was tried and did not accept a TCP connection.
    pub(super) fn cannot_reach(self, report: &Report, host: &str, what: &str) -> Self {
        let found = connection(report, host);
        let seen = found.map_or("not tried".to_owned(), |found| {
            view::outcome(&found.attempts)
        });
        let closed = found.is_some_and(|found| !view::reached(&found.attempts));
        self.check(format!("{what}: closed"), seen, closed)
    }

    /// `host` answered ICMP echo requests. Where ICMP can't be sent at all, that
    /// says nothing about the network and is left out.
    pub(super) fn answers_ping(self, report: &Report, host: &str) -> Self {
        let Some(echo) = report.pinged.iter().find(|echo| echo.host == host) else {
            return self.check(format!("ping {host}: reply"), "not tried", false);
        };
        if view::icmp_unavailable(&echo.attempts).is_some() {
            return self;
        }
        let seen = view::outcome(&echo.attempts);
        self.check(
            format!("ping {host}: reply"),
            seen,
            view::reached(&echo.attempts),
        )
    }

    /// `name` resolved to this IPv4 address and no other.
    pub(super) fn leads_to(self, report: &Report, name: &str, address: Option<IpAddr>) -> Self {
        let found = resolution(report, name);
        let seen = found.map_or("not asked".to_owned(), view::resolved);
        let passed = address.is_some()
            && found.is_some_and(|found| {
                let mut ipv4 = found.addresses.iter().filter(|address| address.is_ipv4());
                ipv4.next() == address.as_ref() && ipv4.next().is_none()
            });
        self.check(
            format!("{name} leads to {}", view::or_none(address)),
            seen,
            passed,
        )
    }

    /// `name` was asked for and resolved to nothing, or at least not to `address`.
    pub(super) fn leads_nowhere(
        self,
        report: &Report,
        name: &str,
        address: Option<IpAddr>,
    ) -> Self {
        let found = resolution(report, name);
        let seen = found.map_or("not asked".to_owned(), view::resolved);
        let passed = found
            .is_some_and(|found| address.is_none_or(|address| !found.addresses.contains(&address)));
        self.check(format!("{name} leads to no container"), seen, passed)
    }

    /// The container's DNS servers are the host's, as far as a container can use
    /// them: the engine leaves out loopback addresses, which inside would be the
    /// container itself, and IPv6 ones where the container has no IPv6.
    pub(super) fn copied_servers(self, inside: &Report, host: &Report) -> Self {
        let container = &inside.resolver.nameservers;
        let has_ipv6 = view::has_ipv6(inside);
        let mut usable = host.resolver.nameservers.clone();
        usable.retain(|server| !server.is_loopback() && (has_ipv6 || server.is_ipv4()));
        if usable.is_empty() {
            // The host asks a server of its own, such as systemd-resolved.
            return self.check(
                "the host's servers are out of a container's reach: others, none on loopback",
                show::list(container),
                !container.is_empty() && container.iter().all(|server| !server.is_loopback()),
            );
        }
        self.same(
            "the host's servers",
            show::list(&usable),
            show::list(container),
        )
    }

    /// The host's rule for what leaves `bridge`. Where it can't be read, that says nothing about the
    /// network: then the command shows it.
    pub(super) fn masqueraded(self, rules: &Report, bridge: &NetworkInspect) -> Self {
        let subnets = view::subnets(bridge);
        let rule = rules
            .masquerading
            .iter()
            .find(|rule| rule.source.is_some_and(|source| subnets.contains(&source)));
        let Some(rule) = rule else {
            let reason = rules
                .masquerading_unread
                .as_deref()
                .unwrap_or("none in nf_tables: `ip-masq` is off, or the legacy iptables has it");
            return self.saw(NAT_TABLE, [format!("(not seen here: {reason})")]);
        };
        let own = view::or_none(view::bridge_name(bridge));
        let elsewhere = rule
            .out
            .as_ref()
            .is_some_and(|out| !out.equal && out.name == own);
        let line = show::masquerade(rule);
        self.saw(NAT_TABLE, [line.clone()]).check(
            format!("a rule for what leaves by another interface than {own}"),
            line,
            elsewhere,
        )
    }
}

fn connection<'a>(report: &'a Report, host: &str) -> Option<&'a Connection> {
    report
        .connected
        .iter()
        .find(|connection| connection.target.host == host)
}

fn resolution<'a>(report: &'a Report, name: &str) -> Option<&'a Resolution> {
    report
        .resolved
        .iter()
        .find(|resolution| resolution.name == name)
}
