//! Plans the probes and runs them: one for each sandbox and one on the host, side by side, each
//! asked everything in one go.

use std::collections::HashMap;
use std::net::IpAddr;

use super::expect::{By, End, Expectation, links};
use crate::compose::Project;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::inspect::Topology;
use crate::inspect::model::Sandbox;
use crate::probe::image::Image;
use crate::probe::report::{Connection, Echo, Fetched, Reach, Resolution};
use crate::probe::request::{Resource, Target};
use crate::probe::run::{Place, many};
use crate::probe::{Report, Request};

/// Everything that was expected and seen of one stack at one time.
#[derive(Debug)]
pub struct Observation {
    /// The network as it is.
    pub topology: Topology,
    /// What the file implies.
    pub expected: Vec<Expectation>,
    /// What probes answered; nothing for places that couldn't be looked at.
    pub reports: HashMap<End, Report>,
    /// Published TCP ports with the host's address to try them at.
    pub published: Vec<(String, Target)>,
}

/// Looks at the stack. `timeout_ms` is for each single question.
pub async fn observe(engine: &Engine, project: &Project, timeout_ms: u64) -> Result<Observation> {
    let docker = engine.docker();
    let base = Request {
        timeout_ms,
        ..Request::default()
    };
    let mut topology = Topology::of_engine(engine, project).await?;
    if !topology.sandboxes.iter().any(Sandbox::is_up) {
        return Err(Error::failed(
            format!("{} is not running", project.name),
            "`deploy up` brings it up",
        ));
    }
    let image = Image::ensure(docker).await?;
    // A first look finds out what there is to ask about; it waits for nothing.
    topology.look(engine, &image).await;
    let outside = outside(&topology);
    let expected = links(project, &topology, &outside);
    let published = published(&topology);

    let places = topology.places();
    let ends: Vec<End> = places.iter().map(|place| end(place, &topology)).collect();
    let questions: Vec<(Place, Request)> = places
        .into_iter()
        .zip(&ends)
        .map(|(place, end)| {
            let own = expected
                .iter()
                .filter(|it| it.from == *end)
                .map(|it| &it.by);
            let mut request = base.clone();
            for by in own {
                ask(&mut request, by);
            }
            if *end == End::Host {
                for by in &outside {
                    ask(&mut request, by);
                }
                add_published(&mut request, &published, &topology);
            }
            (place, request)
        })
        .collect();
    let answers = many(docker, &image, &questions).await;
    let mut reports = HashMap::new();
    for ((place, _), (end, answer)) in questions.iter().zip(ends.into_iter().zip(answers)) {
        match answer {
            Ok(report) => _ = reports.insert(end, report),
            Err(error) => topology.add(place, Err(&error)),
        }
    }
    Ok(Observation {
        topology,
        expected,
        reports,
        published,
    })
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

/// What lies behind the host: its router and its name servers. Nobody else is bothered. They are
/// asked by the host too: what doesn't answer the host proves nothing.
fn outside(topology: &Topology) -> Vec<By> {
    let host = &topology.host;
    let own = |address: &IpAddr| {
        let nets = host
            .interfaces
            .iter()
            .flat_map(|interface| &interface.addresses);
        address.is_loopback() || nets.into_iter().any(|net| net.addr() == *address)
    };
    let servers = host
        .resolver
        .iter()
        .flat_map(|resolver| &resolver.nameservers)
        .copied();
    let beyond = host
        .default_gateway
        .into_iter()
        .chain(servers)
        .filter(|it| !own(it));
    beyond
        .flat_map(|address| {
            let host = address.to_string();
            [
                By::Tcp {
                    host: host.clone(),
                    port: 53,
                },
                By::Ping { host },
            ]
        })
        .collect()
}

/// Whether anything came back from the target.
pub fn answered(report: &Report, by: &By) -> bool {
    let attempts = match by {
        By::Name { .. } => return false,
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
pub fn resolution<'a>(report: &'a Report, name: &str) -> Option<&'a Resolution> {
    report.resolved.iter().find(|it| it.name == name)
}

/// The answer of a port.
pub fn connection<'a>(report: &'a Report, host: &str, port: u16) -> Option<&'a Connection> {
    report
        .connected
        .iter()
        .find(|it| it.target.host == host && it.target.port == port)
}

/// The answer to a ping.
pub fn echo<'a>(report: &'a Report, host: &str) -> Option<&'a Echo> {
    report.pinged.iter().find(|it| it.host == host)
}

/// The answer to an HTTP request.
pub fn fetched<'a>(report: &'a Report, resource: &Resource) -> Option<&'a Fetched> {
    report.fetched.iter().find(|it| it.resource == *resource)
}

fn ask(request: &mut Request, by: &By) {
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

fn add<T: PartialEq>(list: &mut Vec<T>, item: T) {
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
pub fn metrics(target: &Target) -> Resource {
    Resource {
        host: target.host.clone(),
        port: target.port,
        path: "/metrics".to_owned(),
    }
}

/// TCP ports that something listens on and that the host doesn't forward.
pub fn unpublished(topology: &Topology) -> Vec<Target> {
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
        for port in sandbox
            .published
            .iter()
            .filter(|port| port.protocol == "tcp")
        {
            let host = match port.host_ip {
                Some(IpAddr::V4(ip)) if !ip.is_unspecified() => ip.to_string(),
                // `::` is published beside `0.0.0.0`, which is enough.
                Some(IpAddr::V6(ip)) if ip.is_unspecified() => continue,
                Some(IpAddr::V6(ip)) => ip.to_string(),
                _ => "127.0.0.1".to_owned(),
            };
            published.push((
                sandbox.label(topology),
                Target {
                    host,
                    port: port.host_port,
                },
            ));
        }
    }
    published
}
