//! Proves that a stack on a Swarm is as the file draws it, over its nodes.
//!
//! `deploy` speaks to one manager's engine, which can't look into containers of other nodes. So tasks of
//! our own stand in for them ([`look`]): one on each node for each set of networks that tasks there are on,
//! as the engine has them now, and one on the node's own network. What must be possible from there and
//! what must not follows from the file, as on one machine, and so does the judgement; `facts` adds what is
//! true of nodes, networks and paths, `entry` requests through the published ports.

mod entry;
mod facts;
mod look;

use std::collections::BTreeSet;
use std::time::Instant;

use compose_file::Project;
use engine::Engine;
use engine::error::{Error, Result};
use engine::swarm;
use engine::swarm::stack::Stack;

use super::check::{Check, Finding};
use super::link::{Link, OUTSIDE, Seen, Verdict};
use super::{PATIENT_TIMEOUT_MS, Subject, Verification, judge};
use crate::inspect::Topology;
use crate::inspect::model::Sandbox;
use crate::probe::image::Image;
use look::Look;

/// For each single question, which goes over the nodes' network.
const TIMEOUT_MS: u64 = 2_000;

/// What there is to look at.
struct Survey {
    /// With the services, too, that run although their profiles aren't enabled.
    project: Project,
    stack: Stack,
    topology: Topology,
}

impl Survey {
    async fn take(engine: &Engine, project: &Project) -> Result<Self> {
        let stack = Stack::observe(engine, &project.name).await?;
        let project = project
            .clone()
            .with_disabled(|name| stack.services.contains_key(name));
        let topology = Topology::of_swarm(engine, &project, &stack).await?;
        if !topology.sandboxes.iter().any(Sandbox::is_up) {
            return Err(Error::failed(
                format!("{} is not running", project.name),
                "`deploy up` brings it up",
            ));
        }
        Ok(Self {
            project,
            stack,
            topology,
        })
    }
}

pub(super) async fn verify(subject: &Subject<'_>) -> Result<Verification> {
    let &Subject {
        engine,
        project,
        secrets,
        ..
    } = subject;
    let begun = Instant::now();
    let here = swarm::manager(engine).await?;
    let image = subject.image().await?;
    let survey = Survey::take(engine, project).await?;
    let (seen, entry) = tokio::join!(
        look_patiently(engine, project, &image, &survey),
        entry::checks(engine, &survey, secrets, &image, &here),
    );
    let (newer, seen) = seen?;
    let survey = newer.unwrap_or(survey);
    let (entry, notes) = entry;
    let mut checks = facts::checks(&survey, &seen);
    checks.extend(entry);
    Ok(assemble(&survey, &seen, checks, notes, begun))
}

/// Looks a second time, with more patience, where something may have been passing: another task than
/// before, a node that answers late. What the engine itself says is otherwise doesn't pass. Gives what there
/// was to look at then, if it looked again.
async fn look_patiently(
    engine: &Engine,
    project: &Project,
    image: &Image,
    survey: &Survey,
) -> Result<(Option<Survey>, Look)> {
    let seen = look::look(engine, image, survey, TIMEOUT_MS).await?;
    let failed = |link: &Link| link.verdict == Verdict::Fail;
    let told = |check: &Check| check.verdict == Verdict::Fail;
    if !seen.links().iter().any(failed) || facts::checks(survey, &seen).iter().any(told) {
        return Ok((None, seen));
    }
    let survey = Survey::take(engine, project).await?;
    let seen = look::look(engine, image, &survey, PATIENT_TIMEOUT_MS).await?;
    Ok((Some(survey), seen))
}

fn assemble(
    survey: &Survey,
    seen: &Look,
    checks: Vec<Check>,
    notes: Vec<String>,
    begun: Instant,
) -> Verification {
    let Survey {
        project, topology, ..
    } = survey;
    let of_checks = |verdict| {
        let checks = checks.iter().filter(move |it| it.verdict == verdict);
        checks.map(Check::finding)
    };
    // Causes first.
    let mut findings: Vec<Finding> = of_checks(Verdict::Fail).collect();
    let mut unjudged: Vec<Finding> = of_checks(Verdict::Unjudged).collect();
    let mut remaining = Vec::new();
    let mut links = Vec::new();
    for observation in &seen.observations {
        let judged = judge::links(observation);
        findings.extend(judge::findings(project, observation, &judged));
        remaining.extend(judge::remaining(project, observation, &judged));
        // Why nobody looked from a place is told once.
        let (silent, rest): (Vec<Link>, Vec<Link>) = judged
            .into_iter()
            .partition(|it| it.seen == Seen::NotLookedAt);
        unjudged.extend(judge::unjudged(&rest));
        links.extend(rest);
        links.extend(silent);
    }
    let mut sources: Vec<String> = Vec::new();
    let mut targets: Vec<String> = Vec::new();
    for sandbox in &topology.sandboxes {
        let place = sandbox.place(topology);
        if sandbox.is_up() && !sources.contains(&place) {
            sources.push(place);
        }
        if !targets.contains(&sandbox.service) {
            targets.push(sandbox.service.clone());
        }
    }
    targets.push(OUTSIDE.to_owned());
    let notes: BTreeSet<String> = topology.notes.iter().cloned().chain(notes).collect();
    Verification {
        event: "verify",
        project: project.name.to_string(),
        ok: findings.is_empty() && unjudged.is_empty(),
        elapsed_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        links,
        checks,
        findings,
        unjudged,
        remaining,
        notes: notes
            .into_iter()
            .chain(facts::pieces(survey, seen))
            .collect(),
        sources,
        targets,
    }
}

#[cfg(test)]
mod tests;
