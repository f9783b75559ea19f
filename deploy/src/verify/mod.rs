//! Proves that the running stack's network is as the file draws it, and that a request travels the
//! whole way.
//!
//! [`expect`] derives from the file what must be possible and what must not; [`observe`] asks a
//! probe in every sandbox and one on the host; [`judge`] compares the two, and `cause` looks for the likely
//! cause of each difference; [`facts`] compares what the engine and the kernel say of networks
//! and resolvers, `ports` what is published; `journey` sends a marked request; `matrix` shows it all.

mod cause;
mod database;
pub mod expect;
pub mod facts;
mod journey;
pub mod judge;
mod matrix;
pub mod observe;
mod ports;
mod request;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::compose::Project;
use crate::compose::model::{Port, Protocol, ServiceName};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::inspect::model::Sandbox;
use crate::output::{Output, text};
use judge::{Finding, Link, Verdict};
use observe::Observation;

/// For each single question; an answer on one machine takes far less.
const TIMEOUT_MS: u64 = 1_000;
/// For the second look: a busy machine is no broken network.
const PATIENT_TIMEOUT_MS: u64 = 3_000;

/// One thing that was looked at beside the links between containers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Where it was looked from.
    pub from: String,
    /// What was looked at.
    pub to: String,
    /// By which means: `http`, `document`, `gateway`, `resolver`, ….
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
    pub fn sentence(&self) -> String {
        let Self {
            from,
            to,
            by,
            expected,
            observed,
            cause,
            ..
        } = self;
        let mut sentence = format!("{from} → {to} ({by}): expected {expected}, saw {observed}");
        if !cause.is_empty() {
            sentence.push_str("; likely cause: ");
            sentence.push_str(cause);
        }
        sentence
    }
}

/// Everything that was found out; the document of `verify --json`.
#[derive(Debug, Serialize)]
pub struct Verification {
    /// `verify`, so that it can be told from other lines of `up --json`.
    pub event: &'static str,
    /// The project's name.
    pub project: String,
    /// Whether everything is as the file draws it.
    pub ok: bool,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
    /// Every name, port and ping that was tried between two ends.
    pub links: Vec<Link>,
    /// Everything else.
    pub checks: Vec<Check>,
    /// The failures, a sentence each.
    pub findings: Vec<String>,
    /// What couldn't be looked at.
    pub notes: Vec<String>,
    #[serde(skip)]
    sources: Vec<String>,
    #[serde(skip)]
    targets: Vec<String>,
}

impl Verification {
    /// How many expectations were put to the test.
    fn count(&self) -> usize {
        let judged = self
            .links
            .iter()
            .filter(|link| link.verdict != Verdict::Unjudged);
        judged.count() + self.checks.len()
    }
}

/// Checks the running stack, shows what was found, and fails if anything is red.
pub async fn run(engine: &Engine, output: &Output, project: &Project) -> Result<()> {
    let task = output.silent_task("verify");
    task.detail("looking");
    let verification = verify(engine, project).await?;
    drop(task);
    show(output, &verification)
}

/// Checks again and again, `pause` apart, until interrupted or the engine is gone.
pub async fn watch(
    engine: &Engine,
    output: &Output,
    project: &Project,
    pause: Duration,
) -> Result<()> {
    loop {
        let verification = verify(engine, project).await?;
        if let Err(failure) = show(output, &verification) {
            output.line(&format!(
                "{failure}; looking again in {}",
                text::duration(pause)
            ));
        }
        tokio::time::sleep(pause).await;
    }
}

/// Looks at everything.
pub async fn verify(engine: &Engine, project: &Project) -> Result<Verification> {
    let begun = Instant::now();
    let (seen, journey) = tokio::try_join!(
        observe_patiently(engine, project),
        journey::checks(engine, project),
    )?;
    let topology = &seen.topology;
    if !topology.sandboxes.iter().any(Sandbox::is_up) {
        return Err(Error::failed(
            format!("{} is not running", project.name),
            "`deploy up` brings it up",
        ));
    }
    let links = judge::links(&seen);
    let mut checks = facts::checks(project, &seen);
    checks.extend(journey.checks);
    // Causes first: a container that is down explains the links that are.
    let mut findings: Vec<String> = checks
        .iter()
        .filter(|check| !check.ok)
        .map(Check::sentence)
        .collect();
    findings.extend(
        judge::findings(project, &seen, &links)
            .iter()
            .map(Finding::sentence),
    );
    let mut notes = topology.notes.clone();
    notes.extend(journey.notes);
    notes.extend(judge::notes(&links));
    let label = |sandbox: &Sandbox| sandbox.label(topology);
    let up = topology.sandboxes.iter().filter(|sandbox| sandbox.is_up());
    Ok(Verification {
        event: "verify",
        project: project.name.to_string(),
        ok: findings.is_empty(),
        elapsed_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        sources: std::iter::once(judge::HOST.to_owned())
            .chain(up.map(label))
            .collect(),
        targets: topology
            .sandboxes
            .iter()
            .map(label)
            .chain(std::iter::once(judge::OUTSIDE.to_owned()))
            .collect(),
        links,
        checks,
        findings,
        notes,
    })
}

/// Looks a second time, with more patience, where something may have been passing. What isn't as
/// drawn both times is a failure.
async fn observe_patiently(engine: &Engine, project: &Project) -> Result<Observation> {
    let seen = observe::observe(engine, project, TIMEOUT_MS).await?;
    if !judge::links(&seen).iter().any(Link::deserves_a_second_look) {
        return Ok(seen);
    }
    observe::observe(engine, project, PATIENT_TIMEOUT_MS).await
}

fn show(output: &Output, verification: &Verification) -> Result<()> {
    if output.is_json() {
        output.event(verification);
    } else {
        matrix::show(output, verification);
    }
    if verification.ok {
        return Ok(());
    }
    Err(Error::failed(
        format!(
            "verification failed: {} finding(s), {} expectations tested",
            verification.findings.len(),
            verification.count()
        ),
        "see to the likely causes (`deploy inspect`, `deploy ps`, `deploy logs`), then `deploy up`; \
         `deploy verify` looks again",
    )
    .with_details(verification.findings.iter().cloned()))
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
