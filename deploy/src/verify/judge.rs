//! Compares what the file implies with what was seen, and derives the likely cause of each
//! difference from the evidence. Pure: everything it needs has been looked up.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::expect::{By, End, Expectation, attachments};
use super::observe::{Observation, answered, connection, echo, resolution};
use crate::compose::Project;
use crate::inspect::Topology;
use crate::inspect::model::{Network, Sandbox};
use crate::inspect::observe::uses_embedded_dns;
use crate::output::text::escape;
use crate::probe::Report;
use crate::probe::report::{Answer, Attempt, Listener, Reach};
use crate::state::Status;

/// How the engine's host is called.
pub const HOST: &str = "host";
/// How everything behind the host is called.
pub const OUTSIDE: &str = "outside";

/// The comparison's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As expected.
    Pass,
    /// Not as expected.
    Fail,
    /// It couldn't be seen.
    Unjudged,
}

/// One expectation, and what was seen.
#[derive(Debug, Clone, Serialize)]
pub struct Link {
    /// Where it was tried from.
    pub from: String,
    /// What was tried.
    pub to: String,
    /// How.
    #[serde(flatten)]
    pub by: By,
    /// Whether the file implies that it is possible.
    pub open: bool,
    /// What was seen, in a word or two.
    pub seen: String,
    /// Whether they agree.
    pub verdict: Verdict,
    #[serde(skip)]
    ends: (End, End),
}

impl Link {
    /// Whether more patience could change the verdict.
    pub(super) fn may_be_slowness(&self) -> bool {
        self.open && self.verdict == Verdict::Fail && self.seen.contains("timeout")
    }
}

/// All failures between two ends, in one sentence.
#[derive(Debug)]
pub struct Finding {
    from: String,
    to: String,
    open: bool,
    seen: Vec<String>,
    cause: String,
}

impl Finding {
    /// Names the link, what was expected, what was seen and the likely cause.
    pub fn sentence(&self) -> String {
        let expected = if self.open { "open" } else { "closed" };
        format!(
            "{} → {}: expected {expected}, saw {}; likely cause: {}",
            self.from,
            self.to,
            self.seen.join(", "),
            self.cause
        )
    }
}

/// Judges every expectation.
pub fn links(seen: &Observation) -> Vec<Link> {
    seen.expected
        .iter()
        .map(|expectation| {
            let (verdict, saw) = judge(expectation, seen);
            Link {
                from: name(expectation.from, &seen.topology),
                to: name(expectation.to, &seen.topology),
                by: expectation.by.clone(),
                open: expectation.open,
                seen: saw,
                verdict,
                ends: (expectation.from, expectation.to),
            }
        })
        .collect()
}

/// The failures by their two ends.
pub fn findings(project: &Project, seen: &Observation, links: &[Link]) -> Vec<Finding> {
    let mut groups: BTreeMap<(End, End, bool), Vec<&Link>> = BTreeMap::new();
    for link in links.iter().filter(|link| link.verdict == Verdict::Fail) {
        groups
            .entry((link.ends.0, link.ends.1, link.open))
            .or_default()
            .push(link);
    }
    groups
        .into_iter()
        .filter_map(|((_, _, open), links)| {
            let first = links.first()?;
            let evidence = Evidence {
                project,
                seen,
                links: &links,
            };
            Some(Finding {
                from: first.from.clone(),
                to: first.to.clone(),
                open,
                seen: links
                    .iter()
                    .map(|link| format!("{} {}", what(&link.by), link.seen))
                    .collect(),
                cause: if open {
                    evidence.why_closed()
                } else {
                    evidence.why_open()
                },
            })
        })
        .collect()
}

/// What nobody could judge, said once for each target.
pub fn notes(links: &[Link]) -> Vec<String> {
    let outside = links.iter().filter(|link| link.ends.1 == End::Outside);
    let (judged, unjudged): (Vec<&Link>, Vec<&Link>) =
        outside.partition(|link| link.verdict != Verdict::Unjudged);
    if judged.is_empty() && !unjudged.is_empty() {
        return vec![
            "the way out wasn't judged: neither the host's router nor its name servers answer the host"
                .to_owned(),
        ];
    }
    Vec::new()
}

fn name(end: End, topology: &Topology) -> String {
    match end {
        End::Host => HOST.to_owned(),
        End::Outside => OUTSIDE.to_owned(),
        End::Sandbox(index) => topology
            .sandboxes
            .get(index)
            .map_or_else(String::new, |sandbox| sandbox.label(topology)),
    }
}

/// `tcp 172.18.0.2:80`.
fn what(by: &By) -> String {
    match by {
        By::Name { name } => format!("name {name}"),
        By::Tcp { host, port } if host.contains(':') => format!("tcp [{host}]:{port}"),
        By::Tcp { host, port } => format!("tcp {host}:{port}"),
        By::Ping { host } => format!("ping {host}"),
    }
}

