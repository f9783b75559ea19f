//! The way of a request: through each published port, and where a database lies behind it, into
//! the database.

use std::collections::BTreeSet;

use super::{Check, database, published, request, speaks_http};
use crate::compose::Project;
use crate::compose::model::{Service, ServiceName};
use crate::engine::Engine;
use crate::error::Result;
use crate::plan;
use crate::state::{Container, State, Status};

/// What came of the journeys.
#[derive(Debug, Default)]
pub(super) struct Journey {
    pub(super) checks: Vec<Check>,
    /// Journeys that couldn't be made.
    pub(super) notes: Vec<String>,
}

/// Sends a request through every published TCP port, a marked one where a MongoDB is behind it.
pub(super) async fn checks(engine: &Engine, project: &Project) -> Result<Journey> {
    let state = State::observe(engine, &project.name).await?;
    let mut journey = Journey::default();
    let mongo = project
        .services
        .iter()
        .find(|(_, service)| is_mongo(service));
    let database = mongo.and_then(|(name, _)| Some((name, running(&state, name)?)));
    for (name, port, address) in published(engine, project) {
        if running(&state, name).is_none() {
            journey
                .notes
                .push(format!("{address}: not tried, {name} isn't running"));
            continue;
        }
        if !speaks_http(port) {
            journey.checks.push(request::connects(name, &address).await);
            continue;
        }
        match (&database, mongo) {
            (Some((mongo, container)), _) if leads_to(project, name, mongo) => {
                let (check, stored) = request::marked(name, &address).await;
                journey.checks.push(check);
                if let Some(stored) = stored {
                    let found = database::holds(engine, project, mongo, container, &stored).await;
                    journey.checks.push(found);
                }
            }
            (None, Some((mongo, _))) if leads_to(project, name, mongo) => {
                journey.notes.push(format!(
                    "no marked request was sent to {address}: {mongo}, where it would be found, isn't running"
                ));
            }
            _ => {
                journey.checks.push(request::answers(name, &address).await);
                journey.notes.push(format!(
                    "{address}: an answer was asked for, no document looked up: {name} leads to no MongoDB"
                ));
            }
        }
    }
    Ok(journey)
}

fn running<'a>(state: &'a State, service: &'a ServiceName) -> Option<&'a Container> {
    state
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
            open.extend(
                plan::dependencies(service)
                    .into_iter()
                    .map(|(name, _)| name),
            );
        }
    }
    false
}
