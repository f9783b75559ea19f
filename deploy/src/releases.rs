//! What was brought up before, so that `deploy rollback` can go back to it.
//!
//! A release is the Compose file with everything resolved, and the images as they were,
//! each kept from being forgotten by a tag of its own. The last few are recorded beside
//! the Compose file; no secret is, only the names of their files.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::compose::Project;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::file;
use crate::image::{self, Images};
use crate::output::Output;

/// The directory of all records, beside the Compose file.
pub const DIRECTORY: &str = ".deploy";
/// So many releases can be gone back to, the one that runs included.
const KEPT: usize = 5;

/// The releases of a project, oldest first.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Releases {
    /// The one that was brought up last.
    current: Option<u32>,
    /// Something else was begun since and didn't come to its end.
    unfinished: bool,
    kept: Vec<Release>,
}

/// Something that was brought up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Counted from 1 for each project.
    pub number: u32,
    /// When it was first brought up, RFC 3339.
    pub at: String,
    /// The Compose file, everything in it resolved.
    pub compose: String,
    /// By the name that the Compose file has.
    pub images: BTreeMap<String, Pin>,
}

/// An image as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// A name that stays with it when the Compose file's name moves on.
    pub tag: String,
    /// What a container gets from it (see [`image::ImageState::content`]).
    pub content: String,
}

impl Releases {
    /// Reads the project's record; empty where there is none.
    pub fn read(project: &Project) -> Result<Self> {
        let path = path(project);
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|err| damaged(&path, &err)),
            Err(err) if err.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(err) => Err(damaged(&path, &err)),
        }
    }

    /// The release to go back to: that before the current one, or the current one itself
    /// when what was begun after it didn't come to its end.
    pub fn previous(&self) -> Result<&Release> {
        let place = self
            .kept
            .iter()
            .position(|it| Some(it.number) == self.current);
        let target = match place {
            Some(place) if self.unfinished => Some(place),
            Some(place) => place.checked_sub(1),
            None => None,
        };
        target
            .and_then(|place| self.kept.get(place))
            .ok_or_else(|| {
                let (message, next) = match self.current {
                    None => (
                        "no release is recorded".to_owned(),
                        "`deploy up` records one each time it brings something else up",
                    ),
                    Some(number) => (
                        format!("release {number} runs, and none before it is kept"),
                        "put the settings you want into the Compose file and run `deploy up`",
                    ),
                };
                Error::failed(message, next)
            })
    }

    /// Notes that something else than the current release is about to be brought up.
    pub fn begin(&mut self, project: &Project) -> Result<()> {
        if self.current.is_none() || self.unfinished {
            return Ok(());
        }
        self.unfinished = true;
        self.write(project)
    }

    /// Notes that the release with this number runs.
    pub fn settle(&mut self, project: &Project, number: u32) -> Result<()> {
        if self.current == Some(number) && !self.unfinished {
            return Ok(());
        }
        self.current = Some(number);
        self.unfinished = false;
        self.write(project)
    }

    /// Records that `project` was brought up from `images`: as the release it equals, or
    /// as a new one. Releases beyond the number kept are forgotten, with their tags.
    pub async fn record(
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
        if let Some(release) = self.kept.iter().find(equal) {
            let number = release.number;
            self.settle(project, number)?;
            return Ok(number);
        }
        let number = self.kept.last().map_or(1, |it| it.number + 1);
        let mut pins = BTreeMap::new();
        for (name, content) in contents {
            let tag = format!("{}-release-{number}", project.name);
            let tag = image::tag::add(engine, name, &tag).await?;
            pins.insert(name.to_owned(), Pin { tag, content });
        }
        self.kept.push(Release {
            number,
            at: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            compose,
            images: pins,
        });
        let forgotten = self.kept.len().saturating_sub(KEPT);
        let forgotten: Vec<Release> = self.kept.drain(..forgotten).collect();
        self.settle(project, number)?;
        for release in &forgotten {
            release.untag(engine, output).await?;
        }
        Ok(number)
    }

    /// Forgets every release, with its tags.
    pub async fn forget(self, engine: &Engine, output: &Output, project: &Project) -> Result<()> {
        for release in &self.kept {
            release.untag(engine, output).await?;
        }
        let path = path(project);
        match fs::remove_file(&path) {
            Err(err) if err.kind() != ErrorKind::NotFound => Err(damaged(&path, &err)),
            _ => Ok(()),
        }
    }

    /// The file is the old one or the new one, also when the machine loses power.
    fn write(&self, project: &Project) -> Result<()> {
        let path = path(project);
        // Environment variables are in it, which may hold what isn't for everybody.
        let text = serde_json::to_vec_pretty(self).map_err(std::io::Error::from);
        let written = text
            .map_err(file::WriteError::from)
            .and_then(|text| file::put(&path, &text));
        written.map_err(|err| {
            Error::failed(
                format!("can't record the release in {}: {err}", path.display()),
                "see that the directory can be written, then run `deploy up` again",
            )
        })
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

fn path(project: &Project) -> PathBuf {
    project
        .working_dir
        .join(DIRECTORY)
        .join(project.name.as_str())
        .join("releases.json")
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

#[cfg(test)]
mod tests {
    use super::*;

    fn releases(numbers: &[u32], current: Option<u32>, unfinished: bool) -> Releases {
        let release = |number: &u32| Release {
            number: *number,
            at: String::new(),
            compose: String::new(),
            images: BTreeMap::new(),
        };
        Releases {
            current,
            unfinished,
            kept: numbers.iter().map(release).collect(),
        }
    }

    #[test]
    fn goes_back_one_at_a_time() {
        let previous = |releases: &Releases| releases.previous().map(|it| it.number).ok();
        assert_eq!(previous(&releases(&[4, 5, 6], Some(6), false)), Some(5));
        assert_eq!(previous(&releases(&[4, 5, 6], Some(5), false)), Some(4));
        assert_eq!(previous(&releases(&[4, 5, 6], Some(4), false)), None);
        assert_eq!(previous(&releases(&[], None, false)), None);
    }

    #[test]
    fn what_failed_is_no_release() {
        let after_a_failure = releases(&[4, 5, 6], Some(6), true);
        assert_eq!(after_a_failure.previous().unwrap().number, 6);
    }
}
