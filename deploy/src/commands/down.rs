//! `deploy down`: takes away what `up` made, dependents first. Volumes stay unless
//! asked for, secrets always do: a volume's database knows no other password.

use std::collections::BTreeSet;

use compose_file::Project;
use engine::Engine;
use engine::error::{Error, Result};
use engine::image::Images;
use engine::state::State;
use serde_json::json;

use crate::cli::Down;
use crate::context::Context;
use crate::execute::Executor;
use crate::lock::Lock;
use crate::origin;
use crate::plan::Plan;
use crate::releases::Releases;

pub(super) async fn run(context: &Context, args: Down) -> Result<()> {
    let output = &context.output;
    // The stack is all of it.
    let project = context.project()?.with_disabled(|_| true);
    let engine = Engine::connect().await?;
    let _lock = Lock::acquire(&engine, output, &project.name, "down", args.wait.patience()).await?;
    let mut state = State::observe(&engine, &project.name).await?;
    state.set_aside(&engine, &project, args.reach.into());
    check(&project, &state)?;

    let (networks, lines) = networks(&project, &state);
    let (volumes, of_compose) = volumes(&project, &state);
    let removed: &[&str] = if args.volumes { &volumes } else { &[] };
    let plan = Plan::down(&project, &state, &networks, removed);
    let executor = Executor::new(&engine, output, &project, None);
    executor.run(&plan, &mut Images::default()).await?;
    if args.volumes {
        Releases::read(&project)?
            .forget(&engine, output, &project)
            .await?;
    }
    for line in lines {
        output.line(&line);
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

/// The project's networks, except those that the file calls external: another file of the project
/// may have made them. And lines about those that stay because others are on them.
fn networks<'a>(project: &Project, state: &'a State) -> (Vec<&'a str>, Vec<String>) {
    let external = |name: &str| {
        let network = project.network_named(name);
        network.is_some_and(|it| it.external)
    };
    let (mut going, mut kept) = (Vec::new(), Vec::new());
    for network in state.networks.iter().filter(|it| !external(&it.name)) {
        let users: Vec<&str> = state.elsewhere.users_of(&network.name).collect();
        if users.is_empty() {
            going.push(network.name.as_str());
        } else {
            kept.push(format!(
                "kept network {}: {} is on it, which came from another Compose file \
                 (`deploy down --remove-orphans` removes both)",
                network.name,
                users.join(", ")
            ));
        }
    }
    (going, kept)
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
            "kept secret {}: what is stored, or what clients trust, was made with it",
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
