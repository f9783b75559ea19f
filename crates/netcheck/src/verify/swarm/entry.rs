//! Requests through the published ports: the whole way through the manager's own, where the database and
//! a TLS client can be run commands in; and up to the answer through every other node's.

use compose_file::Project;
use compose_file::model::{Port, PublishMode, ServiceName};
use engine::Engine;
use hyper::StatusCode;

use super::super::check::{Check, check};
use super::super::link::{HOST, Verdict};
use super::super::observe::{connection, fetched};
use super::super::request::{self, Silence};
use super::super::{SecretValues, Spoken, journey, published, spoken};
use super::Survey;
use crate::inspect::Topology;
use crate::inspect::model::{Node, Sandbox};
use crate::probe::image::Image;
use crate::probe::report::Reach;
use crate::probe::request::{Resource, Target};
use crate::probe::run::{Place, one};
use crate::probe::{Report, Request};

/// For a request, which goes through the whole stack.
const TIMEOUT_MS: u64 = 10_000;

/// A published port of another node.
struct Door<'a> {
    service: &'a ServiceName,
    port: &'a Port,
    node: &'a Node,
    target: Target,
    /// Its path and query, with a word that nobody else uses; none where it is only connected to.
    asked: Option<(String, String)>,
}

impl Door<'_> {
    fn resource(&self) -> Option<Resource> {
        let (_, path) = self.asked.as_ref()?;
        Some(Resource {
            host: self.target.host.clone(),
            port: self.target.port,
            path: path.clone(),
        })
    }
}

/// Tries every published TCP port of every node. `here`: the id of the node whose engine this is. Returns
/// notes as well.
pub(super) async fn checks(
    engine: &Engine,
    survey: &Survey,
    secrets: &SecretValues<'_>,
    image: &Image,
    here: &str,
) -> (Vec<Check>, Vec<String>) {
    let topology = &survey.topology;
    let name = topology.nodes.iter().find(|it| it.id == here);
    let name = name.map_or(HOST, |it| it.name.as_str());
    let doors = doors(engine, survey, name);
    let request = Request {
        timeout_ms: TIMEOUT_MS,
        connect: doors
            .iter()
            .filter(|it| it.asked.is_none())
            .map(|it| it.target.clone())
            .collect(),
        get: doors.iter().filter_map(Door::resource).collect(),
        ..Request::default()
    };
    let report = one(engine, image, &Place::Host, &request).await;
    let mut checks = match &report {
        Ok(report) => doors
            .iter()
            .map(|it| judged(&survey.project, it, report))
            .collect(),
        Err(error) => vec![Check {
            from: name.to_owned(),
            to: "the published ports".to_owned(),
            by: "look",
            expected: "a report".to_owned(),
            observed: error.message.clone(),
            verdict: Verdict::Unjudged,
            cause: String::new(),
        }],
    };
    for check in &mut checks {
        name.clone_into(&mut check.from);
    }

    let mut local = topology.clone();
    local
        .sandboxes
        .retain(|it| it.node.as_deref() == Some(name));
    local.add(&Place::Host, report.as_ref());
    let (project, mut notes) = reduced(&survey.project, &local, name);
    let (own, more) = journey::checks(engine, &project, secrets, &local, image).await;
    checks.extend(own.into_iter().map(|mut check| {
        if check.from == HOST {
            name.clone_into(&mut check.from);
        }
        check
    }));
    notes.extend(more);
    (checks, notes)
}

/// Published ports of nodes other than this one.
fn doors<'a>(engine: &'a Engine, survey: &'a Survey, here: &str) -> Vec<Door<'a>> {
    let Survey {
        project, topology, ..
    } = survey;
    let mut doors = Vec::new();
    for (service, port, target) in published(engine, project) {
        let runs_on = |node: &Node| {
            let mut tasks = topology.of_service(service).filter(|it| it.is_up());
            tasks.any(|it| it.node.as_ref() == Some(&node.name))
        };
        let mesh = port.mode != Some(PublishMode::Host);
        for node in topology.nodes.iter().filter(|it| it.ready) {
            if node.name == here || !(mesh || runs_on(node)) {
                continue;
            }
            let asked = match spoken(project, service, port) {
                Spoken::Http(entry) => Some(request::marked(&entry.request)),
                _ => None,
            };
            doors.push(Door {
                service,
                port,
                node,
                target: Target {
                    host: node.address.clone(),
                    port: target.port,
                },
                asked,
            });
        }
    }
    doors
}

fn judged(project: &Project, door: &Door<'_>, report: &Report) -> Check {
    let Door {
        service,
        port,
        node,
        target,
        ..
    } = door;
    let to = format!("{service} on {} ({target})", node.name);
    let Some((resource, (marker, _))) = door.resource().zip(door.asked.clone()) else {
        let attempt = connection(report, &target.host, target.port);
        let reach = attempt
            .and_then(|it| it.attempts.first())
            .map(|it| it.reach);
        let saw = reach.map_or("not asked", Reach::as_str).to_owned();
        let result = if reach == Some(Reach::Reached) {
            Ok(saw)
        } else {
            let cause = format!("is {service} healthy there, and the port open to clients?");
            Err((saw, cause))
        };
        return check((HOST, &to, "tcp"), "open", result);
    };
    let answer = match fetched(report, &resource) {
        None => Err(Silence::NotAsked("the probe was silent".to_owned())),
        Some(it) => {
            let status = it.status.and_then(|it| StatusCode::from_u16(it).ok());
            match status {
                Some(status) => Ok((status, it.body.clone())),
                None => Err(Silence::Seen(it.error.clone().unwrap_or_default())),
            }
        }
    };
    let document = match spoken(project, service, port) {
        Spoken::Http(entry) => entry.document.as_ref(),
        _ => None,
    };
    let mut check = match document {
        Some(document) => request::stored(service, target, "http", document, (marker, answer)).0,
        None => request::answered(service, target, "http", answer),
    };
    check.to = to;
    check
}

/// Without what can't be done from this node, which is told.
fn reduced(project: &Project, local: &Topology, here: &str) -> (Project, Vec<String>) {
    let runs = |service: &str| local.of_service(service).any(Sandbox::is_up);
    let mut project = project.clone();
    let mut notes = Vec::new();
    for (name, service) in &mut project.services {
        if !service.ports.is_empty() && !runs(name.as_str()) {
            service.ports.clear();
            notes.push(format!(
                "no request was sent through {here}: {name} doesn't run there"
            ));
        }
    }
    let Some(verify) = &mut project.verify else {
        return (project, notes);
    };
    for entry in verify.entry_points.values_mut() {
        if let Some(document) = entry.document.take_if(|it| !runs(it.service.as_str())) {
            notes.push(format!(
                "what a request leaves wasn't looked up: {} isn't on {here}, and commands are run in containers of \
                 this engine alone",
                document.service
            ));
        }
        if let Some(tls) = entry.tls.take_if(|it| !runs(it.service.as_str())) {
            notes.push(format!(
                "nothing was asked with TLS: {}, which has the client, isn't on {here}",
                tls.service
            ));
        }
    }
    (project, notes)
}
