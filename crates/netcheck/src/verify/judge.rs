//! Compares what the file implies with what was seen. Pure: everything it needs has been looked up.

use std::collections::BTreeMap;
use std::net::IpAddr;

use compose_file::Project;

use super::cause::Evidence;
use super::check::Finding;
use super::link::{Basis, By, End, Expectation, HOST, Link, OUTSIDE, Seen, Verdict};
use super::observe::{Observation, answered, connection, echo, resolution};
use crate::inspect::Topology;
use crate::inspect::model::Sandbox;
use crate::probe::Report;
use crate::probe::report::{Answer, Attempt, Reach};
use crate::probe::request::Target;

/// Judges every expectation.
pub(super) fn links(seen: &Observation) -> Vec<Link> {
    seen.expected
        .iter()
        .filter_map(|expectation| {
            let (verdict, saw) = judge(expectation, seen)?;
            Some(Link {
                from: place(expectation.from, &seen.topology),
                to: name(expectation.to, &seen.topology),
                column: column(expectation.to, &seen.topology),
                by: expectation.by.clone(),
                open: expectation.open,
                seen: saw,
                verdict,
                ends: (expectation.from, expectation.to),
            })
        })
        .collect()
}

/// The failures, in a sentence for each two ends: what was expected, what was seen, the likely cause.
pub(super) fn findings(project: &Project, seen: &Observation, links: &[Link]) -> Vec<Finding> {
    let each = by_ends(links, Verdict::Fail).into_iter();
    let sentence = |ends: String, links: Vec<&Link>| {
        let open = links.first().is_some_and(|link| link.open);
        let saw: Vec<String> = links
            .iter()
            .map(|link| format!("{} {}", what(link), link.seen))
            .collect();
        let evidence = Evidence {
            project,
            seen,
            links: &links,
        };
        let (expected, cause) = if open {
            ("open", evidence.why_closed())
        } else {
            ("closed", evidence.why_open())
        };
        let sentence = format!(
            "{ends}: expected {expected}, saw {}; likely cause: {cause}",
            saw.join(", ")
        );
        finding(&ends, &links, sentence)
    };
    each.map(|(ends, links)| sentence(ends, links)).collect()
}

/// What is open and not closed by the file, and what would close it; in a sentence for each two ends.
pub(super) fn remaining(project: &Project, seen: &Observation, links: &[Link]) -> Vec<Finding> {
    let each = by_ends(links, Verdict::Remains).into_iter();
    let sentence = |ends: String, links: Vec<&Link>| {
        let evidence = Evidence {
            project,
            seen,
            links: &links,
        };
        let sentence = format!(
            "{ends}: {}, and the file doesn't close it: {}",
            seen_of(&links),
            evidence.how_to_close()
        );
        finding(&ends, &links, sentence)
    };
    each.map(|(ends, links)| sentence(ends, links)).collect()
}

/// What couldn't be judged, in a sentence for each two ends.
pub(super) fn unjudged(links: &[Link]) -> Vec<Finding> {
    let each = by_ends(links, Verdict::Unjudged).into_iter();
    let sentence = |ends: String, links: Vec<&Link>| {
        let sentence = format!("{ends}: {}", seen_of(&links));
        finding(&ends, &links, sentence)
    };
    each.map(|(ends, links)| sentence(ends, links)).collect()
}

/// Of two ends there is one thing to be said of what should be open, and one of what should be closed,
/// whatever the verdict.
fn finding(ends: &str, links: &[&Link], sentence: String) -> Finding {
    let open = links.first().is_some_and(|link| link.open);
    Finding {
        subject: format!("{ends} ({})", if open { "open" } else { "closed" }),
        sentence,
    }
}

/// The links with this verdict by their two ends, which are written as `proxy → mongo`, and by whether
/// they should be open.
fn by_ends(links: &[Link], verdict: Verdict) -> Vec<(String, Vec<&Link>)> {
    let mut groups: BTreeMap<(End, End, bool), Vec<&Link>> = BTreeMap::new();
    for link in links.iter().filter(|link| link.verdict == verdict) {
        let (from, to) = link.ends;
        groups.entry((from, to, link.open)).or_default().push(link);
    }
    groups
        .into_values()
        .filter_map(|links| {
            let first = links.first()?;
            Some((format!("{} → {}", first.from, first.to), links))
        })
        .collect()
}

