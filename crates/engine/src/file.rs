//! Files that aren't for everybody, written so that they are there whole or not at all, also when
//! the machine loses power: a temporary file beside it takes the name of each.
//!
//! A directory is opened once, judged as what was opened, and everything else happens in it by
//! that descriptor; so do owner and mode of a file. A path could lead elsewhere by then.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, linkat, openat, renameat, statat, unlinkat};

/// The directory of `deploy`'s own records, beside the Compose file.
pub const RECORDS: &str = ".deploy";

/// Who may read a file.
#[derive(Debug, Clone, Copy)]
pub struct Access {
    /// Its permission bits.
    pub mode: u32,
    /// User and group; `None`: whoever `deploy` runs as.
    pub owner: Option<(u32, u32)>,
}

impl Access {
    /// Whether others than root and this user may read the file if they get to it, so that its
    /// directory has to protect it: everybody, or a user of the containers' whose number may be
    /// that of somebody on this machine.
    fn leans_on_directory(self) -> bool {
        let known = [0, rustix::process::geteuid().as_raw()];
        self.mode & 0o004 != 0 || self.owner.is_some_and(|(user, _)| !known.contains(&user))
    }
}

/// Why a file wasn't written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// What the system said.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Others could read or replace it there.
    #[error(
        "{} has mode {mode:04o}: other users could {what} what is made in it",
        directory.display()
    )]
    Exposed {
        /// Where it would have been made.
        directory: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What others could do to the file.
        what: &'static str,
    },
}

/// Makes a file that isn't there, and its directory.
pub fn create(file: &Path, content: &[u8], access: Access) -> Result<(), WriteError> {
    let (parent, name) = split(file)?;
    let directory = Directory::make(parent)?;
    directory.check(access)?;
    directory.put(name, content, access, |temporary| {
        // Not rename: a file that appeared meanwhile is somebody's password already in use.
        let at = &directory.handle;
        linkat(at, temporary, at, name, AtFlags::empty())?;
        unlinkat(at, temporary, AtFlags::empty())
    })
}

/// Why [`create`] would refuse to make a file in the directory that there is.
pub fn unfit(file: &Path, access: Access) -> Option<WriteError> {
    let directory = Directory::open(file.parent()?).ok()?;
    directory.check(access).err()
}

/// Gives a file this content, which nobody else may read, whether or not it is there. Makes its
/// directory.
pub fn put(file: &Path, content: &[u8]) -> Result<(), WriteError> {
    let (parent, name) = split(file)?;
    let directory = Directory::make(parent)?;
    let access = Access {
        mode: 0o600,
        owner: None,
    };
    directory.check(access)?;
    directory.put(name, content, access, |temporary| {
        renameat(&directory.handle, temporary, &directory.handle, name)
    })
}

/// Gives a file another content, and leaves its owner and mode.
pub fn replace(file: &Path, content: &[u8]) -> Result<(), WriteError> {
    // What a symbolic link leads to is replaced, not the link.
    let file = fs::canonicalize(file)?;
    let (parent, name) = split(&file)?;
    let directory = Directory::open(parent)?;
    let found =
        statat(&directory.handle, name, AtFlags::SYMLINK_NOFOLLOW).map_err(io::Error::from)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file").into());
    }
    let access = Access {
        mode: found.st_mode & 0o7777,
        owner: Some((found.st_uid, found.st_gid)),
    };
    directory.check(access)?;
    directory.put(name, content, access, |temporary| {
        renameat(&directory.handle, temporary, &directory.handle, name)
    })
}

/// Why the file isn't safe where it is: others may read it, and get to it.
pub fn exposure(file: &Path) -> Option<WriteError> {
    let found = fs::metadata(file).ok()?;
    let access = Access {
        mode: found.mode(),
        owner: Some((found.uid(), found.gid())),
    };
    unfit(file, access)
}

/// Whether `path` is what a run that was killed left of writing `file`.
pub fn is_left_of(path: &Path, file: &Path) -> bool {
    let suffix = || {
        let name = path.file_name()?.as_encoded_bytes().strip_prefix(b".")?;
        name.strip_prefix(file.file_name()?.as_encoded_bytes())
    };
    path.parent() == file.parent()
        && suffix().is_some_and(|it| it.starts_with(b".") && it.ends_with(TEMPORARY.as_bytes()))
}

/// How the names of temporary files end.
const TEMPORARY: &str = ".new";

/// What tells a temporary file from that of another run.
fn suffix() -> String {
    format!("{:016x}", rand::random::<u64>())
}

