//! Proves that the running stack's network is as the file draws it, and that a request travels the
//! whole way.
//!
//! [`expect`] derives from the file what must be possible and what must not, `beyond` the ways out
//! among it; [`observe`] asks a probe in every sandbox and one on the host; [`judge`] compares the two,
//! and `cause` looks for the likely cause of each difference; [`facts`] compares what the engine and the
//! kernel say of networks and resolvers, `ports` what is published; `journey` sends a marked request;
//! through TLS as well (`tls`); `matrix` shows it all; `watch` goes on looking and tells what changes.
//!
//! `swarm` does the same over the nodes of a Swarm, by tasks that stand in for the stack's own.

mod beyond;
mod cause;
mod check;
mod document;
mod expect;
mod facts;
mod journey;
mod judge;
mod link;
mod matrix;
mod observe;
mod ports;
mod request;
mod swarm;
mod tls;
mod watch;

use std::time::Instant;

use compose_file::Project;
use compose_file::model::{EntryPoint, Port, Protocol, SecretName, ServiceName, TlsEntry};
use engine::Engine;
use engine::error::{Error, Exit, Result};
use serde::Serialize;
use terminal::Output;

use crate::inspect::Topology;
use crate::inspect::model::Sandbox;
use crate::probe::image::Image;
use crate::probe::request::Target;
use check::{Check, Finding};
use link::{HOST, Link, OUTSIDE, Verdict};
use observe::Observation;
pub use watch::watch;

/// For each single question; an answer on one machine takes far less.
const TIMEOUT_MS: u64 = 1_000;
/// For the second look: a busy machine is no broken network.
const PATIENT_TIMEOUT_MS: u64 = 3_000;

/// The values of a secret that may be in force, the newest first: none where its file can't be read,
/// which not everybody may who may ask the engine.
pub type SecretValues<'a> = dyn Fn(&SecretName) -> Vec<String> + 'a;

/// What is verified, and with what.
pub struct Subject<'a> {
    /// Of a Swarm: a manager's.
    pub engine: &'a Engine,
    /// As the file draws it.
    pub project: &'a Project,
    /// What the request through the stack may need.
    pub secrets: &'a SecretValues<'a>,
    /// The image that looks, where all nodes of a Swarm have it; none: it is made on the engine.
    pub image: Option<Image>,
}

impl Subject<'_> {
    async fn image(&self) -> Result<Image> {
        match &self.image {
            Some(image) => Ok(image.clone()),
            None => Image::ensure(self.engine).await,
        }
    }
}

/// Everything that was found out; the document of `verify --json`.
#[derive(Debug, Serialize)]
struct Verification {
    /// `verify`, so that it can be told from other lines of `up --json`.
    event: &'static str,
    /// The project's name.
    project: String,
    /// Whether everything is proven to be as the file draws it.
    ok: bool,
    /// How long it took, in milliseconds.
    elapsed_ms: u64,
    /// Every name, port and ping that was tried between two ends.
    links: Vec<Link>,
    /// Everything else.
    checks: Vec<Check>,
    /// The failures, a sentence each.
    findings: Vec<Finding>,
    /// What couldn't be judged, a sentence each.
    unjudged: Vec<Finding>,
    /// What is open though `internal` might be taken to close it, and the file could: a sentence each.
    remaining: Vec<Finding>,
    /// What else is to be known of the look itself.
    notes: Vec<String>,
    #[serde(skip)]
    sources: Vec<String>,
    #[serde(skip)]
    targets: Vec<String>,
}

impl Verification {
    /// How many expectations have this verdict.
    fn count(&self, verdict: Verdict) -> usize {
        let links = self.links.iter().filter(|link| link.verdict == verdict);
        let checks = self.checks.iter().filter(|check| check.verdict == verdict);
        links.count() + checks.count()
    }

    /// `97 expectations hold`, and how many couldn't be judged.
    fn tally(&self) -> String {
        let hold = self.count(Verdict::Pass);
        match self.count(Verdict::Unjudged) {
            0 => format!("{hold} expectations hold"),
            unjudged => format!("{hold} expectations hold, {unjudged} could not be judged"),
        }
    }

    /// The whole drawing is proven, or else what isn't, as an error.
    fn proven(&self) -> Result<()> {
        let sentences =
            |of: &[Finding]| -> Vec<String> { of.iter().map(|it| it.sentence.clone()).collect() };
        let unjudged = sentences(&self.unjudged)
            .into_iter()
            .map(|sentence| format!("not judged: {sentence}"));
        if !self.findings.is_empty() {
            return Err(Error::failed(
                format!(
                    "verification failed: {} finding(s); {}",
                    self.findings.len(),
                    self.tally()
                ),
                "see to the likely causes (`deploy inspect`, `deploy ps`, `deploy logs`), then `deploy up`; \
                 `deploy verify` looks again",
            )
            .with_details(sentences(&self.findings).into_iter().chain(unjudged)));
        }
        if self.unjudged.is_empty() {
            return Ok(());
        }
        Err(Error::unproven(
            format!(
                "nothing is wrong that could be seen, and not all could: {}",
                self.tally()
            ),
            "see to what stands in the way of the look; `deploy verify` looks again",
        )
        .with_details(unjudged))
    }
}

/// Checks the running stack and shows what was found.
///
/// # Errors
/// [`Exit::Failed`] if anything isn't as drawn,
/// [`Exit::Unproven`] if not everything could be judged.
pub async fn run(output: &Output, subject: &Subject<'_>) -> Result<()> {
    let task = output.silent_task("verify");
    task.detail("looking");
    let verification = verify(subject).await?;
    drop(task);
    if output.is_json() {
        output.event(&verification);
    } else {
        matrix::show(output, &verification);
    }
    verification.proven()
}