/// `name mongo NXDOMAIN, tcp 172.18.0.2:80 refused`; what several have in common is said once.
fn seen_of(links: &[&Link]) -> String {
    let mut by_seen: Vec<(String, Vec<String>)> = Vec::new();
    for link in links {
        let saw = link.seen.to_string();
        match by_seen.iter_mut().find(|(seen, _)| *seen == saw) {
            Some((_, tried)) => tried.push(what(link)),
            None => by_seen.push((saw, vec![what(link)])),
        }
    }
    let each = by_seen
        .into_iter()
        .map(|(seen, tried)| format!("{} {seen}", tried.join(", ")));
    each.collect::<Vec<_>>().join(", ")
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

/// Where something is tried from.
fn place(end: End, topology: &Topology) -> String {
    let source = match end {
        End::Sandbox(index) => topology.sandboxes.get(index),
        _ => None,
    };
    source.map_or_else(|| name(end, topology), |it| it.place(topology))
}

fn column(end: End, topology: &Topology) -> String {
    match end {
        End::Sandbox(index) if topology.is_of_swarm() => topology
            .sandboxes
            .get(index)
            .map_or_else(String::new, |it| it.service.clone()),
        end => name(end, topology),
    }
}

/// `tcp 172.18.0.2:80`.
fn what(link: &Link) -> String {
    match &link.by {
        // Another one at each look.
        By::Name { .. } if link.ends.1 == End::Outside => "a name there".to_owned(),
        By::Name { name } => format!("name {name}"),
        By::Tcp { host, port } => {
            let (host, port) = (host.clone(), *port);
            format!("tcp {}", Target { host, port })
        }
        By::Ping { host } => format!("ping {host}"),
    }
}

/// `None` where another answer is the proof.
fn judge(expectation: &Expectation, seen: &Observation) -> Option<(Verdict, Seen)> {
    let unjudged = |why| Some((Verdict::Unjudged, why));
    let Some(report) = seen.reports.get(&expectation.from) else {
        return unjudged(Seen::NotLookedAt);
    };
    if expectation.basis == Basis::NoRoute {
        return Some((verdict(!expectation.open), Seen::NoRoute));
    }
    if expectation.to == End::Outside {
        let is_name = |by: &By| matches!(by, By::Name { .. });
        let mut alike = seen.expected.iter().filter(|it| {
            (it.from, it.to) == (expectation.from, expectation.to)
                && is_name(&it.by) == is_name(&expectation.by)
        });
        let host = seen.reports.get(&End::Host);
        let answers_host = |by: &By| host.is_some_and(|host| answered(host, by));
        if !answers_host(&expectation.by) {
            // One that does answer is enough to try the way with.
            return if alike.any(|it| answers_host(&it.by)) {
                None
            } else {
                unjudged(Seen::SilentToHost)
            };
        }
        // One answer from out there proves the way; that something else stays silent is its choice.
        if expectation.open
            && !answered(report, &expectation.by)
            && alike.any(|it| answered(report, &it.by))
        {
            return None;
        }
    }
    let (verdict, saw) = match &expectation.by {
        By::Name { name } => judge_name(expectation, name, report, &seen.topology),
        By::Tcp { host, port } => match connection(report, host, *port) {
            Some(tried) if tried.attempts.is_empty() => {
                let answer = tried.resolution.as_ref();
                let saw = answer.map_or(Seen::NoAddress, |it| Seen::Answer(it.answer));
                (verdict(!expectation.open), saw)
            }
            Some(tried) => judge_attempts(expectation, &tried.attempts),
            None => return unjudged(Seen::NotAsked),
        },
        By::Ping { host } => match echo(report, host) {
            Some(tried) if tried.attempts.iter().all(|it| it.reach == Reach::Failed) => {
                let why = tried.attempts.first().and_then(|it| it.error.clone());
                return unjudged(Seen::Impossible(why.unwrap_or_default()));
            }
            Some(tried) => judge_attempts(expectation, &tried.attempts),
            None => return unjudged(Seen::NotAsked),
        },
    };
    let verdict = match verdict {
        Verdict::Fail if expectation.basis == Basis::Engine => Verdict::Remains,
        verdict => verdict,
    };
    Some((verdict, saw))
}

fn judge_name(
    expectation: &Expectation,
    name: &str,
    report: &Report,
    topology: &Topology,
) -> (Verdict, Seen) {
    let Some(resolution) = resolution(report, name) else {
        return (Verdict::Unjudged, Seen::NotAsked);
    };
    if expectation.to == End::Outside {
        let saw = match resolution.answer {
            answer if answer.is_told() => Seen::Told(answer),
            answer => Seen::Answer(answer),
        };
        return (
            verdict(resolution.answer.is_told() == expectation.open),
            saw,
        );
    }
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
    let stranger = resolution.addresses.iter().find(|address| !known(address));
    let stranger = stranger.copied().filter(|_| expectation.open);
    let saw = match resolution.answer {
        Answer::Found => Seen::Addresses {
            all: resolution.addresses.clone(),
            stranger,
        },
        other => Seen::Answer(other),
    };
    if stranger.is_some() {
        return (Verdict::Fail, saw);
    }
    (verdict(hit == expectation.open), saw)
}

fn judge_attempts(expectation: &Expectation, attempts: &[Attempt]) -> (Verdict, Seen) {
    let is_beyond = matches!(expectation.to, End::Outside | End::Host);
    let reached = |attempt: &&Attempt| attempt.reach == Reach::Reached;
    let proves = |attempt: &Attempt| match attempt.reach {
        Reach::Reached => true,
        // The way is open; the image only says that something might listen.
        Reach::Refused => expectation.basis == Basis::Undeclared || is_beyond,
        _ => false,
    };
    let ok = if expectation.open {
        !attempts.is_empty() && attempts.iter().all(proves)
    } else if is_beyond {
        !attempts.iter().any(proves)
    } else {
        !attempts.iter().any(|it| reached(&it))
    };
    // The telling attempt is the one that isn't as it should be.
    let telling = attempts.iter().find(|it| proves(it) != expectation.open);
    let saw = telling.or(attempts.first()).map_or(Seen::Nothing, Seen::of);
    (verdict(ok), saw)
}

fn verdict(ok: bool) -> Verdict {
    if ok { Verdict::Pass } else { Verdict::Fail }
}
