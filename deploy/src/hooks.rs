//! `post_start` and `pre_stop`: what runs in a container after its start, and before `deploy` stops it.
//!
//! That a container's `post_start` came to its end, the engine doesn't know. So a container is written
//! down beside the Compose file before it is started, and taken out of there afterwards: whoever is
//! still in it when `deploy` was killed gets its hooks from the next `up`, from the first one on.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use compose_file::Project;
use compose_file::model::Hook;
use engine::Engine;
use engine::error::{Error, Result};
use engine::exec::{Ended, Within};
use engine::hook;
use serde::Deserialize;
use serde_json::Value;

use crate::output::Output;
use crate::records;
use crate::rotation::tell::{last_lines, redacted};
use crate::secrets::Secrets;

/// Longer than any hook in use.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// What runs after the start of a container that was made from these settings.
pub(crate) fn post_start(settings: Option<&Value>) -> Vec<Hook> {
    of(settings, "post_start")
}

/// What runs before it is stopped.
pub(crate) fn pre_stop(settings: Option<&Value>) -> Vec<Hook> {
    of(settings, "pre_stop")
}

fn of(settings: Option<&Value>, key: &str) -> Vec<Hook> {
    let hooks = settings.and_then(|it| it.get(key));
    let hooks = hooks.and_then(|it| Vec::deserialize(it).ok());
    hooks.unwrap_or_default()
}

/// The ids of the containers whose `post_start` has yet to come to its end.
///
/// # Errors
/// When it isn't to be known.
pub(crate) fn owed(project: &Project) -> Result<BTreeSet<String>> {
    let path = path(project);
    match records::read(&path).map_err(|err| unusable(&path, &err))? {
        Some(text) => serde_json::from_slice(&text).map_err(|err| unusable(&path, &err)),
        None => Ok(BTreeSet::new()),
    }
}

/// Writes down that it is owed.
pub(crate) fn owe(project: &Project, id: &str) -> Result<()> {
    let mut owed = owed(project)?;
    owed.insert(id.to_owned());
    write(project, &owed)
}

/// It came to its end, or the container is gone.
pub(crate) fn settle(project: &Project, id: &str) -> Result<()> {
    let mut owed = owed(project)?;
    if owed.remove(id) {
        write(project, &owed)?;
    }
    Ok(())
}

fn write(project: &Project, owed: &BTreeSet<String>) -> Result<()> {
    let path = path(project);
    if owed.is_empty() {
        return records::remove(&path).map_err(|err| unusable(&path, &err));
    }
    records::write(&path, owed).map_err(|err| unusable(&path, &err))
}

fn path(project: &Project) -> PathBuf {
    records::path(project, "hooks.json")
}

fn unusable(path: &Path, err: &dyn std::error::Error) -> Error {
    Error::failed(
        format!(
            "the record of hooks that have yet to run, {}, can't be used: {err}",
            path.display()
        ),
        "see to the file and its directory, then run `deploy up` again; without the file no hook is owed",
    )
}

/// Runs a container's `post_start`, which has to succeed.
pub(crate) async fn run_post_start(
    engine: &Engine,
    project: &Project,
    container: Within<'_>,
    hooks: &[Hook],
    timeout: Option<Duration>,
) -> Result<()> {
    let next = "correct the cause and run `deploy up` again: the hooks run from the first one on";
    for (index, hook) in hooks.iter().enumerate() {
        let what = what(container, "post_start", hook, (index, hooks.len()));
        let ended = within(
            &what,
            timeout.unwrap_or(LONGEST),
            hook::run(engine, container, hook),
        )
        .await;
        let Some(ended) = ended? else {
            return Err(Error::failed(
                format!("{what}: the container doesn't run"),
                next,
            ));
        };
        if let Some((message, lines)) = failure(project, &what, &ended) {
            let lines = lines.iter().map(|it| format!("{}: {it}", container.name));
            return Err(Error::failed(message, next).with_details(lines));
        }
    }
    settle(project, container.id)
}

/// Runs a container's `pre_stop`. That one fails is told, and the container is stopped all the same.
pub(crate) async fn run_pre_stop(
    engine: &Engine,
    output: &Output,
    project: &Project,
    container: Within<'_>,
    hooks: &[Hook],
) {
    for (index, hook) in hooks.iter().enumerate() {
        let what = what(container, "pre_stop", hook, (index, hooks.len()));
        let note = match within(&what, LONGEST, hook::run(engine, container, hook)).await {
            Err(err) => format!("{err}; it is stopped all the same"),
            // Stopped by somebody else: there is nothing to do any more.
            Ok(None) => return,
            Ok(Some(ended)) => match failure(project, &what, &ended) {
                None => continue,
                Some((message, lines)) => {
                    let lines = lines
                        .iter()
                        .map(|it| format!("\n  {}: {it}", container.name));
                    format!(
                        "{message}; it is stopped all the same{}",
                        lines.collect::<String>()
                    )
                }
            },
        };
        output.note(&note);
        return;
    }
}

/// The program alone: arguments may be secret.
fn what(container: Within<'_>, key: &str, hook: &Hook, (index, count): (usize, usize)) -> String {
    let program = hook.command.first().map_or("", String::as_str);
    let number = if count > 1 {
        format!(" {} of {count}", index + 1)
    } else {
        String::new()
    };
    format!(
        "container {}: its {key}{number} ({program})",
        container.name
    )
}

async fn within<T>(what: &str, time: Duration, hook: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(time, hook).await.unwrap_or_else(|_| {
        Err(Error::failed(
            format!("{what}: no end within {} s", time.as_secs()),
            "see what it waits for; the command goes on in the container",
        ))
    })
}

/// What to say of a command that failed, and the end of what it wrote, without the secrets' values.
fn failure(project: &Project, what: &str, ended: &Ended) -> Option<(String, Vec<String>)> {
    if ended.status == 0 {
        return None;
    }
    let reason = match ended.status {
        126 | 127 => format!(
            "ended with status {}: is there such a program?",
            ended.status
        ),
        status => format!("ended with status {status}"),
    };
    let secrets = Secrets::read(project).unwrap_or_default();
    let values = project.secrets.iter();
    let values = values.map(|(name, it)| (name.as_str(), secrets.values(name, it)));
    let said = redacted(&ended.said, &values.collect());
    Some((format!("{what} {reason}"), last_lines(&said)))
}
