//! The likely cause of what isn't as the file draws it, derived from evidence: what the engine says
//! of endpoints and containers, what listens inside, what the resolver and the host's routes hold.
//! The most certain evidence decides.

use std::net::{IpAddr, Ipv6Addr};

use compose_file::Project;
use engine::state::Status;

use super::beyond::{GATEWAY_MODE6, INHIBIT, closes_gateway};
use super::link::{By, End, Link, Seen};
use super::observe::{Observation, resolution};
use crate::inspect::Topology;
use crate::inspect::model::{Network, Sandbox};
use crate::probe::report::{Answer, Listener, Reach};

/// What the likely cause of the failures between two ends is derived from.
pub(super) struct Evidence<'a> {
    /// What the file says.
    pub(super) project: &'a Project,
    /// What was seen.
    pub(super) seen: &'a Observation,
    /// The failures between two ends; never empty.
    pub(super) links: &'a [&'a Link],
}

impl Evidence<'_> {
    fn topology(&self) -> &Topology {
        &self.seen.topology
    }

    fn end(&self, end: End) -> Option<&Sandbox> {
        match end {
            End::Sandbox(index) => self.topology().sandboxes.get(index),
            _ => None,
        }
    }

    fn source(&self) -> Option<&Sandbox> {
        self.end(self.links.first()?.ends.0)
    }

    fn target(&self) -> Option<&Sandbox> {
        self.end(self.links.first()?.ends.1)
    }

    /// On a Swarm, where both are.
    fn nodes(&self) -> Option<(&str, &str)> {
        let (source, target) = (self.source()?, self.target()?);
        Some((source.node.as_deref()?, target.node.as_deref()?))
    }

    /// Something that should be open isn't. The most certain evidence comes first.
    pub(super) fn why_closed(&self) -> String {
        let Some(target) = self.target() else {
            return self.why_no_way_out();
        };
        if !target.is_up() {
            return stopped(target);
        }
        if let Some(missing) = self.missing_endpoint() {
            return missing;
        }
        if let Some(overlap) = self.overlap(target) {
            return overlap;
        }
        let names_only = self.links.iter().all(|link| self.depends_on_a_name(link));
        if names_only && let Some(reason) = self.why_no_name(target) {
            return reason;
        }
        let refused: Vec<u16> = self
            .links
            .iter()
            .filter(|link| matches!(link.seen, Seen::Tried(Reach::Refused, _)))
            .filter_map(|link| match link.by {
                By::Tcp { port, .. } => Some(port),
                _ => None,
            })
            .collect();
        if let Some(port) = refused.first() {
            return why_refused(target, *port);
        }
        if let Some((from, to)) = self.nodes().filter(|(from, to)| from != to) {
            // Packets that don't pass take no name away.
            let mut links = self.links.iter();
            if links.any(|it| matches!(it.by, By::Name { .. })) {
                return unheard_of(target, from, to);
            }
            return format!(
                "no packet of theirs comes back from node {to}: 4789/udp (VXLAN) has to pass between {from} and {to}, \
                 both ways"
            );
        }
        "the endpoints are there and no packet comes back: a rule on the host drops it \
         (look at `iptables -S DOCKER-USER` and `iptables -S FORWARD`)"
            .to_owned()
    }

    fn depends_on_a_name(&self, link: &Link) -> bool {
        match &link.by {
            By::Name { .. } => true,
            By::Tcp { host, .. } => host.parse::<IpAddr>().is_err() && !self.resolved(host),
            By::Ping { .. } => false,
        }
    }

    fn resolved(&self, name: &str) -> bool {
        let report = self
            .links
            .first()
            .and_then(|link| self.seen.reports.get(&link.ends.0));
        report
            .and_then(|report| resolution(report, name))
            .is_some_and(|resolution| resolution.answer == Answer::Found)
    }

    /// A network that the file gives both and that one of them isn't on.
    fn missing_endpoint(&self) -> Option<String> {
        let target = self.target()?;
        let theirs = self.project.attachments(&target.service)?;
        let ours = self
            .source()
            .and_then(|it| self.project.attachments(&it.service));
        for (network, _) in &theirs {
            if let Some(ours) = &ours
                && !ours.iter().any(|(own, _)| own.name == network.name)
            {
                continue;
            }
            for end in [Some(target), self.source()].into_iter().flatten() {
                if end.endpoint(&network.name).is_none() {
                    return Some(format!(
                        "{} has no endpoint on {}: it was disconnected",
                        end.container, network.name
                    ));
                }
            }
        }
        None
    }

    /// The host, or the source, has the target's subnet on another interface as well.
    fn overlap(&self, target: &Sandbox) -> Option<String> {
        let networks = target
            .endpoints
            .iter()
            .filter_map(|it| self.topology().network(&it.network));
        networks
            .into_iter()
            .find_map(|network| overlap(self.topology(), network))
    }

    fn why_no_name(&self, target: &Sandbox) -> Option<String> {
        let source = self.source()?;
        if let Some(resolver) = source.resolver.as_ref().filter(|it| !it.is_embedded()) {
            let servers: Vec<String> = resolver.nameservers.iter().map(IpAddr::to_string).collect();
            return Some(format!(
                "{} asks {} instead of the engine's own server 127.0.0.11",
                source.container,
                servers.join(", ")
            ));
        }
        let names = self.links.iter().filter_map(|link| match &link.by {
            By::Name { name } => Some(name),
            By::Tcp { host, .. } => Some(host),
            By::Ping { .. } => None,
        });
        for name in names {
            let stranger = self.links.iter().any(|link| {
                matches!(
                    link.seen,
                    Seen::Addresses {
                        stranger: Some(_),
                        ..
                    }
                )
            });
            if stranger {
                return Some(format!(
                    "a container that isn't of the stack answers to {name} too"
                ));
            }
            for (network, attachment) in self.project.attachments(&target.service)? {
                let endpoint = target.endpoint(&network.name);
                let has = endpoint.is_some_and(|it| it.aliases.iter().any(|alias| alias == name));
                let given = attachment.aliases.contains(name) || *name == target.service;
                if given && !has && source.endpoint(&network.name).is_some() {
                    let known = endpoint.map(|it| it.aliases.join(", ")).unwrap_or_default();
                    return Some(format!(
                        "the alias {name} is missing from the endpoint of {} on {} (it has: {known})",
                        target.container, network.name
                    ));
                }
            }
        }
        if let Some((from, to)) = self.nodes() {
            return Some(unheard_of(target, from, to));
        }
        // Seen on Docker 20.10 after `docker swarm leave`, for all containers that ran then.
        Some(format!(
            "the endpoint of {} has its names, but the engine's DNS server has lost them: \
             `docker restart {}` registers them again",
            target.container, target.container
        ))
    }

    fn why_no_way_out(&self) -> String {
        let Some(source) = self.source() else {
            return "no evidence".to_owned();
        };
        let networks: Vec<&Network> = source
            .endpoints
            .iter()
            .filter_map(|it| self.topology().network(&it.network))
            .collect();
        if networks.is_empty() {
            return format!("{} has no endpoint at all", source.container);
        }
        if networks.iter().all(|network| network.internal) {
            let names: Vec<&str> = networks
                .iter()
                .map(|network| network.name.as_str())
                .collect();
            return format!(
                "{} is on internal networks only ({})",
                source.container,
                names.join(", ")
            );
        }
        if source.default_gateway.is_none() {
            return format!("{} has no default route", source.container);
        }
        "the host doesn't forward or masquerade what comes from the bridge (look at \
         `sysctl net.ipv4.ip_forward` and `iptables -t nat -S POSTROUTING`)"
            .to_owned()
    }

    /// Something that should be closed is open.
    pub(super) fn why_open(&self) -> String {
        if let Some(target) = self.target()
            && self.is_listened_for(target)
        {
            return format!(
                "{} listens there as well, and not only where its port is published to",
                target.container
            );
        }
        let Some(source) = self.source() else {
            return "no evidence".to_owned();
        };
        if let Some(end) = [Some(source), self.target()]
            .into_iter()
            .flatten()
            .find_map(|end| Some((end, unexpected_endpoint(self.project, end)?)))
        {
            let (end, network) = end;
            return format!(
                "{} has an endpoint on {network}, which the file doesn't give it",
                end.container
            );
        }
        if self.is_about(End::Host) {
            return "the network's bridge has an address on the host, which the file doesn't give it"
                .to_owned();
        }
        if self.target().is_none() {
            let leaky = source
                .endpoints
                .iter()
                .filter_map(|it| self.topology().network(&it.network));
            if let Some(network) = leaky.into_iter().find(|network| !network.internal) {
                return format!("network {} isn't internal", network.name);
            }
        }
        if self.is_about(End::Outside) && self.is_by_name() {
            return format!(
                "the engine's name server asks others for {}, although the file names none",
                source.container
            );
        }
        if self.is_v6() {
            return "the engine keeps bridges apart for IPv4 only: before Docker 27 it does so for IPv6 \
                    with `\"experimental\": true, \"ip6tables\": true` in /etc/docker/daemon.json"
                .to_owned();
        }
        "the engine's rules that keep bridges apart are missing or overruled (look at \
         `iptables -S DOCKER-USER` and `iptables -S DOCKER-ISOLATION-STAGE-1`)"
            .to_owned()
    }

    /// Whether what is open is a port of the target's on a network that the source shares, which the file
    /// has for those alone who use a published port.
    fn is_listened_for(&self, target: &Sandbox) -> bool {
        let verify = self.project.verify.as_ref();
        let shared = |host: &str| {
            let (Some(source), Ok(address)) = (self.source(), host.parse::<IpAddr>()) else {
                return true;
            };
            let mut on = target.endpoints.iter();
            on.any(|it| {
                it.addresses().any(|own| own == address)
                    && source.endpoints.iter().any(|own| own.network == it.network)
            })
        };
        verify.is_some_and(|it| it.is_only_published(target.service.as_str()))
            && self
                .links
                .iter()
                .any(|link| matches!(&link.by, By::Tcp { host, .. } if shared(host)))
    }

    fn is_about(&self, end: End) -> bool {
        self.links.iter().any(|link| link.ends.1 == end)
    }

    /// Whether all of it is about IPv6.
    fn is_v6(&self) -> bool {
        self.links.iter().all(|link| match &link.by {
            By::Tcp { host, .. } | By::Ping { host } => host.parse::<Ipv6Addr>().is_ok(),
            By::Name { .. } => false,
        })
    }

    fn is_by_name(&self) -> bool {
        let mut by = self.links.iter().map(|link| &link.by);
        by.any(|by| matches!(by, By::Name { .. }))
    }

    /// What in the file would close something that is open.
    pub(super) fn how_to_close(&self) -> String {
        let Some(source) = self.source() else {
            return "no evidence".to_owned();
        };
        if self.is_about(End::Host) {
            let (option, value) = if self.is_v6() {
                (GATEWAY_MODE6, "isolated")
            } else {
                (INHIBIT, "true")
            };
            let closed = |name: &str| {
                let network = self.project.network_named(name);
                network.is_some_and(|it| closes_gateway(&it.driver_opts, !self.is_v6()))
            };
            let networks = source.endpoints.iter().map(|it| it.network.as_str());
            return format!(
                "`driver_opts: {{{option}: \"{value}\"}}` of {} takes the gateway away",
                networks
                    .filter(|name| !closed(name))
                    .collect::<Vec<_>>()
                    .join(" and ")
            );
        }
        format!(
            "`dns: 127.0.0.1` of {} leaves it the names of its own networks",
            source.service
        )
    }
}

