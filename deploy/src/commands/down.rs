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
use crate::origin;
use crate::output::Output;
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
    let mut state = State::observe(&engine, &project.name).await?;
    state.set_aside(&engine, &project, args.reach.into());
    check(&project, &state)?;

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
    remove_networks(&engine, output, &project, &state).await?;
    let (volumes, of_compose) = volumes(&project, &state);
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
    let all_kept = [kept, &of_compose].concat();
    output.event(&json!({"event": "down", "kept_volumes": all_kept}));
    for line in kept_lines(&project, kept, &of_compose) {
        output.line(&line);
    }
    for note in origin::kept(&state.elsewhere) {
        output.note(&note);
    }
    output.line(&format!("{} is down", project.name));
    Ok(())
}

/// Removes the project's networks, except those that the file calls external: another file of
/// the project may have made them.
async fn remove_networks(
    engine: &Engine,
    output: &Output,
    project: &Project,
    state: &State,
) -> Result<()> {
    let external = |name: &str| {
        let network = project.network_named(name);
        network.is_some_and(|it| it.external)
    };
    for network in state.networks.iter().filter(|it| !external(&it.name)) {
        let users: Vec<&str> = state.elsewhere.users_of(&network.name).collect();
        if !users.is_empty() {
            output.line(&format!(
                "kept network {}: {} is on it, which came from another Compose file \
                 (`deploy down --remove-orphans` removes both)",
                network.name,
                users.join(", ")
            ));
            continue;
        }
        let guests = foreign_endpoints(engine, state, &network.name).await?;
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
        remove::network(engine, &network.name).await?;
        task.done("removed");
    }
    Ok(())
}

/// The project's volumes, without those that the file calls external: `deploy`'s, and those
/// that Docker Compose made.
fn volumes<'a>(project: &Project, state: &'a State) -> (Vec<&'a str>, Vec<&'a str>) {
    let external = |name: &str| {
        let mut volumes = project.volumes.values();
        volumes.any(|it| it.external && it.name == name)
    };
    let named = |by_compose: bool| {
        let volumes = state.volumes.iter();
        let own = volumes.filter(|it| it.by_compose == by_compose && !external(&it.name));
        own.map(|it| it.name.as_str()).collect()
    };
    (named(false), named(true))
}

/// Refuses to take away what isn't this file's to take, before anything goes.
fn check(project: &Project, state: &State) -> Result<()> {
    let obstacles = origin::conflicts(project, state, state.origin.as_ref());
    if obstacles.is_empty() {
        return Ok(());
    }
    Err(Error::failed(
        format!(
            "project {} can't be taken down from here; nothing was changed",
            project.name
        ),
        "settle this, then run `deploy down` again",
    )
    .with_details(obstacles))
}

/// What stays, why, and how it is removed.
fn kept_lines(project: &Project, volumes: &[&str], of_compose: &[&str]) -> Vec<String> {
    let mut lines = Vec::new();
    if !volumes.is_empty() {
        lines.push(format!(
            "kept volume {}: the data (`deploy down --volumes` removes it)",
            volumes.join(", ")
        ));
    }
    if !of_compose.is_empty() {
        let names = of_compose.join(" ");
        lines.push(format!(
            "kept volume {names}: Docker Compose made it (`docker volume rm {names}` removes it, \
             with the data)"
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
