//! The way of a request: through each published port, and where the file says so (`x-verify`), into
//! the database.

use compose_file::Project;
use compose_file::model::ServiceName;
use engine::Engine;
use engine::state::Status;

use super::check::Check;
use super::link::{HOST, Verdict};
use super::request::{self, Vantage};
use super::tls::Client;
use super::{SecretValues, Spoken, document, published, spoken};
use crate::inspect::Topology;
use crate::inspect::model::Sandbox;
use crate::probe::image::Image;
use crate::probe::request::Target;

/// Tries every published TCP port: with a request where HTTP is spoken there, with or without TLS, with a
/// marked one where that leaves a document. Returns notes as well.
pub(super) async fn checks(
    engine: &Engine,
    project: &Project,
    secrets: &SecretValues<'_>,
    topology: &Topology,
    image: &Image,
) -> (Vec<Check>, Vec<String>) {
    let mut checks = Vec::new();
    let mut notes = Vec::new();
    for (name, port, target) in published(engine, project) {
        if running(topology, name).is_none() {
            let why = format!("not tried: {name} isn't running");
            checks.push(not_made(name, &target, why));
            continue;
        }
        let vantage = Vantage::of(engine, topology, image, &target);
        let (entry, tls) = match spoken(project, name, port) {
            Spoken::Other => {
                checks.push(vantage.connects(name, &target).await);
                continue;
            }
            Spoken::Http(entry) => (entry, None),
            Spoken::Https(entry, tls) => (entry, Some(tls)),
        };
        let database = entry.document.as_ref();
        let database = database.map(|it| (it, running(topology, &it.service)));
        if let Some((document, None)) = database {
            let why = format!(
                "no request sent: {}, where it would be found, isn't running",
                document.service
            );
            checks.push(not_made(name, &target, why));
            continue;
        }
        let database = database.and_then(|(document, container)| Some((document, container?)));
        let stored = if let Some(tls) = tls {
            let Some(container) = running(topology, &tls.service) else {
                let why = format!(
                    "not tried: {}, which has the client, isn't running",
                    tls.service
                );
                checks.push(not_made(name, &target, why));
                continue;
            };
            let client = Client {
                engine,
                tls,
                container,
                service: name,
                target: &target,
            };
            let (marker, path) = request::marked(&entry.request);
            let (answer, certificate, note) = client.get(&path).await;
            let (check, stored) = match database {
                Some((document, _)) => {
                    request::stored(name, &target, "https", document, (marker, answer))
                }
                None => (request::answered(name, &target, "https", answer), None),
            };
            checks.extend([check, certificate, client.metrics().await]);
            notes.extend(note);
            for name in &tls.names {
                let (check, note) = client.named(&name.to_string()).await;
                checks.push(check);
                notes.extend(note);
            }
            stored
        } else if let Some((document, _)) = database {
            let (check, stored) = vantage
                .marked(name, &target, &entry.request, document)
                .await;
            checks.push(check);
            stored
        } else {
            checks.push(vantage.answers(name, &target, &entry.request).await);
            None
        };
        if let (Some((document, container)), Some(stored)) = (database, stored) {
            let found = document::holds(engine, project, secrets, document, container, &stored);
            checks.push(found.await);
        }
    }
    (checks, notes)
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
