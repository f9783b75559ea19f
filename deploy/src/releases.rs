//! What was brought up before, so that `deploy rollback` can go back to it.
//!
//! A release is the Compose file with everything resolved, and the images as they were,
//! each kept from being forgotten by a tag of its own. The history says which release ran
//! when; the way back leads along it, not along the releases' numbers. Both are recorded
//! beside the Compose file; no secret is, only the names of their files.

mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use compose_file::Project;
use engine::Engine;
use engine::error::{Error, Exit, Result};
use engine::image::{self, Images, Pin};
use serde::{Deserialize, Serialize};

use crate::output::Output;

/// So many releases can be gone back to, the one that runs included.
const KEPT: usize = 5;
/// So many entries the history has at most.
const MOST_RUNS: usize = 50;

/// The releases of a project, and what ran when.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Releases {
    /// The highest number that was given so far.
    last: u32,
    /// Oldest first; the last entry is what was brought up last.
    history: Vec<Run>,
    /// What was begun since, and didn't come to its end.
    begun: Option<Begun>,
    /// The releases of the history, by number.
    kept: Vec<Release>,
}

/// A release was brought up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    /// The release's.
    pub(crate) number: u32,
    /// When, RFC 3339.
    pub(crate) since: String,
    /// A rollback went back beyond it: the way back doesn't lead here again.
    pub(crate) rolled_back: bool,
}

/// What changes a stack from one release to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Begun {
    /// `deploy up`.
    Up,
    /// `deploy rollback`, to the release with this number.
    Rollback(u32),
}

/// Something that was brought up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Release {
    /// Counted from 1 for each project.
    pub(crate) number: u32,
    /// When it was first brought up, RFC 3339.
    pub(crate) at: String,
    /// The Compose file, everything in it resolved.
    pub(crate) compose: String,
    /// By the name that the Compose file has.
    pub(crate) images: BTreeMap<String, Pin>,
}

impl Releases {
    /// Reads the project's record; empty where there is none.
    ///
    /// # Errors
    /// When there is one that can't be read.
    pub(crate) fn read(project: &Project) -> Result<Self> {
        file::read(project)
    }

    /// What ran when, oldest first.
    pub(crate) fn history(&self) -> &[Run] {
        &self.history
    }

    /// What was begun after the last entry of the history, and didn't come to its end.
    pub(crate) fn begun(&self) -> Option<Begun> {
        self.begun
    }

    /// The number of the release that was brought up last.
    pub(crate) fn current(&self) -> Option<u32> {
        self.history.last().map(|it| it.number)
    }

    /// The release with this number.
    pub(crate) fn get(&self, number: u32) -> Option<&Release> {
        self.kept.iter().find(|it| it.number == number)
    }

    /// The contents of all images that releases are kept with.
    pub(crate) fn contents(&self) -> BTreeSet<String> {
        let pins = self.kept.iter().flat_map(|it| it.images.values());
        pins.map(|pin| pin.content.clone()).collect()
    }

