//! Plans the probes and runs them: one for each sandbox and one on the host, side by side, each
//! asked everything in one go.

use std::collections::HashMap;

use compose_file::Project;
use engine::error::{Error, Result};
use engine::{Engine, reached_at};

use super::Subject;
use super::beyond::Beyond;
use super::expect::links;
use super::link::{Basis, By, End, Expectation};
use crate::inspect::Topology;
use crate::inspect::model::Sandbox;
use crate::probe::image::Image;
use crate::probe::report::{Connection, Echo, Fetched, Reach, Resolution};
use crate::probe::request::{Resource, Target};
use crate::probe::run::{Place, many};
use crate::probe::{Report, Request};

/// Everything that was expected and seen of one stack at one time.
#[derive(Debug)]
pub(super) struct Observation {
    /// The network as it is.
    pub(super) topology: Topology,
    /// What the file implies.
    pub(super) expected: Vec<Expectation>,
    /// What probes answered; nothing for places that couldn't be looked at.
    pub(super) reports: HashMap<End, Report>,
    /// Published TCP ports with the host's address to try them at.
    pub(super) published: Vec<(String, Target)>,
}

/// A first look at the stack, which finds out what there is to ask about and waits for nothing.
///
/// # Errors
/// When nothing of the stack runs, or the engine refuses.
pub(super) async fn survey(subject: &Subject<'_>) -> Result<(Topology, Image)> {
    let &Subject {
        engine, project, ..
    } = subject;
    let mut topology = Topology::of_engine(engine, project).await?;
    if !topology.sandboxes.iter().any(Sandbox::is_up) {
        return Err(Error::failed(
            format!("{} is not running", project.name),
            "`deploy up` brings it up",
        ));
    }
    let image = subject.image().await?;
    topology.look(engine, &image).await;
    Ok((topology, image))
}

/// Asks everything about the stack that was surveyed. `timeout_ms` is for each single question.
pub(super) async fn observe(
    engine: &Engine,
    project: &Project,
    (mut topology, image): (Topology, Image),
    timeout_ms: u64,
) -> Observation {
    let base = Request {
        timeout_ms,
        ..Request::default()
    };
    let beyond = Beyond::of(&topology);
    let expected = links(project, &topology, &beyond);
    let published = published(&topology);

    let places = topology.places();
    let ends: Vec<End> = places.iter().map(|place| end(place, &topology)).collect();
    let questions: Vec<(Place, Request)> = places
        .into_iter()
        .zip(&ends)
        .map(|(place, end)| {
            let own = expected
                .iter()
                .filter(|it| it.from == *end && it.basis != Basis::NoRoute)
                .map(|it| &it.by);
            let mut request = base.clone();
            for by in own {
                ask(&mut request, by);
            }
            if *end == End::Host {
                for by in beyond.of_the_host() {
                    ask(&mut request, &by);
                }
                add_published(&mut request, &published, &topology);
            }
            (place, request)
        })
        .collect();
    let answers = many(engine, &image, &questions).await;
    let mut reports = HashMap::new();
    for ((place, _), (end, answer)) in questions.iter().zip(ends.into_iter().zip(answers)) {
        match answer {
            Ok(report) => _ = reports.insert(end, report),
            Err(error) => topology.add(place, Err(&error)),
        }
    }
    Observation {
        topology,
        expected,
        reports,
        published,
    }
}

fn end(place: &Place, topology: &Topology) -> End {
    let Place::Sandbox(id) = place else {
        return End::Host;
    };
    let position = topology
        .sandboxes
        .iter()
        .position(|sandbox| sandbox.id == *id);
    position.map_or(End::Host, End::Sandbox)
}

/// Whether anything came back from the target.
pub(super) fn answered(report: &Report, by: &By) -> bool {
    let attempts = match by {
        By::Name { name } => {
            return resolution(report, name).is_some_and(|it| it.answer.is_told());
        }
        By::Tcp { host, port } => connection(report, host, *port).map(|it| &it.attempts),
        By::Ping { host } => echo(report, host).map(|it| &it.attempts),
    };
    attempts.is_some_and(|attempts| {
        attempts
            .iter()
            .any(|it| matches!(it.reach, Reach::Reached | Reach::Refused))
    })
}

/// The answer to a name.
pub(super) fn resolution<'a>(report: &'a Report, name: &str) -> Option<&'a Resolution> {
    report.resolved.iter().find(|it| it.name == name)
}

/// The answer of a port.
pub(super) fn connection<'a>(report: &'a Report, host: &str, port: u16) -> Option<&'a Connection> {
    report
        .connected
        .iter()
        .find(|it| it.target.host == host && it.target.port == port)
}

/// The answer to a ping.
pub(super) fn echo<'a>(report: &'a Report, host: &str) -> Option<&'a Echo> {
    report.pinged.iter().find(|it| it.host == host)
}

/// The answer to an HTTP request.
pub(super) fn fetched<'a>(report: &'a Report, resource: &Resource) -> Option<&'a Fetched> {
    report.fetched.iter().find(|it| it.resource == *resource)
}

/// Puts a question among those of a request.
pub(super) fn ask(request: &mut Request, by: &By) {
    match by {
        By::Name { name } => add(&mut request.resolve, name.clone()),
        By::Tcp { host, port } => {
            add(
                &mut request.connect,
                Target {
                    host: host.clone(),
                    port: *port,
                },
            );
        }
        By::Ping { host } => add(&mut request.ping, host.clone()),
    }
}

/// Adds what isn't there.
pub(super) fn add<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

/// Published ports, and whether metrics that belong to an unpublished port come out of them.
fn add_published(request: &mut Request, published: &[(String, Target)], topology: &Topology) {
    for (_, target) in published {
        add(&mut request.connect, target.clone());
        add(&mut request.get, metrics(target));
    }
    if published.is_empty() {
        return;
    }
    for target in unpublished(topology) {
        add(&mut request.get, metrics(&target));
    }
}

/// Where a service's metrics would be.
pub(super) fn metrics(target: &Target) -> Resource {
    Resource {
        host: target.host.clone(),
        port: target.port,
        path: "/metrics".to_owned(),
    }
}

/// TCP ports that something listens on and that the host doesn't forward.
pub(super) fn unpublished(topology: &Topology) -> Vec<Target> {
    let mut targets = Vec::new();
    for sandbox in topology.sandboxes.iter().filter(|sandbox| sandbox.is_up()) {
        let Some(address) = sandbox.addresses().next() else {
            continue;
        };
        let open = sandbox.open_ports().into_iter();
        let unpublished = open.filter(|port| !sandbox.published.iter().any(|it| it.port == *port));
        targets.extend(unpublished.map(|port| Target {
            host: address.to_string(),
            port,
        }));
    }
    targets
}

/// Published TCP ports by container, with the address at which the host itself reaches them.
fn published(topology: &Topology) -> Vec<(String, Target)> {
    let mut published = Vec::new();
    for sandbox in topology.sandboxes.iter().filter(|sandbox| sandbox.is_up()) {
        let ports = sandbox
            .published
            .iter()
            .filter(|port| port.protocol == "tcp");
        for port in ports {
            let target = Target {
                host: reached_at(port.host_ip).to_string(),
                port: port.host_port,
            };
            published.push((sandbox.label(topology), target));
        }
    }
    published
}
