//! The way of a request: through each published port, and where a database lies behind it, into
//! the database.

use std::collections::BTreeSet;

use compose_file::Project;
use compose_file::model::{Service, ServiceName};
use engine::Engine;
use engine::state::Status;

use super::judge::{HOST, Verdict};
use super::request::Vantage;
use super::{Check, SecretValues, database, published, speaks_http};
use crate::inspect::Topology;
use crate::inspect::model::Sandbox;
use crate::probe::image::Image;
use crate::probe::request::Target;

/// What came of the journeys.
#[derive(Debug, Default)]
pub(super) struct Journey {
    pub(super) checks: Vec<Check>,
    /// What was left out, and why that is no harm.
    pub(super) notes: Vec<String>,
}

/// Sends a request through every published TCP port, a marked one where a MongoDB is behind it.
pub(super) async fn checks(
    engine: &Engine,
    project: &Project,
    secrets: &SecretValues<'_>,
    topology: &Topology,
    image: &Image,
) -> Journey {
    let mut journey = Journey::default();
    let mongo = project
        .services
        .iter()
        .find(|(_, service)| is_mongo(service));
    let database = mongo.and_then(|(name, _)| Some((name, running(topology, name)?)));
    for (name, port, target) in published(engine, project) {
        if running(topology, name).is_none() {
            let why = format!("not tried: {name} isn't running");
            journey.checks.push(not_made(name, &target, why));
            continue;
        }
        let vantage = Vantage::of(engine, topology, image, &target);
        if !speaks_http(port) {
            journey.checks.push(vantage.connects(name, &target).await);
            continue;
        }
        match (&database, mongo) {
            (Some((mongo, container)), _) if leads_to(project, name, mongo) => {
                let (check, stored) = vantage.marked(name, &target).await;
                journey.checks.push(check);
                if let Some(stored) = stored {
                    let found =
                        database::holds(engine, project, secrets, mongo, container, &stored).await;
                    journey.checks.push(found);
                }
            }
            (None, Some((mongo, _))) if leads_to(project, name, mongo) => {
                let why =
                    format!("no request sent: {mongo}, where it would be found, isn't running");
                journey.checks.push(not_made(name, &target, why));
            }
            _ => {
                journey.checks.push(vantage.answers(name, &target).await);
                journey.notes.push(format!(
                    "{target}: an answer was asked for, no document looked up: {name} leads to no MongoDB"
                ));
            }
        }
    }
    journey
}

fn not_made(service: &ServiceName, target: &Target, why: String) -> Check {
    Check {
        from: HOST.to_owned(),
        to: format!("{service} ({target})"),
        by: "http",
        expected: "an answer".to_owned(),
        observed: why,
        verdict: Verdict::Unjudged,
        cause: String::new(),
    }
}

/// Also where Docker Compose runs the stack.
fn running<'a>(topology: &'a Topology, service: &'a ServiceName) -> Option<&'a Sandbox> {
    topology
        .of_service(service)
        .find(|it| it.status == Status::Running)
}

/// The official image, or one that is named after it.
fn is_mongo(service: &Service) -> bool {
    let path = service.image.split('@').next().unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    last.split(':').next().unwrap_or_default().contains("mongo")
}

/// Whether a request to `from` may get to `to`: it does where one depends on the other, or has it
/// serve what comes in at its ports, directly or through others.
fn leads_to(project: &Project, from: &ServiceName, to: &ServiceName) -> bool {
    let mut open = vec![from.clone()];
    let mut seen = BTreeSet::new();
    while let Some(name) = open.pop() {
        if name == *to {
            return true;
        }
        if let Some(service) = project.services.get(&name)
            && seen.insert(name.to_string())
        {
            open.extend(service.leads_to.clone());
            open.extend(service.dependencies().cloned());
        }
    }
    false
}