/// Why the target's own kernel says that nothing listens.
fn why_refused(target: &Sandbox, port: u16) -> String {
    if target.node.is_some() {
        // Nobody looked into it.
        return format!(
            "{} runs, and nothing in it listens on port {port} of its own address",
            target.container
        );
    }
    let on_port = target
        .listening
        .iter()
        .filter(|listener| listener.port == port);
    let (loopback, open): (Vec<&Listener>, Vec<&Listener>) =
        on_port.partition(|it| it.address.is_loopback());
    match (open.is_empty(), loopback.is_empty()) {
        (true, true) => format!(
            "{} runs, but nothing in it listens on port {port}",
            target.container
        ),
        (true, false) => format!(
            "{} listens on port {port} of its loopback address only",
            target.container
        ),
        (false, _)
            if open.iter().all(|it| it.address.is_ipv4())
                && target.endpoints.iter().any(|it| it.address6.is_some()) =>
        {
            format!(
                "{} listens on port {port} of its IPv4 addresses only",
                target.container
            )
        }
        (false, _) => {
            format!(
                "port {port} listens in {}, so a rule on the host rejects the connection",
                target.container
            )
        }
    }
}

/// A name that leads to no task of the target's on another node: what nodes tell each other hasn't arrived.
fn unheard_of(target: &Sandbox, from: &str, to: &str) -> String {
    format!(
        "the engine's name server on node {from} hasn't heard of {}, which is on {to}: 7946/tcp and 7946/udp have to \
         pass between the nodes",
        target.container
    )
}

