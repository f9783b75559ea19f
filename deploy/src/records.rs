//! What `deploy` keeps of a project beside its Compose file, one file each: the releases, and the hooks that
//! have yet to run.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use compose_file::Project;
use engine::file::{self, WriteError};
use serde::Serialize;

/// Where the record of this name is.
pub(crate) fn path(project: &Project, name: &str) -> PathBuf {
    let directory = project.working_dir.join(file::RECORDS);
    directory.join(project.name.as_str()).join(name)
}

/// What is in it; none where it isn't there.
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Err(err) if err.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// The file is the old one or the new one, also when the machine loses power. Nobody else may read it.
pub(crate) fn write(path: &Path, record: &impl Serialize) -> Result<(), WriteError> {
    let text = serde_json::to_vec_pretty(record).map_err(io::Error::from)?;
    file::put(path, &text)
}

/// Also where it isn't there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(err) if err.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