/// The end of a deploy: as [`run`], but what couldn't be judged is no failure of the deploy and only
/// told.
///
/// # Errors
/// If anything isn't as drawn.
pub async fn after_deploy(output: &Output, subject: &Subject<'_>) -> Result<()> {
    match run(output, subject).await {
        Err(unproven) if unproven.exit == Exit::Unproven => {
            for detail in &unproven.details {
                output.note(detail);
            }
            output.note(&format!("not verified: {unproven}"));
            Ok(())
        }
        other => other,
    }
}

/// Looks at everything.
async fn verify(subject: &Subject<'_>) -> Result<Verification> {
    let &Subject {
        engine,
        project,
        secrets,
        ..
    } = subject;
    if project.is_for_swarm() {
        // It is large, and every caller would be with it.
        return Box::pin(swarm::verify(subject)).await;
    }
    let begun = Instant::now();
    let survey = observe::survey(subject).await?;
    let (topology, image) = &survey;
    let (seen, journey) = tokio::join!(
        observe_patiently(subject, survey.clone()),
        journey::checks(engine, project, secrets, topology, image),
    );
    let seen = seen?;
    let (journey, notes) = journey;
    let topology = &seen.topology;
    let links = judge::links(&seen);
    let mut checks = facts::checks(project, &seen);
    checks.extend(journey);
    let of_checks = |verdict| {
        let checks = checks.iter().filter(move |it| it.verdict == verdict);
        checks.map(Check::finding)
    };
    // Causes first: a container that is down explains the links that are.
    let mut findings: Vec<Finding> = of_checks(Verdict::Fail).collect();
    findings.extend(judge::findings(project, &seen, &links));
    let mut unjudged: Vec<Finding> = of_checks(Verdict::Unjudged).collect();
    unjudged.extend(judge::unjudged(&links));
    let label = |sandbox: &Sandbox| sandbox.label(topology);
    let up = topology.sandboxes.iter().filter(|sandbox| sandbox.is_up());
    let to_host = links.iter().any(|link| link.to == HOST);
    Ok(Verification {
        event: "verify",
        project: project.name.to_string(),
        ok: findings.is_empty() && unjudged.is_empty(),
        elapsed_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        sources: std::iter::once(HOST.to_owned())
            .chain(up.map(label))
            .collect(),
        targets: topology
            .sandboxes
            .iter()
            .map(label)
            .chain(to_host.then(|| HOST.to_owned()))
            .chain(std::iter::once(OUTSIDE.to_owned()))
            .collect(),
        remaining: judge::remaining(project, &seen, &links),
        links,
        checks,
        findings,
        unjudged,
        notes: topology.notes.iter().cloned().chain(notes).collect(),
    })
}

/// Looks a second time, with more patience, where something may have been passing. What isn't as
/// drawn both times is a failure.
async fn observe_patiently(
    subject: &Subject<'_>,
    survey: (Topology, Image),
) -> Result<Observation> {
    let &Subject {
        engine, project, ..
    } = subject;
    let seen = observe::observe(engine, project, survey, TIMEOUT_MS).await;
    if !judge::links(&seen).iter().any(Link::deserves_a_second_look) {
        return Ok(seen);
    }
    let survey = observe::survey(subject).await?;
    Ok(observe::observe(engine, project, survey, PATIENT_TIMEOUT_MS).await)
}

/// TCP ports published under a fixed number, with where to try them.
fn published<'a>(
    engine: &'a Engine,
    project: &'a Project,
) -> impl Iterator<Item = (&'a ServiceName, &'a Port, Target)> {
    project
        .services
        .iter()
        .filter(|(_, service)| service.deploy.replicas > 0)
        .flat_map(move |(name, service)| {
            service.ports.iter().filter_map(move |port| {
                let published = port.published.filter(|_| port.protocol == Protocol::Tcp)?;
                let target = Target {
                    host: engine.published_host(port.host_ip),
                    port: published,
                };
                Some((name, port, target))
            })
        })
}

/// Published ports as URLs, with whose they are. What else speaks HTTP than the file says, `speaks_http`
/// does.
pub fn urls<'a>(
    engine: &'a Engine,
    project: &'a Project,
    speaks_http: &'a str,
) -> impl Iterator<Item = (&'a ServiceName, String)> {
    published(engine, project).map(move |(name, port, target)| {
        let url = match spoken(project, name, port) {
            Spoken::Http(_) => format!("http://{target}/"),
            Spoken::Https(..) => format!("https://{target}/"),
            Spoken::Other if **name == *speaks_http => format!("http://{target}/"),
            Spoken::Other => format!("tcp://{target}"),
        };
        (name, url)
    })
}

/// What is spoken at a port, as far as the file says so.
enum Spoken<'a> {
    Http(&'a EntryPoint),
    Https(&'a EntryPoint, &'a TlsEntry),
    Other,
}

/// Nothing but `x-verify` says it.
fn spoken<'a>(project: &'a Project, name: &str, port: &Port) -> Spoken<'a> {
    let Some(entry) = project.entry_point(name) else {
        return Spoken::Other;
    };
    match &entry.tls {
        _ if entry.port == Some(port.target) => Spoken::Http(entry),
        Some(tls) if tls.port == port.target => Spoken::Https(entry, tls),
        _ => Spoken::Other,
    }
}

/// Whether what is published under this port of the host is spoken to with TLS.
fn speaks_tls(project: &Project, published: u16) -> bool {
    project.services.iter().any(|(name, service)| {
        let mut ports = service.ports.iter();
        ports.any(|port| {
            port.published == Some(published)
                && matches!(spoken(project, name, port), Spoken::Https(..))
        })
    })
}
