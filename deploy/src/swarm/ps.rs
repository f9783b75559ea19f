//! `deploy ps` on a Swarm: tasks, with the node of each.

use engine::Engine;
use engine::api::TaskState;
use engine::error::Result;
use engine::swarm;
use engine::swarm::stack::{Service, Stack};
use engine::swarm::task::{self, Task};
use serde::Serialize;

use crate::context::Context;
use crate::output::style::Tone;
use crate::output::{table, text};

/// A row of `ps --json`.
#[derive(Serialize)]
struct Row<'a> {
    service: &'a str,
    name: String,
    id: &'a str,
    node: Option<&'a str>,
    state: TaskState,
    /// Whether it does its work; where there is a health check, that passes.
    ready: bool,
    since: Option<&'a str>,
    error: Option<String>,
    image: &'a str,
}

pub(super) async fn run(context: &Context) -> Result<()> {
    let output = &context.output;
    let project = context.project()?;
    let engine = Engine::connect().await?;
    swarm::manager(&engine).await?;
    let stack = Stack::observe(&engine, &project.name).await?;
    let mut tasks = Vec::new();
    for (key, service) in &stack.services {
        let of_it = shown(task::of_service(&engine, &service.name).await?);
        tasks.extend(of_it.into_iter().map(|task| (key, service, task)));
    }
    let rows: Vec<Row<'_>> = tasks
        .iter()
        .map(|(key, service, task)| row(&stack, key, service, task))
        .collect();
    if output.is_json() {
        output.document(&rows);
        return Ok(());
    }
    if rows.is_empty() {
        output.line(&format!(
            "{}: no tasks; `deploy up` creates services",
            project.name
        ));
        return Ok(());
    }
    let cells: Vec<Vec<table::Cell>> = rows.iter().map(cells).collect();
    output.table(
        &["SERVICE", "TASK", "NODE", "STATE", "SINCE", "IMAGE"],
        &cells,
    );
    for row in &rows {
        if let Some(error) = &row.error {
            output.note(&format!("{}: {error}", row.name));
        }
    }
    Ok(())
}

/// What a task is called: by its number, or by its node where each has one.
pub(super) fn name(stack: &Stack, service: &Service, task: &Task) -> String {
    let node = task.node.as_deref().map(|id| stack.node_name(id));
    match (task.slot, node) {
        (Some(slot), _) => format!("{}.{slot}", service.name),
        (None, Some(node)) => format!("{}.{node}", service.name),
        (None, None) => service.name.clone(),
    }
}

/// Those that are meant to run, and where none of a place does, the last that failed.
fn shown(tasks: Vec<Task>) -> Vec<Task> {
    let mut shown: Vec<Task> = Vec::new();
    let place = |task: &Task| match task.slot {
        Some(slot) => (Some(slot), None),
        None => (None, task.node.clone()),
    };
    let (wanted, history): (Vec<Task>, Vec<Task>) = tasks.into_iter().partition(|it| it.wanted);
    let running: Vec<_> = wanted.iter().filter(|it| it.runs()).map(place).collect();
    shown.extend(wanted);
    for task in history.into_iter().filter(Task::failed) {
        let told = |it: &Task| it.failed() && place(it) == place(&task);
        if !running.contains(&place(&task)) && !shown.iter().any(told) {
            shown.push(task);
        }
    }
    shown.sort_by_key(|it| (it.slot, it.node.clone(), !it.wanted));
    shown
}

fn row<'a>(stack: &'a Stack, key: &'a str, service: &Service, task: &'a Task) -> Row<'a> {
    Row {
        service: key,
        name: name(stack, service, task),
        id: &task.id,
        node: task.node.as_deref().map(|id| stack.node_name(id)),
        state: task.state,
        ready: task.runs(),
        since: task.since.as_deref(),
        error: task.complaint(),
        image: task.image.split('@').next().unwrap_or(&task.image),
    }
}

fn cells(row: &Row<'_>) -> Vec<table::Cell> {
    let tone = match row.state {
        _ if row.ready => Tone::Good,
        TaskState::FAILED | TaskState::REJECTED | TaskState::ORPHANED => Tone::Bad,
        _ => Tone::Notice,
    };
    let since = row.since.unwrap_or("-");
    let since = since.split('.').next().unwrap_or(since).replace('T', " ");
    vec![
        (row.service.to_owned(), Tone::Plain),
        (row.name.clone(), Tone::Plain),
        (row.node.unwrap_or("-").to_owned(), Tone::Plain),
        (row.state.to_string(), tone),
        (since.trim_end_matches('Z').to_owned(), Tone::Faint),
        (text::escape(row.image).into_owned(), Tone::Faint),
    ]
}
