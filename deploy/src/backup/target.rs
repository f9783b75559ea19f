//! The file that a backup becomes: there when it is whole, and not before.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use engine::error::{Error, Result};
use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};

/// How the names of files end that aren't whole yet.
const PARTIAL: &str = ".partial";

/// A file beside the one that it takes the place of in the end. Dropped before that, it goes.
pub(crate) struct Target {
    path: PathBuf,
    partial: PathBuf,
    /// Whether a file that is there may go.
    replace: bool,
}

impl Target {
    /// Makes the file to be written, which only this user may read.
    ///
    /// # Errors
    /// When there is a file already and it isn't to be replaced, or none can be made there.
    pub(crate) fn create(path: &Path, replace: bool) -> Result<(Self, File)> {
        let unwritable = |err: &io::Error| unwritable(path, err);
        // What a symbolic link leads to is replaced, not the link.
        let path = match fs::canonicalize(path) {
            Ok(path) => path,
            Err(err) if err.kind() == io::ErrorKind::NotFound => path.to_owned(),
            Err(err) => return Err(unwritable(&err)),
        };
        match fs::symlink_metadata(&path) {
            Ok(found) if !found.is_file() => {
                return Err(Error::usage(
                    format!("{} is no regular file", path.display()),
                    "name a file; `deploy backup -` writes to standard output",
                ));
            }
            Ok(_) if !replace => return Err(taken(&path)),
            Ok(_) => {}
            Err(err) if err.kind() == io::ErrorKind::NotFound => {}
            Err(err) => return Err(unwritable(&err)),
        }
        let Some(name) = path.file_name() else {
            return Err(Error::usage(
                format!("{} is not the name of a file", path.display()),
                "name the file that the backup is to be",
            ));
        };
        let suffix = format!(".{:016x}{PARTIAL}", rand::random::<u64>());
        let partial = [".".as_ref(), name, suffix.as_ref()];
        let partial = path.with_file_name(partial.into_iter().collect::<OsString>());
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600);
        let file = file.open(&partial).map_err(|err| unwritable(&err))?;
        // Says that somebody is at it. Where locks don't work, nothing is ever taken for left.
        _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
        let target = Self {
            path,
            partial,
            replace,
        };
        Ok((target, file))
    }

    /// Gives the file its name. All that was written to it has to be on the disk.
    ///
    /// # Errors
    /// When a file of the name has appeared meanwhile, or the directory can't be written any more.
    pub(crate) fn finish(self) -> Result<()> {
        let renamed = if self.replace {
            fs::rename(&self.partial, &self.path)
        } else {
            let flags = RenameFlags::NOREPLACE;
            match renameat_with(CWD, &self.partial, CWD, &self.path, flags) {
                // Not every file system can; whether the name was taken, `create` has looked.
                Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if !self.path.exists() => {
                    fs::rename(&self.partial, &self.path)
                }
                renamed => renamed.map_err(io::Error::from),
            }
        };
        match renamed {
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => Err(taken(&self.path)),
            // A name is on the disk when its directory is.
            Ok(()) => File::open(directory(&self.path))
                .and_then(|directory| directory.sync_all())
                .map_err(|err| unwritable(&self.path, &err)),
            Err(err) => Err(unwritable(&self.path, &err)),
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Not there any more, if it has its name.
        _ = fs::remove_file(&self.partial);
    }
}

/// Removes from the directory of `path` what backups left that were killed, and says which files. Who
/// still writes one holds its lock.
pub(crate) fn remove_left(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory(path)).into_iter().flatten();
    let files = entries
        .flatten()
        .filter(|it| it.file_type().is_ok_and(|it| it.is_file()));
    let ours = files.filter(|it| is_partial(&it.file_name()));
    let mut left: Vec<PathBuf> = ours.map(|entry| entry.path()).collect();
    left.retain(|path| {
        File::open(path)
            .is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok())
            && fs::remove_file(path).is_ok()
    });
    left
}

/// Whether a file is called as `create` calls them.
fn is_partial(name: &OsStr) -> bool {
    let name = name.as_bytes().strip_prefix(b".");
    let stem = name.and_then(|name| name.strip_suffix(PARTIAL.as_bytes()));
    stem.and_then(|stem| stem.rsplit(|byte| *byte == b'.').next())
        .is_some_and(|number| number.len() == 16 && number.iter().all(u8::is_ascii_hexdigit))
}

fn directory(path: &Path) -> &Path {
    let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

fn taken(path: &Path) -> Error {
    Error::usage(
        format!("there is a file {} already", path.display()),
        "name another one, or replace it with --force",
    )
}

fn unwritable(path: &Path, err: &io::Error) -> Error {
    let next = match err.kind() {
        io::ErrorKind::NotFound => "make its directory first",
        _ => "name a file that can be written",
    };
    Error::usage(format!("can't write {}: {err}", path.display()), next)
}
