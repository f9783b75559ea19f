//! What no image gets, whatever `.dockerignore` says: secrets, environment files, and the records
//! of releases, which hold the services' environment.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use compose_file::Project;

use crate::file;

/// The files and directories of a project that never enter a build context.
#[derive(Debug, Clone, Default)]
pub struct Withheld {
    paths: Vec<PathBuf>,
    /// Device and inode: a file may have a second name, or be reached by a symbolic link.
    identities: HashSet<(u64, u64)>,
}

impl Withheld {
    /// Those of `project`, used or not.
    pub fn of(project: &Project) -> Self {
        let mut paths = project.environment_files.clone();
        paths.push(project.working_dir.join(file::RECORDS));
        let secrets = [&project.secrets, &project.disabled.secrets];
        let secrets = secrets.into_iter().flat_map(|it| it.values());
        paths.extend(secrets.map(|secret| secret.file.clone()));
        let found = paths.iter().filter_map(|it| fs::metadata(it).ok());
        Self {
            identities: found.map(|it| identity(&it)).collect(),
            paths,
        }
    }

    /// Whether the file or directory at `path`, with this metadata, is one of them, or what a run
    /// that was killed left of writing one.
    pub fn has(&self, path: &Path, found: &Metadata) -> bool {
        self.identities.contains(&identity(found))
            || self
                .paths
                .iter()
                .any(|it| it == path || file::is_left_of(path, it))
    }
}

fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}
