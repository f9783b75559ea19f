//! `deploy down`: takes away what `up` made, dependents first. Volumes stay unless
//! asked for, secrets always do: a volume's database knows no other password.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::Context;
use crate::cli::Down;
use crate::compose::Project;
use crate::concurrency;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::lock::Lock;
use crate::plan;
use crate::preflight::foreign_endpoints;
use crate::releases::Releases;
use crate::remove;
use crate::state::{Container, State};

pub(super) async fn run(context: &Context, args: Down) -> Result<()> {
    let output = &context.output;
    let project = context.project()?;
    let engine = Engine::connect().await?;
    let _lock = Lock::acquire(&engine, output, &project.name, "down", args.wait.patience()).await?;
    let state = State::observe(&engine, &project.name).await?;

    for wave in waves(&project, &state) {
        concurrency::try_all(wave.into_iter().map(|container| {
            let engine = &engine;
            async move {
                let task = output.task(&format!("container {}", container.name), "going down");
                remove::container(engine, &container.id, &container.name, &task).await?;
                task.done("removed");
                Ok::<(), Error>(())
            }
        }))
        .await?;
    }
    for network in &state.networks {
        let guests = foreign_endpoints(&engine, &state, &network.name).await?;
        if !guests.is_empty() {
            let guests = guests.join(" ");
            return Err(Error::failed(
                format!(
                    "network {} can't be removed: {guests}, not this project's, is connected to it",
                    network.name
                ),
                format!(
                    "`docker network disconnect {} {guests}`, then `deploy down` again; everything \
                     else of the project that was to go is gone",
                    network.name
                ),
            ));
        }
        let task = output.task(&format!("network {}", network.name), "removing");
        remove::network(&engine, &network.name).await?;
        task.done("removed");
    }
    let volumes: Vec<&str> = state.volumes.iter().map(|it| it.name.as_str()).collect();
    if args.volumes {
        for name in &volumes {
            let task = output.task(&format!("volume {name}"), "removing");
            remove::volume(&engine, name).await?;
            task.done("removed");
        }
        Releases::read(&project)?
            .forget(&engine, output, &project)
            .await?;
    }
    let kept: &[&str] = if args.volumes { &[] } else { &volumes };
    output.event(&json!({"event": "down", "kept_volumes": kept}));
    for line in kept_lines(&project, kept) {
        output.line(&line);
    }
    output.line(&format!("{} is down", project.name));
    Ok(())
}

/// What stays, why, and how it is removed.
fn kept_lines(project: &Project, volumes: &[&str]) -> Vec<String> {
    let mut lines = Vec::new();
    if !volumes.is_empty() {
        lines.push(format!(
            "kept volume {}: the data (`deploy down --volumes` removes it)",
            volumes.join(", ")
        ));
    }
    let secrets: Vec<&str> = project
        .secrets
        .iter()
        .filter(|(_, secret)| secret.file.exists())
        .map(|(name, _)| name.as_str())
        .collect();
    if !secrets.is_empty() {
        lines.push(format!(
            "kept secret {}: what is stored was made with it",
            secrets.join(", ")
        ));
    }
    let images: BTreeSet<&str> = project
        .services
        .values()
        .map(|service| service.image.as_str())
        .collect();
    if !images.is_empty() {
        let images: Vec<&str> = images.into_iter().collect();
        lines.push(format!(
            "kept image {}: the next `deploy up` starts from it (`docker image rm` removes it)",
            images.join(", ")
        ));
    }
    lines
}

/// Containers that can go at the same time, in the order in which they do: what
/// depends on a service goes before it, and what the file doesn't know goes first.
fn waves<'a>(project: &Project, state: &'a State) -> Vec<Vec<&'a Container>> {
    let mut depth: BTreeMap<String, usize> = BTreeMap::new();
    for name in plan::order(project) {
        let Some(service) = project.services.get(&name) else {
            continue;
        };
        let below = plan::dependencies(service)
            .iter()
            .filter_map(|(dependency, _)| depth.get(dependency.as_str()))
            .max()
            .map_or(0, |depth| depth + 1);
        depth.insert(name.to_string(), below);
    }
    let mut waves: BTreeMap<usize, Vec<&Container>> = BTreeMap::new();
    for container in &state.containers {
        let depth = depth.get(&container.service).copied().unwrap_or(usize::MAX);
        waves.entry(depth).or_default().push(container);
    }
    waves.into_values().rev().collect()
}
