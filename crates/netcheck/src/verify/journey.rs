//! The way of a request: through each published port, and where the file says so (`x-verify`), into
//! the database.

use compose_file::Project;
use compose_file::model::ServiceName;
use engine::Engine;
use engine::state::Status;

use super::check::Check;
use super::link::{HOST, Verdict};
use super::request::Vantage;
use super::{SecretValues, document, published, speaks_http};
use crate::inspect::Topology;
use crate::inspect::model::Sandbox;
use crate::probe::image::Image;
use crate::probe::request::Target;

/// Tries every published TCP port: with a request where HTTP is spoken there, with a marked one where
/// that leaves a document.
pub(super) async fn checks(
    engine: &Engine,
    project: &Project,
    secrets: &SecretValues<'_>,
    topology: &Topology,
    image: &Image,
) -> Vec<Check> {
    let mut checks = Vec::new();
    for (name, port, target) in published(engine, project) {
        if running(topology, name).is_none() {
            let why = format!("not tried: {name} isn't running");
            checks.push(not_made(name, &target, why));
            continue;
        }
        let vantage = Vantage::of(engine, topology, image, &target);
        let Some(entry) = speaks_http(project, name, port) else {
            checks.push(vantage.connects(name, &target).await);
            continue;
        };
        let path = &entry.request;
        let Some(document) = &entry.document else {
            checks.push(vantage.answers(name, &target, path).await);
            continue;
        };
        let database = &document.service;
        let Some(container) = running(topology, database) else {
            let why =
                format!("no request sent: {database}, where it would be found, isn't running");
            checks.push(not_made(name, &target, why));
            continue;
        };
        let (check, stored) = vantage.marked(name, &target, path, document).await;
        checks.push(check);
        if let Some(stored) = stored {
            let found = document::holds(engine, project, secrets, document, container, &stored);
            checks.push(found.await);
        }
    }
    checks
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
