//! What is true of a Swarm's nodes, networks and paths, against what the file and the engine need.

use std::collections::BTreeMap;
use std::net::IpAddr;

use compose_file::Project;
use engine::swarm::stack::Service;

use super::super::check::{Check, check};
use super::super::facts::{attached, internal};
use super::super::link::Verdict;
use super::super::observe::connection;
use super::Survey;
use super::look::{GOSSIP, Look, MANAGERS};
use crate::inspect::Topology;
use crate::inspect::model::{Network, Node};
use crate::probe::Report;
use crate::probe::report::Reach;

/// All of them, the ones that explain most first.
pub(super) fn checks(survey: &Survey, seen: &Look) -> Vec<Check> {
    let Survey {
        project,
        stack,
        topology,
    } = survey;
    let mut checks = silent(topology, seen);
    for key in project.services.keys() {
        checks.push(runs(survey, key, stack.services.get(key.as_str())));
    }
    for sandbox in topology.sandboxes.iter().filter(|it| it.is_up()) {
        attached(project, topology, sandbox, &mut checks);
    }
    for network in topology.networks.iter().filter(|it| it.id.is_some()) {
        checks.extend(internal(project, network));
        checks.extend(encryption(project, network));
    }
    for (node, report) in heard(topology, seen) {
        ports(topology, node, report, &mut checks);
    }
    checks.extend(paths(topology, seen));
    checks
}

/// Places from which nobody could look, and why: once for each node.
fn silent(topology: &Topology, seen: &Look) -> Vec<Check> {
    let mut checks: Vec<Check> = Vec::new();
    for answers in seen.answers.iter().chain([&seen.hosts]) {
        for (id, answer) in answers {
            let Err(error) = answer else { continue };
            let node = topology.nodes.iter().find(|it| it.id == *id);
            let node = node.map_or(id, |it| &it.name);
            let observed = format!("{}; {}", error.message, error.next);
            let known = |it: &Check| it.from == *node && it.observed == observed;
            if checks.iter().any(known) {
                continue;
            }
            checks.push(Check {
                from: node.clone(),
                to: "the others".to_owned(),
                by: "look",
                expected: "a report".to_owned(),
                observed,
                verdict: Verdict::Unjudged,
                cause: String::new(),
            });
        }
    }
    checks
}

fn runs(survey: &Survey, key: &str, service: Option<&Service>) -> Check {
    let topology = &survey.topology;
    let up = topology.of_service(key).filter(|it| it.is_up()).count();
    let seen = format!("{up} running");
    let Some(service) = service else {
        let cause = format!("there is no service {}_{key}", survey.project.name);
        return check(("engine", key, "tasks"), "running", Err((seen, cause)));
    };
    let wanted = wanted(survey, service);
    let down = topology.of_service(key).find(|it| !it.is_up());
    let result = if up >= wanted {
        Ok(seen)
    } else {
        let cause = match down {
            Some(task) => format!("{} doesn't run yet, or can't", task.container),
            None => format!("{key} has {up} task(s)"),
        };
        Err((seen, format!("{cause}: `deploy ps` says why")))
    };
    check(
        ("engine", key, "tasks"),
        format!("{wanted} running"),
        result,
    )
}

/// So many tasks are to run: as the service was told, which `deploy scale` does too.
fn wanted(survey: &Survey, service: &Service) -> usize {
    let mode = service.spec.mode.clone().unwrap_or_default();
    if let Some(replicated) = mode.replicated {
        return usize::try_from(replicated.replicas.unwrap_or(1)).unwrap_or(usize::MAX);
    }
    let nodes = survey.stack.nodes.iter();
    nodes.filter(|it| it.may_run(service.constraints())).count()
}

fn encryption(project: &Project, network: &Network) -> Option<Check> {
    let overlay = network.overlay.as_ref()?;
    let given = project.network_named(&network.name);
    let given = given.filter(|given| !given.external)?;
    let say = |encrypted: bool| {
        if encrypted {
            "encrypted"
        } else {
            "not encrypted"
        }
        .to_owned()
    };
    let wanted = given.driver_opts.contains_key("encrypted");
    let result = if wanted == overlay.encrypted {
        Ok(say(overlay.encrypted))
    } else {
        let cause = format!(
            "network {} was created otherwise than the file says",
            network.name
        );
        Err((say(overlay.encrypted), cause))
    };
    Some(check(
        ("engine", &network.name, "encryption"),
        say(wanted),
        result,
    ))
}

