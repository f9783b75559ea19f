//! `deploy down` on a Swarm: services first, dependents before what they depend on, then what they used.
//! Volumes stay unless asked for, and with them what their data was made with.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use compose_file::Project;
use compose_file::model::ServiceName;
use engine::Engine;
use engine::error::{EngineContext, Result, is_conflict, is_missing};
use engine::swarm;
use engine::swarm::object::{Kind, Object};
use engine::swarm::stack::{self, Stack};
use engine::swarm::task;
use netcheck::probe::stand_in;
use serde_json::json;

use super::{clear_jobs, data, images, plan, waves};
use crate::cli::Down;
use crate::context::Context;
use crate::lock::Lock;
use crate::origin::Reach;
use crate::output::Output;
use crate::releases::Releases;

/// How often tasks that go are looked at.
const INTERVAL: Duration = Duration::from_millis(300);
/// Beyond its grace period, a task has so long to go: longer, and its node isn't heard of.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn run(context: &Context, args: Down) -> Result<()> {
    let output = &context.output;
    let project = context.project()?.with_disabled(|_| true);
    let engine = Engine::connect().await?;
    let here = swarm::manager(&engine).await?;
    let patience = args.wait.patience();
    let _lock = Lock::of_swarm(&engine, output, &project.name, "down", patience).await?;
    // What looked at its networks, and was killed meanwhile, is on them.
    stand_in::remove_of(&engine, &project.name).await?;
    let stack = Stack::observe(&engine, &project.name).await?;
    let reach = Reach::from(args.reach);

    clear_jobs(&engine, &project.name).await?;
    let going = services(&project, &stack, reach);
    for wave in going {
        remove_services(&engine, output, &project, &stack, &wave).await?;
    }
    for node in stack.nodes.iter().filter(|it| !it.ready) {
        output.note(&format!(
            "node {} isn't heard of: what it ran of the stack goes when it comes back",
            node.name
        ));
    }
    let stay = Stack::observe(&engine, &project.name).await?;
    remove_networks(&engine, output, &project, &stack).await?;
    // What data was made with is known by its object until the data goes.
    let goes = |it: &&Object| it.is_content() && (args.volumes || !is_of_data(&project, it));
    for object in stack.objects.iter().filter(goes) {
        if stay.services.is_empty() {
            object.remove(&engine).await?;
        }
    }
    if args.volumes {
        remove_volumes(&engine, output, &project, &stack, &here).await?;
        images::tidy(&engine, output, &project, &stack, &here, &BTreeSet::new()).await;
        Releases::read(&project)?
            .forget(&engine, output, &project)
            .await?;
    } else {
        let names: Vec<&str> = data::keepers(&project)
            .filter_map(|(_, _, key)| Some(project.volumes.get(key)?.name.as_str()))
            .collect();
        output.event(&json!({"event": "down", "kept_volumes": names}));
        if !names.is_empty() {
            output.line(&format!(
                "kept volume {}: the data (`deploy down --volumes` removes it), and what it was made with",
                names.join(", ")
            ));
        }
    }
    for service in stay.services.values() {
        output.note(&format!(
            "service {} stays: it was brought up from another file (`--remove-orphans` removes it)",
            service.name
        ));
    }
    output.line(&format!("{} is down", project.name));
    Ok(())
}

/// The services to go, in waves.
fn services<'a>(
    project: &'a Project,
    stack: &'a Stack,
    reach: Reach,
) -> Vec<Vec<&'a stack::Service>> {
    let (orphans, _) = plan::orphans(project, stack, reach);
    let mut going = vec![orphans];
    let known = |name: &ServiceName| stack.services.get(name.as_str());
    let mut waves: Vec<Vec<_>> = waves(project)
        .into_iter()
        .map(|wave| wave.into_iter().filter_map(known).collect())
        .collect();
    waves.reverse();
    going.append(&mut waves);
    going.retain(|wave| !wave.is_empty());
    going
}

