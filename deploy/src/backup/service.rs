//! The service that has the data dumped and loaded (`x-backup`).

use compose_file::Project;
use compose_file::model::Backup;
use engine::Engine;
use engine::error::{Error, Result};
use engine::exec::{Ended, Running};
use engine::state::Container;

use crate::running;

/// A container of it that runs.
pub(crate) struct Keeper {
    container: Container,
}

impl Keeper {
    /// What the file says of it.
    ///
    /// # Errors
    /// When it says nothing.
    pub(crate) fn said(project: &Project) -> Result<&Backup> {
        project.backup.as_ref().ok_or_else(|| {
            Error::usage(
                format!("{}: no x-backup, which says how", project.files),
                "take it, and the service that it names, from Causeway's own compose.yaml",
            )
        })
    }

    /// Finds one.
    ///
    /// # Errors
    /// When none runs where it can be reached.
    pub(crate) async fn find(engine: &Engine, project: &Project, backup: &Backup) -> Result<Self> {
        let container = running::container(engine, project, &backup.service).await?;
        Ok(Self { container })
    }

    /// Starts one of its commands.
    ///
    /// # Errors
    /// When the engine can't.
    pub(crate) async fn run(&self, engine: &Engine, command: &[String]) -> Result<Running> {
        Running::start(engine, &self.container, command).await
    }

    /// For people.
    pub(crate) fn name(&self) -> &str {
        &self.container.name
    }
}

/// The error, where a command didn't end well. `again` is what to do then.
pub(crate) fn ended_well(keeper: &Keeper, what: &str, ended: &Ended, again: &str) -> Result<()> {
    let lines: Vec<&str> = ended
        .said
        .lines()
        .filter(|it| !it.trim().is_empty())
        .collect();
    let (reason, next) = match ended.status {
        0 => return Ok(()),
        126 | 127 => (
            "its image has no such program".to_owned(),
            "`deploy up` brings up this checkout's",
        ),
        // By a signal: its container was stopped or replaced, or had no memory left.
        status @ 129.. => (format!("it was ended by signal {}", status - 128), again),
        status => {
            let last = lines.last().map(|it| it.trim().to_owned());
            (last.unwrap_or(format!("status {status}")), again)
        }
    };
    let name = keeper.name();
    let before = lines.len().saturating_sub(1);
    Err(
        Error::failed(format!("the {what} in {name} failed: {reason}"), next).with_details(
            lines[before.saturating_sub(5)..before]
                .iter()
                .map(|line| format!("{name}: {line}")),
        ),
    )
}