    /// The release to go back to: what ran before the current one; the current one itself
    /// when an `up` after it didn't come to its end; and if that was a rollback, its target.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn previous(&self) -> Result<&Release> {
        let current = self.current();
        let target = match self.begun {
            Some(Begun::Up) => current,
            Some(Begun::Rollback(number)) => Some(number),
            None => {
                let mut back = self.history.iter().rev().filter(|it| !it.rolled_back);
                back.find(|it| Some(it.number) != current)
                    .map(|it| it.number)
            }
        };
        target.and_then(|number| self.get(number)).ok_or_else(|| {
            let (message, next) = match current {
                None => (
                    "no release is recorded".to_owned(),
                    "`deploy up` records one each time it brings something else up",
                ),
                Some(number) => (
                    format!(
                        "release {number} runs, and none that ran before it is left to go back to"
                    ),
                    "see `deploy releases`, and `deploy rollback --to N`; or put the settings you \
                     want into the Compose file and run `deploy up`",
                ),
            };
            Error::failed(message, next)
        })
    }

    /// The release that `deploy rollback --to` names.
    ///
    /// # Errors
    /// When it isn't kept.
    pub(crate) fn chosen(&self, number: u32) -> Result<&Release> {
        self.get(number).ok_or_else(|| {
            let kept: Vec<String> = self.kept.iter().map(|it| it.number.to_string()).collect();
            Error::usage(
                format!(
                    "release {number} isn't kept; those that are: {}",
                    if kept.is_empty() {
                        "none".to_owned()
                    } else {
                        kept.join(", ")
                    }
                ),
                "`deploy releases` says what ran when and what changed",
            )
        })
    }

    /// Notes that something else than the current release is about to be brought up.
    ///
    /// # Errors
    /// When the record can't be written.
    pub(crate) fn begin(&mut self, project: &Project, begun: Begun) -> Result<()> {
        if self.history.is_empty() || self.begun == Some(begun) {
            return Ok(());
        }
        self.begun = Some(begun);
        file::write(self, project)
    }

    /// Notes that a rollback to the release with this number came to its end.
    ///
    /// # Errors
    /// When the record can't be written.
    pub(crate) fn went_back(&mut self, project: &Project, number: u32) -> Result<()> {
        self.withdraw(number);
        self.arrive(number);
        file::write(self, project)
    }

    /// Records that `project` was brought up from `images`: as the release it equals, or
    /// as a new one. Releases beyond the number kept are forgotten, with their tags.
    ///
    /// # Errors
    /// When the engine can't tag an image, or the record can't be written.
    pub(crate) async fn record(
        &mut self,
        engine: &Engine,
        output: &Output,
        project: &Project,
        images: &Images,
    ) -> Result<u32> {
        let compose = project.to_yaml().map_err(|err| {
            Error::failed(err.to_string(), "report it, with the Compose file's form")
        })?;
        let contents: BTreeMap<&str, String> = project
            .services
            .values()
            .filter_map(|it| Some((it.image.as_str(), images.get(&it.image).content?)))
            .collect();
        let equal = |it: &&Release| {
            let pins = it
                .images
                .iter()
                .map(|(name, pin)| (name.as_str(), &pin.content));
            it.compose == compose
                && pins.eq(contents.iter().map(|(name, content)| (*name, content)))
        };
        let equal = self.kept.iter().find(equal).map(|it| it.number);
        if let Some(number) = equal
            && self.current() == Some(number)
            && self.begun.is_none()
        {
            return Ok(number);
        }
        let number = equal.unwrap_or(self.last + 1);
        if equal.is_none() {
            let mut pins = BTreeMap::new();
            for (name, content) in contents {
                let tag = format!("{}-release-{number}", project.name);
                let tag = image::tag::add(engine, name, &tag).await?;
                pins.insert(name.to_owned(), Pin { tag, content });
            }
            self.last = number;
            self.kept.push(Release {
                number,
                at: now(),
                compose,
                images: pins,
            });
        }
        self.arrive(number);
        let forgotten = self.trim();
        file::write(self, project)?;
        for release in &forgotten {
            release.untag(engine, output).await?;
        }
        Ok(number)
    }

    /// Forgets every release, with its tags.
    ///
    /// # Errors
    /// When the engine can't remove a tag, or the record can't be removed.
    pub(crate) async fn forget(
        self,
        engine: &Engine,
        output: &Output,
        project: &Project,
    ) -> Result<()> {
        for release in &self.kept {
            release.untag(engine, output).await?;
        }
        file::remove(project)
    }

    /// The release runs now; it stays one entry if it did before.
    fn arrive(&mut self, number: u32) {
        self.begun = None;
        if self.current() != Some(number) {
            self.history.push(Run {
                number,
                since: now(),
                rolled_back: false,
            });
        }
    }

    /// Takes the way back to a release: it and what came after it aren't on it any more.
    fn withdraw(&mut self, number: u32) {
        let on_the_way = |it: &Run| it.number == number && !it.rolled_back;
        if self.current() == Some(number) {
            return;
        }
        if let Some(place) = self.history.iter().rposition(on_the_way) {
            for run in &mut self.history[place..] {
                run.rolled_back = true;
            }
        }
    }

    /// Takes out the releases beyond the number kept: first those that were rolled back,
    /// then those that ran longest ago.
    fn trim(&mut self) -> Vec<Release> {
        let surplus = self.history.len().saturating_sub(MOST_RUNS);
        self.history.drain(..surplus);
        let recent = || self.history.iter().rev();
        let ranked = recent()
            .filter(|it| !it.rolled_back)
            .chain(recent().filter(|it| it.rolled_back));
        let mut numbers = Vec::with_capacity(KEPT);
        for run in ranked {
            if numbers.len() < KEPT && !numbers.contains(&run.number) {
                numbers.push(run.number);
            }
        }
        self.history.retain(|it| numbers.contains(&it.number));
        let (kept, forgotten) = std::mem::take(&mut self.kept)
            .into_iter()
            .partition(|it| numbers.contains(&it.number));
        self.kept = kept;
        forgotten
    }
}

impl Release {
    async fn untag(&self, engine: &Engine, output: &Output) -> Result<()> {
        for pin in self.images.values() {
            if let Some(note) = image::tag::remove(engine, &pin.tag).await? {
                output.note(&note);
            }
        }
        Ok(())
    }
}

/// The error of an `up` or `rollback` that didn't come to its end, with the command that goes back to
/// what ran before, if anything did, or on to where the rollback leads.
pub(crate) fn with_way_back(project: &Project, mut err: Error) -> Error {
    if err.exit == Exit::Failed
        && let Ok(releases) = Releases::read(project)
        && let Some(begun) = releases.begun
        && let Ok(release) = releases.previous()
    {
        let way = match begun {
            Begun::Up => "or go back: `deploy rollback` brings up what ran before,",
            Begun::Rollback(_) => "`deploy rollback` goes on to",
        };
        err.next = format!("{}; {way} release {}", err.next, release.number);
    }
    err
}

fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

#[cfg(test)]
mod tests;
