//! `deploy releases`: what ran since when, and what changed with it.

use compose_file::Project;
use engine::Engine;
use engine::error::Result;
use engine::state::{self, Status};
use engine::swarm::{self, stack::Stack};
use serde::Serialize;
use serde_json::Value;

use crate::context::Context;
use crate::diff;
use crate::output::style::Tone;
use crate::output::table;
use crate::releases::{Begun, Release, Releases};

/// So many changes are named in a row.
const NAMED: usize = 4;

/// `releases --json`.
#[derive(Serialize)]
struct View {
    project: String,
    /// What was begun after the last of them and didn't come to its end.
    begun: Option<Begun>,
    /// What ran, newest first.
    releases: Vec<Row>,
}

/// One that ran.
#[derive(Serialize)]
struct Row {
    number: u32,
    since: String,
    state: State,
    /// Settings and images in which it differs from what ran before it; `None` for the first,
    /// and where it can't be told any more.
    changed: Option<Vec<String>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Runs,
    /// It was brought up last, and none of its containers or tasks runs.
    Down,
    Replaced,
    RolledBack,
}

pub(super) async fn run(context: &Context) -> Result<()> {
    let output = &context.output;
    let project = context.project()?;
    let engine = Engine::connect().await?;
    let last = if runs(&engine, &project).await? {
        State::Runs
    } else {
        State::Down
    };
    let releases = Releases::read(&project)?;
    let history = releases.history();
    let mut rows: Vec<Row> = history
        .iter()
        .enumerate()
        .map(|(place, run)| {
            let before = place.checked_sub(1).and_then(|it| history.get(it));
            let pair =
                before.and_then(|it| Some((releases.get(it.number)?, releases.get(run.number)?)));
            Row {
                number: run.number,
                since: run.since.clone(),
                state: match (place + 1 == history.len(), run.rolled_back) {
                    (true, _) => last,
                    (false, false) => State::Replaced,
                    (false, true) => State::RolledBack,
                },
                changed: pair.and_then(|(old, new)| changed(context, old, new)),
            }
        })
        .collect();
    rows.reverse();
    let view = View {
        project: project.name.to_string(),
        begun: releases.begun(),
        releases: rows,
    };
    if output.is_json() {
        output.document(&view);
        return Ok(());
    }
    if view.releases.is_empty() {
        output.line(&format!(
            "{}: no release is recorded; `deploy up` records what it brings up",
            view.project
        ));
        return Ok(());
    }
    let cells: Vec<Vec<table::Cell>> = view.releases.iter().map(cells).collect();
    output.table(&["RELEASE", "SINCE (UTC)", "STATE", "CHANGED"], &cells);
    let begun = view.begun.map(|begun| match begun {
        Begun::Up => "an `up`".to_owned(),
        Begun::Rollback(number) => format!("a rollback to release {number}"),
    });
    if let Some(begun) = begun {
        let target = releases.previous()?.number;
        output.note(&format!(
            "{begun} was begun since and didn't come to its end; `deploy rollback` goes to release {target}"
        ));
    }
    Ok(())
}

/// Whether anything of the project does.
async fn runs(engine: &Engine, project: &Project) -> Result<bool> {
    if project.is_for_swarm() {
        swarm::manager(engine).await?;
        let stack = Stack::observe(engine, &project.name).await?;
        return Ok(stack.services.values().any(|it| it.running > 0));
    }
    let there = state::State::observe(engine, &project.name).await?;
    let mut containers = there.containers.iter();
    Ok(containers.any(|it| it.status == Status::Running))
}

/// The settings and images in which two releases differ.
fn changed(context: &Context, old: &Release, new: &Release) -> Option<Vec<String>> {
    let settings = |release: &Release| -> Option<Value> {
        let project = context.of_release(&release.compose).ok()?;
        serde_json::to_value(project).ok()
    };
    let changes = diff::changes(&settings(old)?, &settings(new)?);
    let images = new.images.iter().filter(|(name, pin)| {
        let before = old.images.get(*name);
        before.is_some_and(|it| it.content != pin.content)
    });
    let images = images.map(|(name, _)| format!("image {name}"));
    let settings = changes.into_iter().map(|it| it.setting);
    Some(images.chain(settings).collect())
}

fn cells(row: &Row) -> Vec<table::Cell> {
    let (state, tone) = match row.state {
        State::Runs => ("runs", Tone::Good),
        State::Down => ("down", Tone::Notice),
        State::Replaced => ("replaced", Tone::Plain),
        State::RolledBack => ("rolled back", Tone::Notice),
    };
    let changed = match &row.changed {
        None => "-".to_owned(),
        Some(changed) => {
            let more = changed.len().saturating_sub(NAMED);
            let named = changed[..changed.len() - more].join(", ");
            match more {
                0 => named,
                more => format!("{named} and {more} more"),
            }
        }
    };
    vec![
        (row.number.to_string(), Tone::Plain),
        (
            row.since.replace('T', " ").trim_end_matches('Z').to_owned(),
            Tone::Faint,
        ),
        (state.to_owned(), tone),
        (changed, Tone::Plain),
    ]
}