/// How a container that isn't running came to that.
pub(super) fn stopped(sandbox: &Sandbox) -> String {
    match (sandbox.status, sandbox.exit_code) {
        (Status::Exited, Some(code)) => {
            format!(
                "{} isn't running: it exited with status {code}",
                sandbox.container
            )
        }
        (status, _) => {
            format!(
                "{} isn't running: it is {}",
                sandbox.container,
                format!("{status:?}").to_lowercase()
            )
        }
    }
}

/// A network that the container is on although the file doesn't say so.
pub(super) fn unexpected_endpoint<'a>(project: &Project, sandbox: &'a Sandbox) -> Option<&'a str> {
    let given = project.attachments(&sandbox.service)?;
    let mut networks = sandbox
        .endpoints
        .iter()
        .map(|endpoint| endpoint.network.as_str());
    networks.find(|network| !given.iter().any(|(given, _)| given.name == *network))
}

/// Another interface or route of the host that claims addresses of the network's subnet.
pub(super) fn overlap(topology: &Topology, network: &Network) -> Option<String> {
    let bridge = network.bridge.as_deref()?;
    let subnets = network.pools.iter().filter_map(|pool| pool.subnet);
    for subnet in subnets {
        let interface = topology
            .host
            .interfaces
            .iter()
            .filter(|it| it.name != bridge)
            .find(|it| {
                it.addresses
                    .iter()
                    .any(|address| subnet.contains(&address.trunc()))
            });
        // A wider route loses against the bridge's own and does no harm.
        let route = topology.host.routes.iter().find(|route| {
            subnet.contains(&route.destination)
                && route
                    .interface
                    .as_deref()
                    .is_some_and(|interface| interface != bridge)
        });
        let claimed_by = interface
            .map(|it| it.name.as_str())
            .or(route.and_then(|route| route.interface.as_deref()));
        if let Some(other) = claimed_by {
            return Some(format!(
                "the host has the subnet {subnet} of {} on {other} as well",
                network.name
            ));
        }
    }
    None
}
