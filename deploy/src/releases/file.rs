//! The file that the releases are recorded in.

use std::path::{Path, PathBuf};

use compose_file::Project;
use engine::error::{Error, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::records;

use super::{Begun, Release, Releases, Run};

/// What the file held before there was a history: the releases by number, and which of them
/// was brought up last.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WithoutHistory {
    current: Option<u32>,
    unfinished: bool,
    kept: Vec<Release>,
}

pub(super) fn read(project: &Project) -> Result<Releases> {
    let path = path(project);
    match records::read(&path).map_err(|err| damaged(&path, &err))? {
        Some(text) => parse(&text).map_err(|err| damaged(&path, &err)),
        None => Ok(Releases::default()),
    }
}

pub(super) fn parse(text: &[u8]) -> serde_json::Result<Releases> {
    let value: Value = serde_json::from_slice(text)?;
    if value.get("current").is_some() {
        return serde_json::from_value::<WithoutHistory>(value).map(Releases::from);
    }
    serde_json::from_value(value)
}

impl From<WithoutHistory> for Releases {
    /// Its way back led along the numbers, so the history does: a release with a higher number
    /// than the current one had been rolled back.
    fn from(before: WithoutHistory) -> Self {
        let run = |release: &Release, rolled_back| Run {
            number: release.number,
            since: release.at.clone(),
            rolled_back,
        };
        let beyond = |it: &Release| Some(it.number) > before.current;
        let current = before
            .kept
            .iter()
            .find(|it| Some(it.number) == before.current);
        let mut history: Vec<Run> = before.kept.iter().map(|it| run(it, beyond(it))).collect();
        if let Some(current) = current
            && history.last().map(|it| it.number) != before.current
        {
            history.push(run(current, false));
        }
        Self {
            last: before.kept.iter().map(|it| it.number).max().unwrap_or(0),
            history,
            begun: before.unfinished.then_some(Begun::Up),
            kept: before.kept,
        }
    }
}

/// Environment variables are in it, which may hold what isn't for everybody.
pub(super) fn write(releases: &Releases, project: &Project) -> Result<()> {
    let path = path(project);
    records::write(&path, releases).map_err(|err| {
        Error::failed(
            format!("can't record the release in {}: {err}", path.display()),
            "see that the directory can be written, then run `deploy up` again",
        )
    })
}

pub(super) fn remove(project: &Project) -> Result<()> {
    let path = path(project);
    records::remove(&path).map_err(|err| damaged(&path, &err))
}

fn path(project: &Project) -> PathBuf {
    records::path(project, "releases.json")
}

fn damaged(path: &Path, err: &dyn std::error::Error) -> Error {
    Error::failed(
        format!(
            "the record of releases {} can't be used: {err}",
            path.display()
        ),
        "see to the file; without it only the way back to earlier releases is lost",
    )
}
