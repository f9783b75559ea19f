//! Which Compose file brought a running stack up, and whether another may go on with it.
//!
//! Two files can bear one project's name: a second clone of a repository, or two files that
//! share a project on purpose. What only one of them has stays when the other is brought up.
//! Where both have a service, its containers are those of the file that made the newest of
//! them; the other takes the stack over only if it is told to, or if that file is gone, so
//! that the checkout was moved.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::compose::Project;
use crate::engine::Engine;
use crate::owner::{Kind, Owner};
use crate::state::{Container, Elsewhere, State};

/// How far beyond the file at hand the user lets `deploy` go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reach {
    /// Remove what other files brought into the project.
    pub remove_orphans: bool,
    /// Go on with a stack that another file brought up.
    pub take_over: bool,
}

/// Another Compose file that the stack's services were brought up from last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Absolute.
    pub file: PathBuf,
    /// Asked for, or the file is gone.
    pub may_take_over: bool,
}

impl Origin {
    /// What is in the way of changing the stack from `project`'s file, if anything is.
    pub fn refusal(&self, project: &Project) -> Option<String> {
        (!self.may_take_over).then(|| {
            format!(
                "project {} was brought up from {}, and this is {}. Go on there; or give this one a \
                 name of its own (-p); or take the stack over, with --take-over",
                project.name,
                self.file.display(),
                project.file.display()
            )
        })
    }
}

/// The file that the stack was brought up from, if it isn't `project`'s.
pub fn of_stack(engine: &Engine, project: &Project, state: &State, reach: Reach) -> Option<Origin> {
    let containers = state.containers.iter();
    let newest = containers
        .filter(|it| project.services.contains_key(it.service.as_str()))
        .max_by_key(|it| it.created)?;
    let file = newest.file.clone()?;
    if same(&file, &project.file) {
        return None;
    }
    // Whether a path of another machine exists here says nothing.
    let moved = engine.is_local() && is_gone(&file);
    Some(Origin {
        file,
        may_take_over: reach.take_over || moved,
    })
}

/// Whether two paths lead to one file, or were to.
pub fn same(a: &Path, b: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).ok().map(|it| (it.dev(), it.ino()));
    a == b || identity(a).is_some_and(|it| identity(b) == Some(it))
}

/// A file that can't be looked at may be there.
fn is_gone(file: &Path) -> bool {
    fs::metadata(file).is_err_and(|err| err.kind() == ErrorKind::NotFound)
}

/// What forbids a change of the stack because it is somebody else's: `taken_over` is where the one that
/// would be changed comes from.
pub fn conflicts(project: &Project, state: &State, taken_over: Option<&Origin>) -> Vec<String> {
    let refusal = taken_over.and_then(|origin| origin.refusal(project));
    refusal
        .into_iter()
        .chain(run_by_compose(project, state))
        .collect()
}

/// A stack of this name that Docker Compose runs: two tools would undo each other's work.
pub fn run_by_compose(project: &Project, state: &State) -> Option<String> {
    let containers = state.run_by_compose(&project.name);
    let networks = project.networks.values().filter_map(|network| {
        let (name, owner) = state.foreign.networks.get_key_value(&network.name)?;
        owner
            .is_compose(&project.name)
            .then_some((name.as_str(), owner))
    });
    let parts: Vec<(&str, &Owner)> = containers.chain(networks).collect();
    let (first, owner) = parts.first()?;
    let names: Vec<&str> = parts.iter().map(|(name, _)| *name).collect();
    Some(format!(
        "project {} was brought up by Docker Compose ({}): {} takes that down and keeps the \
         volumes, with which `deploy up` goes on; or choose another project name (-p)",
        project.name,
        names.join(", "),
        owner.removal(Kind::Network, first),
    ))
}

/// Why a container goes whose service the file doesn't have.
pub fn departure(project: &Project, container: &Container) -> String {
    match &container.file {
        Some(file) if !same(file, &project.file) => {
            format!("of {}, which isn't this file", file.display())
        }
        _ => "not in the file any more".to_owned(),
    }
}

/// What other files brought into the project, a note for each file.
pub fn kept(elsewhere: &Elsewhere) -> Vec<String> {
    let containers = elsewhere.containers.iter();
    let containers = containers.map(|it| (&it.file, format!("container {}", it.name)));
    let networks = elsewhere.networks.iter();
    let networks = networks.map(|it| (&it.file, format!("network {}", it.name)));
    let mut by_file: BTreeMap<&Option<PathBuf>, Vec<String>> = BTreeMap::new();
    for (file, what) in containers.chain(networks) {
        by_file.entry(file).or_default().push(what);
    }
    let named = |file: &Option<PathBuf>| match file {
        Some(file) => file.display().to_string(),
        None => "a file that isn't recorded".to_owned(),
    };
    let removable = by_file.into_iter().map(|(file, what)| {
        let (what, file) = (what.join(", "), named(file));
        format!("{what}: brought up from {file}, so it stays (--remove-orphans removes it)")
    });
    let volumes = elsewhere.volumes.iter().map(|it| {
        let maker = if it.by_compose {
            "Docker Compose".to_owned()
        } else {
            named(&it.file)
        };
        format!("volume {}: of {maker}, so it stays", it.name)
    });
    removable.chain(volumes).collect()
}

/// The file's volumes that Docker Compose made.
pub fn made_by_compose(project: &Project, state: &State) -> Option<String> {
    let names: Vec<&str> = state
        .volumes
        .iter()
        .filter(|it| it.by_compose && project.volumes.values().any(|own| own.name == it.name))
        .map(|it| it.name.as_str())
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "volume {}: made by Docker Compose for this project; its data is used, and \
             `deploy down --volumes` will leave it",
            names.join(", ")
        )
    })
}