/// The nodes that were looked from, with what was seen on their own networks.
fn heard<'a>(
    topology: &'a Topology,
    seen: &'a Look,
) -> impl Iterator<Item = (&'a Node, &'a Report)> {
    topology.nodes.iter().filter_map(|node| {
        let report = seen.hosts.get(&node.id)?.as_ref().ok()?;
        Some((node, report))
    })
}

/// What engines say to each other gets through.
fn ports(topology: &Topology, from: &Node, report: &Report, checks: &mut Vec<Check>) {
    let others = topology.nodes.iter();
    for to in others.filter(|it| it.ready && it.id != from.id) {
        for (port, by) in [(GOSSIP, "7946/tcp"), (MANAGERS, "2377/tcp")] {
            if port == MANAGERS && !to.manager {
                continue;
            }
            let Some(tried) = connection(report, &to.address, port) else {
                continue;
            };
            let reach = tried.attempts.first().map(|it| it.reach);
            let saw = reach.map_or("no address", Reach::as_str).to_owned();
            let result = if reach == Some(Reach::Reached) {
                Ok(saw)
            } else {
                let cause = format!(
                    "a firewall between the nodes, or none listens: {by} of {} has to be open to the other nodes",
                    to.address
                );
                Err((saw, cause))
            };
            checks.push(check((&from.name, &to.name, by), "open", result));
        }
    }
}

/// Packets as long as an interface sends them get to the other nodes, and back. Where several looked
/// along the same path, the shortest tells.
fn paths(topology: &Topology, seen: &Look) -> Vec<Check> {
    let mut found: BTreeMap<(String, String, String), (u32, u32)> = BTreeMap::new();
    for answers in &seen.answers {
        for (id, answer) in answers {
            let (Some(from), Ok(report)) = (topology.nodes.iter().find(|it| it.id == *id), answer)
            else {
                continue;
            };
            for path in &report.paths {
                let (Some(sent), Some(answered)) = (path.interface, path.answered) else {
                    continue;
                };
                let Some((node, network)) = whose(topology, path.address) else {
                    continue;
                };
                if node == from.name {
                    continue;
                }
                let key = (from.name.clone(), node.to_owned(), network.to_owned());
                let known = found.entry(key).or_insert((sent, answered));
                *known = (sent, known.1.min(answered));
            }
        }
    }
    let each = found.into_iter();
    each.map(|((from, to, network), (sent, answered))| {
        let saw = format!("{answered} bytes");
        let result = if answered >= sent {
            Ok(saw)
        } else {
            let room = topology
                .network(&network)
                .and_then(|it| it.overlay.as_ref())
                .map_or(0, |it| it.path_mtu - it.mtu);
            Err((
                saw,
                format!(
                    "longer packets are lost between {from} and {to}, so that connections hang once they carry more \
                     than a little: give the network `driver_opts: {{com.docker.network.driver.mtu: \"{}\"}}` \
                     (`deploy down`, `deploy up`), or the path between the nodes {} bytes",
                    answered + room,
                    sent + room
                ),
            ))
        };
        let to = format!("{to} over {network}");
        check((&from, &to, "mtu"), format!("{sent} bytes"), result)
    })
    .collect()
}

/// The node and the network of an address.
fn whose(topology: &Topology, address: IpAddr) -> Option<(&str, &str)> {
    topology.sandboxes.iter().find_map(|sandbox| {
        let mut on = sandbox.endpoints.iter();
        let endpoint = on.find(|it| it.addresses().any(|own| own == address))?;
        Some((sandbox.node.as_deref()?, endpoint.network.as_str()))
    })
}

/// Where packets between nodes are cut into pieces: they arrive, at a price. A sentence each.
pub(super) fn pieces(survey: &Survey, seen: &Look) -> Vec<String> {
    let topology = &survey.topology;
    let overlays = topology
        .networks
        .iter()
        .filter_map(|it| it.overlay.as_ref());
    let Some(needed) = overlays.map(|it| it.path_mtu).max() else {
        return Vec::new();
    };
    let mut notes = Vec::new();
    for (node, report) in heard(topology, seen) {
        for path in &report.paths {
            let to = topology
                .nodes
                .iter()
                .find(|it| it.address.parse::<IpAddr>() == Ok(path.address) && it.id != node.id);
            if let (Some(to), Some(answered)) = (to, path.answered.filter(|it| *it < needed)) {
                notes.push(format!(
                    "from {} to {} packets of up to {answered} bytes get through, and those of the networks are up to \
                     {needed}: longer ones are cut in two, or lost; `driver_opts: \
                     {{com.docker.network.driver.mtu: \"{answered}\"}}` of the networks avoids both",
                    node.name, to.name
                ));
            }
        }
    }
    notes
}
