//! `deploy ps`.

use engine::Engine;
use engine::error::Result;
use engine::state::{Container, Health, State, Status};
use serde::Serialize;

use crate::context::Context;
use crate::origin;
use crate::output::style::Tone;
use crate::output::{table, text};

/// A row of `ps --json`.
#[derive(Serialize)]
struct Row<'a> {
    service: &'a str,
    name: &'a str,
    id: &'a str,
    state: Status,
    health: Option<Health>,
    exit_code: Option<i64>,
    started_at: Option<&'a str>,
    ports: &'a [String],
    image: &'a str,
}

pub(super) async fn run(context: &Context) -> Result<()> {
    let output = &context.output;
    let project = context.project()?;
    let engine = Engine::connect().await?;
    let state = State::observe(&engine, &project.name).await?;
    if output.is_json() {
        let rows: Vec<Row<'_>> = state.containers.iter().map(row).collect();
        output.document(&rows);
        return Ok(());
    }
    if let Some(stack) = origin::run_by_compose(&project, &state) {
        output.note(&stack);
    }
    if state.containers.is_empty() {
        output.line(&format!(
            "{}: no containers; `deploy up` creates them",
            project.name
        ));
        return Ok(());
    }
    let rows: Vec<Vec<table::Cell>> = state.containers.iter().map(cells).collect();
    let heading = ["SERVICE", "CONTAINER", "STATE", "SINCE", "PORTS", "IMAGE"];
    output.table(&heading, &rows);
    Ok(())
}

fn row(container: &Container) -> Row<'_> {
    Row {
        service: &container.service,
        name: &container.name,
        id: &container.id,
        state: container.status,
        health: container.health,
        exit_code: container.exit_code,
        started_at: container.started_at.as_deref(),
        ports: &container.ports,
        image: &container.image,
    }
}

fn cells(container: &Container) -> Vec<table::Cell> {
    let (state, tone) = match (container.status, container.health) {
        (Status::Running, None) => ("running".to_owned(), Tone::Good),
        (Status::Running, Some(Health::Healthy)) => ("healthy".to_owned(), Tone::Good),
        (Status::Running, Some(Health::Starting)) => ("starting".to_owned(), Tone::Notice),
        (Status::Running, Some(Health::Unhealthy)) => ("unhealthy".to_owned(), Tone::Bad),
        (Status::Exited, _) => {
            let code = container.exit_code.unwrap_or(0);
            (
                format!("exited ({code})"),
                if code == 0 { Tone::Faint } else { Tone::Bad },
            )
        }
        (status, _) => (format!("{status:?}").to_lowercase(), Tone::Notice),
    };
    // RFC 3339 as the engine has it, to the second.
    let since = container.started_at.as_deref().unwrap_or("-");
    let since = since.split('.').next().unwrap_or(since).replace('T', " ");
    vec![
        (container.service.clone(), Tone::Plain),
        (container.name.clone(), Tone::Plain),
        (state, tone),
        (since.trim_end_matches('Z').to_owned(), Tone::Faint),
        (container.ports.join(", "), Tone::Plain),
        (text::escape(&container.image).into_owned(), Tone::Faint),
    ]
}
