//! The verbs on a Swarm, for a file that describes a stack for one.
//!
//! The way of an `up` is that on one machine: the file and what is there are compared, the plan is shown,
//! what stands in its way is looked for, it is carried out, and what was brought up is recorded as a
//! release. What differs is who acts on containers: `deploy` makes and changes services, and waits; the
//! engine starts, replaces, watches and takes back tasks, on whichever nodes.

mod apply;
pub(crate) mod beside;
mod converge;
mod data;
mod down;
mod images;
mod inspect;
mod logs;
mod nodes;
mod objects;
mod plan;
mod preflight;
mod ps;
mod replica_set;
mod rollback;
mod rotation;
mod scale;
mod up;
mod verify;

use compose_file::Project;
use compose_file::model::ServiceName;
use engine::Engine;
use engine::error::Result;
use engine::swarm::job;

use crate::cli::Command;
use crate::context::Context;
use crate::plan as machine;

pub(crate) use verify::clean_up;

/// Runs a verb. None: it is the same on a Swarm.
///
/// # Errors
/// Those of the verb.
pub(crate) async fn run(context: &Context, command: Command) -> Result<Option<Command>> {
    match command {
        Command::Up(args) => up::run(context, args).await?,
        Command::Plan(args) => up::plan(context, args).await?,
        Command::Down(args) => down::run(context, args).await?,
        Command::Ps => ps::run(context).await?,
        Command::Logs(args) => logs::run(context, args).await?,
        Command::Scale(args) => scale::scale(context, args).await?,
        Command::Restart(args) => scale::restart(context, args).await?,
        Command::Rollback(args) => rollback::run(context, args).await?,
        Command::Verify(args) => verify::run(context, args).await?,
        Command::Inspect(args) => inspect::run(context, args).await?,
        Command::Nodes { command } => nodes::run(context, command).await?,
        // Those that do their work in a container find it for themselves (`running`).
        command @ (Command::Backup(_)
        | Command::Build(_)
        | Command::Config(_)
        | Command::Console(_)
        | Command::Lab(_)
        | Command::Probe(_)
        | Command::Releases
        | Command::Replay(_)
        | Command::Requests(_)
        | Command::Restore(_)
        | Command::Secrets(_)) => return Ok(Some(command)),
    }
    Ok(None)
}

/// Removes the jobs that an interrupted run left: what they read can't go before.
async fn clear_jobs(engine: &Engine, project: &str) -> Result<()> {
    for name in [replica_set::JOB, rotation::JOB] {
        job::remove(engine, project, name).await?;
    }
    Ok(())
}

/// Services that can be seen to at the same time, in the order in which they come up: each after those
/// that it depends on.
fn waves(project: &Project) -> Vec<Vec<&ServiceName>> {
    let mut depths: Vec<(&ServiceName, usize)> = Vec::new();
    for name in machine::order(project) {
        let Some((name, service)) = project.services.get_key_value(name.as_str()) else {
            continue;
        };
        // Who waits for one of a replica set waits for all.
        let is_member = |it: &str| project.replica_set_of(it).is_some();
        let of_set = !is_member(name) && service.depends_on.keys().any(|it| is_member(it));
        let below = depths.iter().filter(|(it, _)| {
            service.depends_on.contains_key(it.as_str()) || of_set && is_member(it)
        });
        let depth = below.map(|(_, depth)| depth + 1).max().unwrap_or(0);
        depths.push((name, depth));
    }
    let deepest = depths.iter().map(|(_, depth)| *depth).max();
    let wave = |wanted| {
        let of_it = depths.iter().filter(move |(_, depth)| *depth == wanted);
        of_it.map(|(name, _)| *name).collect()
    };
    deepest.map_or_else(Vec::new, |deepest| (0..=deepest).map(wave).collect())
}