fn judge(expectation: &Expectation, seen: &Observation) -> (Verdict, String) {
    let unjudged = |why: &str| (Verdict::Unjudged, why.to_owned());
    let Some(report) = seen.reports.get(&expectation.from) else {
        return unjudged("not looked at");
    };
    if expectation.to == End::Outside {
        let host = seen.reports.get(&End::Host);
        if !host.is_some_and(|host| answered(host, &expectation.by)) {
            return unjudged("doesn't answer the host itself");
        }
        // One answer from out there proves the way; that something else stays silent is its choice.
        let mut out = seen.expected.iter().filter(|it| it.to == End::Outside);
        if expectation.open
            && !answered(report, &expectation.by)
            && out.any(|it| answered(report, &it.by))
        {
            return unjudged("no answer, though others out there do answer");
        }
    }
    match &expectation.by {
        By::Name { name } => judge_name(expectation, name, report, &seen.topology),
        By::Tcp { host, port } => match connection(report, host, *port) {
            Some(tried) if tried.attempts.is_empty() => {
                let answer = tried
                    .resolution
                    .as_ref()
                    .map_or("no address", |it| it.answer.as_str());
                (verdict(!expectation.open), answer.to_owned())
            }
            Some(tried) => judge_attempts(expectation, &tried.attempts),
            None => unjudged("not asked"),
        },
        By::Ping { host } => match echo(report, host) {
            Some(tried) if tried.attempts.iter().all(|it| it.reach == Reach::Failed) => {
                let why = tried.attempts.first().and_then(|it| it.error.clone());
                unjudged(&format!("ping isn't possible: {}", why.unwrap_or_default()))
            }
            Some(tried) => judge_attempts(expectation, &tried.attempts),
            None => unjudged("not asked"),
        },
    }
}

fn judge_name(
    expectation: &Expectation,
    name: &str,
    report: &Report,
    topology: &Topology,
) -> (Verdict, String) {
    let Some(resolution) = resolution(report, name) else {
        return (Verdict::Unjudged, "not asked".to_owned());
    };
    let target = match expectation.to {
        End::Sandbox(index) => topology.sandboxes.get(index),
        _ => None,
    };
    let of_target =
        |address: &IpAddr| target.is_some_and(|it| it.addresses().any(|own| own == *address));
    let known = |address: &IpAddr| {
        let mut all = topology.sandboxes.iter().flat_map(Sandbox::addresses);
        all.any(|own| own == *address)
    };
    let hit = resolution.addresses.iter().any(of_target);
    let mut saw = match resolution.answer {
        Answer::Found => resolution
            .addresses
            .iter()
            .map(IpAddr::to_string)
            .collect::<Vec<_>>()
            .join(" "),
        other => other.as_str().to_owned(),
    };
    let stranger = resolution.addresses.iter().find(|address| !known(address));
    if expectation.open
        && let Some(stranger) = stranger
    {
        saw = format!("{saw}, of which {stranger} is no container of the stack");
        return (Verdict::Fail, saw);
    }
    (verdict(hit == expectation.open), saw)
}

fn judge_attempts(expectation: &Expectation, attempts: &[Attempt]) -> (Verdict, String) {
    let reached = |attempt: &&Attempt| attempt.reach == Reach::Reached;
    let proves = |attempt: &Attempt| match attempt.reach {
        Reach::Reached => true,
        // The way is open; the image only says that something might listen.
        Reach::Refused => !expectation.declared || expectation.to == End::Outside,
        _ => false,
    };
    let ok = if expectation.open {
        !attempts.is_empty() && attempts.iter().all(proves)
    } else if expectation.to == End::Outside {
        !attempts.iter().any(proves)
    } else {
        !attempts.iter().any(|it| reached(&it))
    };
    // The telling attempt is the one that isn't as it should be.
    let telling = attempts.iter().find(|it| proves(it) != expectation.open);
    let saw = telling
        .or(attempts.first())
        .map_or_else(String::new, describe);
    (verdict(ok), saw)
}

fn describe(attempt: &Attempt) -> String {
    match (attempt.reach, &attempt.error) {
        (Reach::Reached, _) => "open".to_owned(),
        (reach @ (Reach::Refused | Reach::Timeout), _) | (reach, None) => reach.as_str().to_owned(),
        (reach, Some(error)) => format!("{} ({})", reach.as_str(), escape(error)),
    }
}

fn verdict(ok: bool) -> Verdict {
    if ok { Verdict::Pass } else { Verdict::Fail }
}

/// What the likely cause of the failures between two ends is derived from.
struct Evidence<'a> {
    project: &'a Project,
    seen: &'a Observation,
    links: &'a [&'a Link],
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

    /// Something that should be open isn't. The most certain evidence comes first.
    fn why_closed(&self) -> String {
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
            .filter(|link| link.seen == "refused")
            .filter_map(|link| match link.by {
                By::Tcp { port, .. } => Some(port),
                _ => None,
            })
            .collect();
        if let Some(port) = refused.first() {
            return why_refused(target, *port);
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
        let theirs = attachments(self.project, &target.service)?;
        let ours = self
            .source()
            .and_then(|it| attachments(self.project, &it.service));
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
        if let Some(resolver) = source.resolver.as_ref().filter(|it| !uses_embedded_dns(it)) {
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
            let stranger = self
                .links
                .iter()
                .any(|link| link.seen.contains("no container of the stack"));
            if stranger {
                return Some(format!(
                    "a container that isn't of the stack answers to {name} too"
                ));
            }
            for (network, attachment) in attachments(self.project, &target.service)? {
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
    fn why_open(&self) -> String {
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
        if self.target().is_none() {
            let leaky = source
                .endpoints
                .iter()
                .filter_map(|it| self.topology().network(&it.network));
            if let Some(network) = leaky.into_iter().find(|network| !network.internal) {
                return format!("network {} isn't internal", network.name);
            }
        }
        "the engine's rules that keep bridges apart are missing or overruled (look at \
         `iptables -S DOCKER-USER` and `iptables -S DOCKER-ISOLATION-STAGE-1`)"
            .to_owned()
    }
}

/// Why the target's own kernel says that nothing listens.
fn why_refused(target: &Sandbox, port: u16) -> String {
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
        (false, _) => {
            format!(
                "port {port} listens in {}, so a rule on the host rejects the connection",
                target.container
            )
        }
    }
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
    let given = attachments(project, &sandbox.service)?;
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
