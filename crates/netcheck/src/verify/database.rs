//! Looks a document up in MongoDB, through the shell in its own container.

use compose_file::Project;
use compose_file::model::{Service, ServiceName};
use engine::Engine;
use engine::error::{Error, Result};
use engine::exec;
use serde::{Deserialize, Serialize};

use super::judge::Verdict;
use super::request::Stored;
use super::{Check, SecretValues};
use crate::inspect::model::Sandbox;

/// Begins the line with the result.
const RESULT: &str = "DEPLOYRESULT ";

/// Works in `mongosh` and in the legacy shell.
const SCRIPT: &str = include_str!("database.js");

/// What the script reads.
#[derive(Serialize)]
struct Asked<'a> {
    /// The document's.
    id: &'a str,
    user: Option<Setting<'a>>,
    password: Option<Setting<'a>>,
}

/// Where a setting of the database's image is to be had.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Setting<'a> {
    /// Here: those that may be in force, the newest first.
    Values(Vec<String>),
    /// In a file of the container.
    File(&'a str),
}

#[derive(Deserialize)]
struct Found {
    collection: Option<String>,
    url: Option<String>,
}

/// The document with the request's id is there and bears its marker.
pub(super) async fn holds(
    engine: &Engine,
    project: &Project,
    secrets: &SecretValues<'_>,
    name: &ServiceName,
    container: &Sandbox,
    stored: &Stored,
) -> Check {
    let found = find(engine, project, secrets, name, container, stored).await;
    let lost = "was the request answered before it was stored, or by another stack?";
    let (verdict, observed, cause) = match found {
        Ok(Found {
            collection: None, ..
        }) => (Verdict::Fail, "no such document".to_owned(), lost),
        Ok(Found {
            collection: Some(collection),
            url,
        }) => {
            let url = url.unwrap_or_default();
            if url.contains(&stored.marker) {
                (Verdict::Pass, format!("found in {collection}"), "")
            } else {
                let observed = format!("a document in {collection} with the URL {url:?}");
                (Verdict::Fail, observed, lost)
            }
        }
        Err(err) => (
            Verdict::Unjudged,
            format!("not looked up: {}", err.message),
            "",
        ),
    };
    Check {
        from: container.container.clone(),
        to: name.to_string(),
        by: "document",
        expected: format!("{} with its marker", stored.id),
        observed,
        verdict,
        cause: cause.to_owned(),
    }
}

async fn find(
    engine: &Engine,
    project: &Project,
    secrets: &SecretValues<'_>,
    name: &ServiceName,
    container: &Sandbox,
    stored: &Stored,
) -> Result<Found> {
    let setting = |setting: &str| {
        let service = project.services.get(name)?;
        of_service(secrets, service, setting)
    };
    let asked = Asked {
        id: &stored.id,
        user: setting("MONGO_INITDB_ROOT_USERNAME"),
        password: setting("MONGO_INITDB_ROOT_PASSWORD"),
    };
    let input = serde_json::to_vec(&asked).map_err(|err| {
        Error::failed(
            format!("the question has no form in JSON: {err}"),
            "report it",
        )
    })?;
    // Nothing in the script is secret: the engine shows arguments.
    let words = ["mongosh", "--quiet", "--norc", "--eval", SCRIPT].map(ToOwned::to_owned);
    let said = exec::run(engine, container, &words, &input).await?.said;
    let result = said
        .lines()
        .find_map(|line| line.strip_prefix(RESULT))
        .and_then(|json| serde_json::from_str(json.trim()).ok());
    result.ok_or_else(|| {
        let last = said
            .lines()
            .rev()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("nothing");
        Error::failed(
            format!("the shell said {last:?}"),
            "look at the database's log",
        )
    })
}

/// A setting `NAME`, or `NAME_FILE` with a secret's file: preferably as it is on this host,
/// since a container sees the one that was there when it started.
fn of_service<'a>(
    secrets: &SecretValues<'_>,
    service: &'a Service,
    name: &str,
) -> Option<Setting<'a>> {
    let Some(file) = service.environment.get(&format!("{name}_FILE")) else {
        let value = service.environment.get(name)?;
        return Some(Setting::Values(vec![value.clone()]));
    };
    let mount = service.secrets.iter().find(|it| it.target == *file);
    let values = mount
        .map(|it| secrets(&it.source))
        .filter(|values| !values.is_empty());
    Some(values.map_or(Setting::File(file), Setting::Values))
}
