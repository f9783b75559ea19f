//! A secret's file, written so that it is there whole or not at all, also when the machine
//! loses power: a temporary file beside it takes its name.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// Who may read a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Access {
    pub(super) mode: u32,
    /// User and group; `None`: whoever `deploy` runs as.
    pub(super) owner: Option<(u32, u32)>,
}

/// Makes a file that isn't there, and its directory.
pub(super) fn create(file: &Path, content: &[u8], access: Access) -> io::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("/"));
    if !directory.exists() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
    }
    // Not rename: a file that appeared meanwhile is somebody's password already in use.
    let temporary = temporary(file, content, access)?;
    let linked = fs::hard_link(&temporary, file).and_then(|()| sync(directory));
    linked.and(fs::remove_file(&temporary))
}

/// Gives a file another content, and leaves its owner and mode.
pub(super) fn replace(file: &Path, content: &[u8]) -> io::Result<()> {
    // What a symbolic link leads to is replaced, not the link.
    let file = &fs::canonicalize(file)?;
    let found = fs::metadata(file)?;
    let access = Access {
        mode: found.permissions().mode() & 0o7777,
        owner: Some((found.uid(), found.gid())),
    };
    let temporary = temporary(file, content, access)?;
    match fs::rename(&temporary, file) {
        Ok(()) => sync(file.parent().unwrap_or(Path::new("/"))),
        Err(err) => fs::remove_file(&temporary).and(Err(err)),
    }
}

/// A file beside `file`, on the disk with all that it needs but the name.
fn temporary(file: &Path, content: &[u8], access: Access) -> io::Result<PathBuf> {
    let mut path = file.to_path_buf().into_os_string();
    path.push(format!(".{}", super::salt()));
    let path = PathBuf::from(path);
    let mut handle = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    let written = (|| {
        handle.write_all(content)?;
        if let Some((uid, gid)) = access.owner {
            chown(&path, Some(uid), Some(gid))?;
        }
        handle.set_permissions(Permissions::from_mode(access.mode))?;
        handle.sync_all()
    })();
    match written {
        Ok(()) => Ok(path),
        Err(err) => fs::remove_file(&path).and(Err(err)),
    }
}

/// A name is on the disk when its directory is.
fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const ACCESS: Access = Access {
        mode: 0o640,
        owner: None,
    };

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> = entries
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_there_is_never_made_again() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("new/secret");
        create(&file, b"first", ACCESS).unwrap();
        assert!(create(&file, b"second", ACCESS).is_err());
        assert_eq!(fs::read(&file).unwrap(), b"first");
        assert_eq!(names(file.parent().unwrap()), ["secret"]);
    }

    #[test]
    fn a_replaced_file_keeps_its_mode_and_its_link() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (
            directory.path().join("secret"),
            directory.path().join("link"),
        );
        create(&file, b"first", ACCESS).unwrap();
        symlink("secret", &link).unwrap();
        replace(&link, b"second").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"second");
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(names(directory.path()), ["link", "secret"]);
        assert!(replace(&directory.path().join("none"), b"x").is_err());
    }
}