async fn remove_services(
    engine: &Engine,
    output: &Output,
    project: &Project,
    stack: &Stack,
    services: &[&stack::Service],
) -> Result<()> {
    let is_lost = |id: &String| stack.nodes.iter().any(|it| it.id == *id && !it.ready);
    let mut tasks = Vec::new();
    let mut grace = Duration::ZERO;
    for service in services {
        let task = output.task(&format!("service {}", service.name), "removing");
        service.remove(engine).await?;
        tasks.push((service, task));
        let key = service.name.strip_prefix(&format!("{}_", project.name));
        let known = key.and_then(|key| project.services.get(key));
        let stop = known.and_then(|it| it.stop_grace_period);
        grace = grace.max(stop.unwrap_or(Duration::from_secs(10)));
    }
    let deadline = Instant::now() + grace + PATIENCE;
    for (service, task) in tasks {
        loop {
            let mut left = task::left_of(engine, &service.id).await?;
            // What they run goes when they come back.
            left.retain(|it| !it.node.as_ref().is_some_and(is_lost));
            if left.is_empty() {
                task.done("removed");
                break;
            }
            task.detail(&format!("{} tasks stop", left.len()));
            if Instant::now() > deadline {
                output.note(&format!(
                    "service {}: {} of its tasks didn't say that they ended; see their nodes (`docker node ls`)",
                    service.name,
                    left.len()
                ));
                break;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }
    Ok(())
}

async fn remove_networks(
    engine: &Engine,
    output: &Output,
    project: &Project,
    stack: &Stack,
) -> Result<()> {
    for network in project.networks.values().filter(|it| !it.external) {
        let Some(there) = stack.networks.get(&network.name) else {
            continue;
        };
        if !there.owner.is_deploy(&project.name) {
            continue;
        }
        let task = output.task(&format!("network {}", network.name), "removing");
        let deadline = Instant::now() + PATIENCE;
        loop {
            match engine.remove_network(&there.id).await {
                Ok(()) => break,
                Err(err) if is_missing(&err) => break,
                // Tasks that have just ended are still on it for a moment.
                Err(_) if Instant::now() < deadline => tokio::time::sleep(INTERVAL).await,
                Err(err) => {
                    return Err(err).doing(|| format!("remove network {}", network.name));
                }
            }
        }
        task.done("removed");
    }
    Ok(())
}

/// Whether data was made with it.
fn is_of_data(project: &Project, object: &Object) -> bool {
    let secret = project.secrets.get(object.key());
    object.kind == Kind::Secret && secret.is_some_and(data::is_made_with)
}

/// Volumes are removed where this engine has them. It can't reach those of other nodes.
async fn remove_volumes(
    engine: &Engine,
    output: &Output,
    project: &Project,
    stack: &Stack,
    here: &str,
) -> Result<()> {
    for volume in project.volumes.values().filter(|it| !it.external) {
        let task = output.task(&format!("volume {}", volume.name), "removing");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let removed = engine.remove_volume(&volume.name).await;
            match removed {
                Ok(()) => {
                    task.done("removed");
                    break;
                }
                Err(err) if is_missing(&err) => break,
                Err(err) if is_conflict(&err) && Instant::now() < deadline => {
                    tokio::time::sleep(INTERVAL).await;
                }
                Err(err) => return Err(err).doing(|| format!("remove volume {}", volume.name)),
            }
        }
    }
    for (record, _) in data::records(stack) {
        record.remove(engine).await?;
    }
    let elsewhere: Vec<&str> = stack
        .nodes
        .iter()
        .filter(|it| it.id != here)
        .map(|it| it.name.as_str())
        .collect();
    let names: Vec<&str> = project
        .volumes
        .values()
        .map(|it| it.name.as_str())
        .collect();
    if !elsewhere.is_empty() && !names.is_empty() {
        output.note(&format!(
            "this engine can't remove what other nodes have: where you want it gone on {}, `docker volume rm {}` there",
            elsewhere.join(", "),
            names.join(" ")
        ));
    }
    output.event(&json!({"event": "down", "kept_volumes": []}));
    Ok(())
}
