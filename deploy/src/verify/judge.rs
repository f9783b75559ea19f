//! Compares what the file implies with what was seen. Pure: everything it needs has been looked up.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::cause::Evidence;
use super::expect::{By, End, Expectation};
use super::observe::{Observation, answered, connection, echo, resolution};
use crate::compose::Project;
use crate::inspect::Topology;
use crate::inspect::model::Sandbox;
use crate::output::text::escape;
use crate::probe::Report;
use crate::probe::report::{Answer, Attempt, Reach};

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
    pub(super) ends: (End, End),
}

impl Link {
    /// Whether it may have been a passing state: a busy machine that answers late; or a way that is
    /// open although it shouldn't be, because the engine takes the jump to its isolation rules out
    /// and puts it back in whenever a network is created somewhere.
    pub(super) fn deserves_a_second_look(&self) -> bool {
        self.verdict == Verdict::Fail && (!self.open || self.seen.contains("timeout"))
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