fn split(file: &Path) -> io::Result<(&Path, &OsStr)> {
    let both = file.parent().zip(file.file_name());
    both.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not the path of a file"))
}

/// An open directory. Which one a symbolic link led to doesn't matter any more.
struct Directory<'a> {
    handle: File,
    path: &'a Path,
}

impl<'a> Directory<'a> {
    /// With mode 0700, unless it is there.
    fn make(path: &'a Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        Self::open(path)
    }

    fn open(path: &'a Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::open(path, flags, Mode::empty())?.into();
        Ok(Self { handle, path })
    }

    /// Whether a file with this access is safe in here.
    fn check(&self, access: Access) -> Result<(), WriteError> {
        let mode = self.handle.metadata()?.mode() & 0o7777;
        let what = match mode {
            _ if access.leans_on_directory() && mode & 0o077 != 0 => "read",
            // Where the sticky bit is set, everybody may write and nobody touch another's file.
            _ if mode & 0o1002 == 0o002 => "replace",
            _ => return Ok(()),
        };
        Err(WriteError::Exposed {
            directory: self.path.to_owned(),
            mode,
            what,
        })
    }

    /// Writes a temporary file beside `name`, on the disk with all that it needs but the name,
    /// which `publish` gives it.
    fn put(
        &self,
        name: &OsStr,
        content: &[u8],
        access: Access,
        publish: impl FnOnce(&OsStr) -> rustix::io::Result<()>,
    ) -> Result<(), WriteError> {
        let mut temporary = OsString::from(".");
        temporary.push(name);
        temporary.push(format!(".{}{TEMPORARY}", suffix()));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = openat(&self.handle, &temporary, flags | OFlags::CLOEXEC, mode);
        let mut file = File::from(file.map_err(io::Error::from)?);
        let written = (|| {
            file.write_all(content)?;
            if let Some((user, group)) = access.owner {
                fchown(&file, Some(user), Some(group))?;
            }
            file.set_permissions(Permissions::from_mode(access.mode))?;
            file.sync_all()?;
            publish(&temporary)?;
            // A name is on the disk when its directory is.
            self.handle.sync_all()
        })();
        if written.is_err() {
            // Not there any more, if only the last step failed.
            _ = unlinkat(&self.handle, &temporary, AtFlags::empty());
        }
        Ok(written?)
    }
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
    fn what_everybody_may_read_is_made_only_where_nobody_else_enters() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("secrets");
        let file = directory.join("password");
        let private = Access {
            mode: 0o600,
            owner: None,
        };
        let wide = Access {
            mode: 0o644,
            ..private
        };
        let given = Access {
            owner: Some((4711, 4711)),
            ..private
        };
        for (mode, access, refused) in [
            (0o755, wide, Some("read")),
            (0o710, wide, Some("read")),
            (0o700, wide, None),
            (0o755, given, Some("read")),
            (0o755, private, None),
            (0o777, private, Some("replace")),
            (0o1777, private, None),
        ] {
            _ = fs::remove_dir_all(&directory);
            fs::create_dir(&directory).unwrap();
            fs::set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
            let made = create(&file, b"first", access);
            let Some(refused) = refused else {
                made.unwrap();
                assert!(exposure(&file).is_none(), "{mode:o}");
                continue;
            };
            let message = made.unwrap_err().to_string();
            assert!(message.contains(&format!("{mode:04o}")), "{message}");
            assert!(message.contains(refused), "{message}");
            assert_eq!(names(&directory), [] as [&str; 0]);
        }
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        assert!(exposure(&file).is_some());
        assert!(replace(&file, b"second").is_err());
        assert_eq!(fs::read(&file).unwrap(), b"first");
    }

    #[test]
    fn what_is_put_is_private_and_follows_no_link() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("new/record");
        put(&file, b"first").unwrap();
        let mode = || fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        let victim = directory.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        fs::remove_file(&file).unwrap();
        symlink(&victim, &file).unwrap();
        put(&file, b"second").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"second");
        assert_eq!(mode(), 0o600);
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        assert_eq!(names(file.parent().unwrap()), ["record"]);
    }

    #[test]
    fn what_a_killed_run_left_is_known() {
        let file = Path::new("/s/password");
        assert!(is_left_of(Path::new("/s/.password.0aZ.new"), file));
        for other in [
            "/s/password",
            "/s/.password2.0aZ.new",
            "/t/.password.0aZ.new",
            "/s/.password",
        ] {
            assert!(!is_left_of(Path::new(other), file), "{other}");
        }
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
