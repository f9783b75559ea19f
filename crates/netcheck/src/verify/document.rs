//! Looks up what a request left, by the file's own command in the database's container.

use std::collections::BTreeMap;

use compose_file::Project;
use compose_file::model::Document;
use engine::Engine;
use engine::error::{Error, Result};
use engine::exec;
use serde::{Deserialize, Serialize};

use super::SecretValues;
use super::check::Check;
use super::link::Verdict;
use super::request::Stored;
use crate::inspect::model::Sandbox;

/// What the command reads.
#[derive(Serialize)]
struct Question<'a> {
    id: &'a str,
    marker: &'a str,
    /// Of the secrets that the service has: the values that may be in force, the newest first.
    secrets: BTreeMap<&'a str, Vec<String>>,
}

/// The last line that the command writes; empty: there is no such document.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Found {
    /// Where the document is that bears the marker.
    found: Option<String>,
    /// What is there under its id.
    instead: Option<String>,
}

/// The document with the request's id is there and bears its marker.
pub(super) async fn holds(
    engine: &Engine,
    project: &Project,
    secrets: &SecretValues<'_>,
    document: &Document,
    container: &Sandbox,
    stored: &Stored,
) -> Check {
    let lost = "was the request answered before it was stored, or by another stack?";
    let found = find(engine, project, secrets, document, container, stored).await;
    let (verdict, observed, cause) = match found {
        Ok(Found {
            found: Some(place), ..
        }) => (Verdict::Pass, format!("found in {place}"), ""),
        Ok(Found { instead, .. }) => {
            let observed = instead.unwrap_or_else(|| "no such document".to_owned());
            (Verdict::Fail, observed, lost)
        }
        Err(err) => (
            Verdict::Unjudged,
            format!("not looked up: {}", err.message),
            "",
        ),
    };
    Check {
        from: container.container.clone(),
        to: document.service.to_string(),
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
    document: &Document,
    container: &Sandbox,
    stored: &Stored,
) -> Result<Found> {
    let service = project.services.get(&document.service);
    let mounted = service.into_iter().flat_map(|service| &service.secrets);
    let values = mounted.map(|mount| (mount.source.as_str(), secrets(&mount.source)));
    let question = Question {
        id: &stored.id,
        marker: &stored.marker,
        secrets: values.filter(|(_, values)| !values.is_empty()).collect(),
    };
    let input = serde_json::to_vec(&question).map_err(|err| {
        Error::failed(
            format!("the question has no form in JSON: {err}"),
            "report it",
        )
    })?;
    let said = exec::run(engine, container, &document.command, &input)
        .await?
        .said;
    let mut lines = said.lines().rev().map(str::trim);
    let last = lines.find(|line| !line.is_empty()).unwrap_or("nothing");
    serde_json::from_str(last).map_err(|_| {
        Error::failed(
            format!("the command said {last:?}"),
            "look at the database's log",
        )
    })
}
