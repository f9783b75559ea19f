//! Which Compose file brought a running stack up, and whether another may go on with it.
//!
//! Two files can bear one project's name: a second clone of a repository, or two files that
//! share a project on purpose. What only one of them has stays when the other is brought up.
//! Where both have a service, its containers are those of the file that made the newest of
//! them; the other takes the stack over only if it is told to, or if that file is gone, so
//! that the checkout was moved.
//!
//! Files that are merged over another make it no other file: a stack goes by the first one. What only
//! they have stays too, while they aren't at hand.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use compose_file::{Files, Project};

use crate::Engine;
use crate::state::container::Container;

/// How far beyond the file at hand the user lets `deploy` go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reach {
    /// Remove what other files brought into the project.
    pub remove_orphans: bool,
    /// Go on with a stack that another file brought up.
    pub take_over: bool,
}

/// Other Compose files that the stack's services were brought up from last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The first of them isn't at hand.
    pub files: Files,
    /// Asked for, or that one is gone.
    pub may_take_over: bool,
}

/// The files that the stack was brought up from, if they aren't `project`'s.
pub fn of_stack(
    engine: &Engine,
    project: &Project,
    containers: &[Container],
    reach: Reach,
) -> Option<Origin> {
    let files = of_newest(project, containers)?;
    if is_among(files.first(), &project.files) {
        return None;
    }
    // Whether a path of another machine exists here says nothing.
    let moved = engine.is_local() && is_gone(files.first());
    Some(Origin {
        files: files.clone(),
        may_take_over: reach.take_over || moved,
    })
}

/// The files of the newest container of `project`'s services.
pub fn of_newest<'a>(project: &Project, containers: &'a [Container]) -> Option<&'a Files> {
    let newest = containers
        .iter()
        .filter(|it| project.services.contains_key(it.service.as_str()))
        .max_by_key(|it| it.created)?;
    newest.files.as_ref()
}

/// Whether all of `files` are at hand.
pub fn are_among(files: &Files, at_hand: &Files) -> bool {
    files.iter().all(|file| is_among(file, at_hand))
}

fn is_among(file: &Path, at_hand: &Files) -> bool {
    at_hand.iter().any(|it| same(file, it))
}

/// Whether two paths lead to one file, or were to.
fn same(a: &Path, b: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).ok().map(|it| (it.dev(), it.ino()));
    a == b || identity(a).is_some_and(|it| identity(b) == Some(it))
}

/// A file that can't be looked at may be there.
fn is_gone(file: &Path) -> bool {
    fs::metadata(file).is_err_and(|err| err.kind() == ErrorKind::NotFound)
}
