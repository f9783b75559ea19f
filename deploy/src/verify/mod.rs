//! Looks whether the running stack is what the file describes: it answers where it
//! is published, a marked request arrives in the database, and what must not be
//! reachable isn't.
//!
//! A check is data (a link, what was expected, what was seen), so that checks of
//! every kind are shown, counted and explained alike.

mod database;
mod isolation;
mod request;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Instant;

use futures_util::future::OptionFuture;
use serde::Serialize;
use serde_json::json;

use crate::compose::Project;
use crate::compose::model::{Port, Protocol, Service, ServiceName};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::output::style::Tone;
use crate::output::{Output, table, text};
use crate::plan;
use crate::state::{Container, State, Status};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Where it was looked from.
    pub from: String,
    /// What was looked at.
    pub to: String,
    /// By which means: `http`, `tcp`, `dns`, `document`.
    pub by: &'static str,
    /// What the file implies.
    pub expected: String,
    /// What was seen.
    pub observed: String,
    /// Whether they agree.
    pub ok: bool,
    /// If not: the likely cause, for the sentence.
    pub cause: String,
}

impl Check {
    /// The failure in one sentence.
    fn sentence(&self) -> String {
        let mut sentence = format!(
            "{} → {} by {}: expected {}, saw {}",
            self.from, self.to, self.by, self.expected, self.observed
        );
        if !self.cause.is_empty() {
            sentence.push_str("; ");
            sentence.push_str(&self.cause);
        }
        sentence
    }
}

/// Checks the running stack, prints the table, and fails if anything is red.
pub async fn run(engine: &Engine, output: &Output, project: &Project) -> Result<()> {
    let begun = Instant::now();
    let task = output.silent_task("verify");
    task.detail("looking");
    let checks = checks(engine, project).await?;
    drop(task);
    let failed: Vec<&Check> = checks.iter().filter(|check| !check.ok).collect();
    output.event(&json!({
        "event": "verify", "checks": checks, "ok": failed.is_empty(),
    }));
    let rows: Vec<Vec<table::Cell>> = checks.iter().map(cells).collect();
    if !rows.is_empty() {
        let heading = ["", "FROM", "TO", "BY", "EXPECTED", "SEEN"];
        output.table(&heading, &rows);
    }
    if failed.is_empty() {
        let time = text::duration(begun.elapsed());
        output.line(&match checks.len() {
            0 => "verified: nothing is published, so there was nothing to check".to_owned(),
            1 => format!("verified: 1 check passed in {time}"),
            n => format!("verified: {n} checks passed in {time}"),
        });
        return Ok(());
    }
    Err(Error::failed(
        format!(
            "verification failed: {} of {} checks",
            failed.len(),
            checks.len()
        ),
        "see to the cause (`deploy ps`, `deploy logs`), then `deploy up` or `deploy verify` again",
    )
    .with_details(failed.iter().map(|check| check.sentence())))
}

fn cells(check: &Check) -> Vec<table::Cell> {
    let (mark, tone) = if check.ok {
        ("✔", Tone::Good)
    } else {
        ("✘", Tone::Bad)
    };
    vec![
        (mark.to_owned(), tone),
        (check.from.clone(), Tone::Plain),
        (check.to.clone(), Tone::Plain),
        (check.by.to_owned(), Tone::Faint),
        (check.expected.clone(), Tone::Faint),
        (text::escape(&check.observed).into_owned(), tone),
    ]
}

async fn checks(engine: &Engine, project: &Project) -> Result<Vec<Check>> {
    let state = State::observe(engine, &project.name).await?;
    if !state
        .containers
        .iter()
        .any(|it| it.status == Status::Running)
    {
        return Err(Error::failed(
            format!("{} is not running", project.name),
            "`deploy up` brings it up",
        ));
    }
    let database = project
        .services
        .iter()
        .find(|(_, service)| is_mongo(service));
    let database =
        database.and_then(|(name, service)| Some((name, service, running(&state, name)?)));
    let mut checks = Vec::new();
    for (name, port, address) in published(engine, project) {
        let Some(entry) = running(&state, name) else {
            continue;
        };
        if !speaks_http(port) {
            checks.push(request::connects(name, &address).await);
            continue;
        }
        match &database {
            Some((mongo, service, container)) if leads_to(project, name, mongo) => {
                let (check, stored) = request::marked(name, &address).await;
                checks.push(check);
                // Both run commands in containers: side by side they take half the time.
                let (found, isolated) = tokio::join!(
                    OptionFuture::from(stored.as_ref().map(|stored| {
                        database::holds(engine, mongo, service, container, stored)
                    })),
                    OptionFuture::from((!share_a_network(project, name, mongo)).then(|| {
                        isolation::closed(
                            engine,
                            project,
                            (name, entry),
                            (mongo, service, container),
                        )
                    })),
                );
                checks.extend(found);
                checks.extend(isolated.into_iter().flatten());
            }
            _ => checks.push(request::answers(name, &address).await),
        }
    }
    Ok(checks)
}

/// TCP ports published under a fixed number, with the address to try them at.
fn published<'a>(
    engine: &'a Engine,
    project: &'a Project,
) -> impl Iterator<Item = (&'a ServiceName, &'a Port, String)> {
    project
        .services
        .iter()
        .filter(|(_, service)| service.deploy.replicas > 0)
        .flat_map(move |(name, service)| {
            service.ports.iter().filter_map(move |port| {
                let published = port.published.filter(|_| port.protocol == Protocol::Tcp)?;
                let host = match port.host_ip {
                    None => engine.published_host().to_owned(),
                    Some(ip) if ip.is_unspecified() => engine.published_host().to_owned(),
                    Some(IpAddr::V6(ip)) => format!("[{ip}]"),
                    Some(ip) => ip.to_string(),
                };
                Some((name, port, format!("{host}:{published}")))
            })
        })
}

/// Published ports as URLs.
pub fn urls(engine: &Engine, project: &Project) -> Vec<String> {
    published(engine, project)
        .map(|(_, port, address)| {
            if speaks_http(port) {
                format!("http://{address}/")
            } else {
                format!("tcp://{address}")
            }
        })
        .collect()
}

/// By convention: nothing in a Compose file says what a port speaks.
fn speaks_http(port: &Port) -> bool {
    matches!(port.target, 80 | 8080)
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

/// Whether `from` depends on `to`, directly or through others.
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
            open.extend(
                plan::dependencies(service)
                    .into_iter()
                    .map(|(name, _)| name),
            );
        }
    }
    false
}

fn share_a_network(project: &Project, a: &ServiceName, b: &ServiceName) -> bool {
    let networks = |name| project.services.get(name).map(|service| &service.networks);
    match (networks(a), networks(b)) {
        (Some(a), Some(b)) => a.keys().any(|key| b.contains_key(key)),
        _ => false,
    }
}
