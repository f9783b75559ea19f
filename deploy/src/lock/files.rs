//! Which files are locks. They are in a directory where everybody may make files, so what counts
//! is who made one and who can open it: those who may operate the engine, as its socket tells,
//! and nobody else. Whatever another user puts there, locked or not, is passed over.
//!
//! Since another user may take any name, names are made up, and all files that count are locked
//! together. Two contenders can't miss each other: a file stays for as long as it is held, who
//! makes one looks for others only then, and looks again when all are locked.

use std::fs::{self, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// Permissions of a directory in which everybody may create files and nobody remove another's.
const SHARED: u32 = 0o1002;
/// How the names of locks end.
const SUFFIX: &str = ".lock";

/// Who may operate the engine. A lock has its socket's owner or group, and a mode that lets
/// nobody else in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operators {
    /// This user, and root.
    User(u32),
    /// The members of this group, and root.
    Group(u32),
    /// All users of this machine, as where the engine listens on TCP.
    Everybody,
}

impl Operators {
    /// By the permissions of the socket at `address`, which is as `DOCKER_HOST` would say it.
    pub(super) fn of(address: &str) -> io::Result<Self> {
        let Some(path) = address.strip_prefix("unix://").map(Path::new) else {
            return Ok(Self::Everybody);
        };
        let socket = fs::metadata(path)?;
        let passable = |directory: &Path| {
            fs::metadata(directory).is_ok_and(|directory| directory.mode() & 0o001 != 0)
        };
        let mode = socket.mode();
        Ok(
            if mode & 0o002 != 0 && path.ancestors().skip(1).all(passable) {
                Self::Everybody
            } else if mode & 0o020 != 0 {
                Self::Group(socket.gid())
            } else {
                Self::User(socket.uid())
            },
        )
    }

    /// The mode of a lock.
    fn mode(self) -> u32 {
        match self {
            Self::User(_) => 0o600,
            Self::Group(_) => 0o660,
            Self::Everybody => 0o666,
        }
    }

    /// Whether an operator made the file as a lock.
    fn trust(self, file: &Metadata) -> bool {
        let made = match self {
            Self::User(user) => file.uid() == user,
            // Only its members, and root, can give a file to a group.
            Self::Group(group) => file.gid() == group,
            Self::Everybody => true,
        };
        // One with a second name is somebody's trap: it is going to be written.
        let plain = file.is_file() && file.nlink() == 1;
        made && plain && file.mode() & 0o777 == self.mode()
    }

    /// Makes a lock of a new file of our own.
    fn let_in(self, file: &File) -> io::Result<()> {
        let found = file.metadata()?;
        match self {
            Self::User(user) if found.uid() != user => fchown(file, Some(user), None)?,
            Self::Group(group) if found.gid() != group => fchown(file, None, Some(group))?,
            _ => {}
        }
        // Whatever the umask.
        file.set_permissions(Permissions::from_mode(self.mode()))
    }
}

/// The files that are a project's lock, as long as they are held.
#[derive(Debug)]
pub(super) struct Files(Vec<(PathBuf, File)>);

/// What came of an attempt.
#[derive(Debug)]
pub(super) enum Attempt {
    Locked(Files),
    /// By whoever wrote this file.
    Held(File),
}

/// Where the locks of a project on an engine are.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// All are looked through; the first in which a file can be made gets a new one.
    pub(super) directories: Vec<PathBuf>,
    /// How the names begin.
    pub(super) prefix: String,
    pub(super) operators: Operators,
}

impl Place {
    /// The same for every user of the machine: `XDG_RUNTIME_DIR` and `TMPDIR` may differ between
    /// those who share an engine.
    pub(super) fn new(prefix: String, operators: Operators) -> Self {
        let shared = |path: &PathBuf| {
            fs::metadata(path)
                .is_ok_and(|it| it.is_dir() && it.mode() & SHARED == SHARED && it.uid() == 0)
        };
        let directories = ["/run/lock", "/tmp"].map(PathBuf::from);
        Self {
            directories: directories.into_iter().filter(shared).collect(),
            prefix,
            operators,
        }
    }

    /// Locks, unless somebody else does.
    pub(super) fn attempt(&self) -> io::Result<Attempt> {
        loop {
            let found = self.find()?;
            if found.is_empty() {
                self.make()?;
                continue;
            }
            let mut busy = None;
            for (_, file) in &found {
                match file.try_lock() {
                    Ok(()) => {}
                    Err(TryLockError::WouldBlock) => {
                        busy = Some(file.try_clone()?);
                        break;
                    }
                    Err(TryLockError::Error(err)) => return Err(err),
                }
            }
            if let Some(file) = busy {
                return Ok(Attempt::Held(file));
            }
            // Their last holder may have removed them between our opening and our locking them;
            // others may have come.
            if identities(&self.find()?)? == identities(&found)? {
                return Ok(Attempt::Locked(Files(found)));
            }
        }
    }

    /// Those that are there, in one order for everybody.
    fn find(&self) -> io::Result<Vec<(PathBuf, File)>> {
        let mut found = Vec::new();
        for directory in &self.directories {
            for entry in fs::read_dir(directory)? {
                let entry = entry?;
                let name = entry.file_name();
                let ours = name
                    .to_str()
                    .is_some_and(|it| it.starts_with(&self.prefix) && it.ends_with(SUFFIX));
                // Looked at first: opening a device may do something.
                if !ours || !entry.metadata().is_ok_and(|it| self.operators.trust(&it)) {
                    continue;
                }
                let path = entry.path();
                match open(&path, false) {
                    Ok(file) if self.operators.trust(&file.metadata()?) => found.push((path, file)),
                    Ok(_) => {}
                    // Removed, or replaced, meanwhile.
                    Err(err) if err.kind() == ErrorKind::NotFound => {}
                    Err(err) => return Err(err),
                }
            }
        }
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(found)
    }

    fn make(&self) -> io::Result<()> {
        let name = format!("{}{}{SUFFIX}", self.prefix, crate::secrets::salt());
        let mut refused = io::Error::new(
            ErrorKind::NotFound,
            "neither /run/lock nor /tmp is a directory of root's that all may write, with the \
             sticky bit",
        );
        for directory in &self.directories {
            let path = directory.join(&name);
            match open(&path, true).and_then(|file| self.operators.let_in(&file)) {
                Ok(()) => return Ok(()),
                // Full of somebody else's files, for one.
                Err(err) => refused = err,
            }
            _ = fs::remove_file(&path);
        }
        Err(refused)
    }
}

impl Files {
    /// Each of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &File> {
        self.0.iter().map(|(_, file)| file)
    }
}

impl Drop for Files {
    /// A file goes before the lock on it does, so that whoever gets that afterwards sees that it
    /// is none any more. Where another user owns it, it stays behind, which harms nobody.
    fn drop(&mut self) {
        for (path, file) in &self.0 {
            _ = file.set_len(0);
            _ = fs::remove_file(path);
        }
    }
}

fn identities(files: &[(PathBuf, File)]) -> io::Result<Vec<(u64, u64)>> {
    let identity = |(_, file): &(PathBuf, File)| file.metadata().map(|it| (it.dev(), it.ino()));
    files.iter().map(identity).collect()
}

/// Follows no symbolic link, and doesn't wait for the other end of a pipe.
fn open(path: &Path, create: bool) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(create)
        .mode(0o600)
        .custom_flags(flags.cast_signed())
        .open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use super::*;

    const STRANGER: u32 = 65_534;

    fn place(directories: &[&Path], operators: Operators) -> Place {
        Place {
            directories: directories.iter().map(|it| it.to_path_buf()).collect(),
            prefix: "lock-".to_owned(),
            operators,
        }
    }

    fn own() -> Operators {
        Operators::User(rustix::process::geteuid().as_raw())
    }

    fn locked(place: &Place) -> Option<Files> {
        match place.attempt().unwrap() {
            Attempt::Locked(files) => Some(files),
            Attempt::Held(_) => None,
        }
    }

    fn names(directory: &Path) -> usize {
        fs::read_dir(directory).unwrap().count()
    }

    #[test]
    fn one_holds_it_until_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let place = place(&[directory.path()], own());
        let first = locked(&place).unwrap();
        assert!(locked(&place).is_none());
        drop(first);
        assert_eq!(names(directory.path()), 0);
        assert!(locked(&place).is_some());
    }

    #[test]
    fn many_at_once_are_kept_apart() {
        let directory = tempfile::tempdir().unwrap();
        let place = place(&[directory.path()], own());
        let inside = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut times = 0;
                    while times < 20 {
                        let Some(files) = locked(&place) else {
                            continue;
                        };
                        assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        std::thread::yield_now();
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(files);
                        times += 1;
                    }
                });
            }
        });
    }

    #[test]
    fn all_that_operators_made_are_locked_wherever_they_are() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let both = place(&[one.path(), other.path()], own());
        let second = place(&[other.path()], own());
        let held = locked(&second).unwrap();
        assert!(locked(&both).is_none());
        drop(held);
        let held = locked(&both).unwrap();
        assert_eq!((names(one.path()), names(other.path())), (1, 0));
        drop(held);
    }

    #[test]
    fn where_no_file_can_be_made_the_next_directory_serves() {
        let directory = tempfile::tempdir().unwrap();
        let full = Path::new("/proc/self");
        assert!(locked(&place(&[full, directory.path()], own())).is_some());
        assert!(place(&[full], own()).attempt().is_err());
        assert!(place(&[], own()).attempt().is_err());
    }

    #[test]
    fn traps_under_its_name_are_passed_over_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let victim = directory.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        fs::set_permissions(&victim, Permissions::from_mode(0o600)).unwrap();
        symlink(&victim, directory.path().join("lock-symbolic.lock")).unwrap();
        fs::hard_link(&victim, directory.path().join("lock-hard.lock")).unwrap();
        // Anybody could lock it.
        let open = directory.path().join("lock-open.lock");
        fs::write(&open, "forged").unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o666)).unwrap();
        let trap = File::open(&open).unwrap();
        trap.lock().unwrap();
        let held = locked(&place(&[directory.path()], own())).unwrap();
        assert_eq!(held.iter().count(), 1);
        drop(held);
        assert_eq!(names(directory.path()), 4);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }

    /// Needs root, who alone can make files in the name of others.
    #[test]
    fn a_stranger_is_passed_over_and_a_member_of_the_group_heeded() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock-made.lock");
        fs::write(&path, "forged").unwrap();
        let held = File::open(&path).unwrap();
        held.lock().unwrap();
        for (operators, user, group, mode, heeded) in [
            (Operators::User(0), STRANGER, STRANGER, 0o600, false),
            (Operators::User(0), STRANGER, 0, 0o600, false),
            (Operators::User(0), 0, 0, 0o644, false),
            (Operators::User(0), 0, 0, 0o600, true),
            (Operators::User(1000), 1000, 1000, 0o600, true),
            (Operators::User(1000), 0, 0, 0o600, false),
            (Operators::Group(4242), STRANGER, STRANGER, 0o660, false),
            (Operators::Group(4242), STRANGER, STRANGER, 0o666, false),
            (Operators::Group(4242), 0, 4242, 0o664, false),
            (Operators::Group(4242), 1000, 4242, 0o660, true),
            (Operators::Group(4242), 0, 4242, 0o660, true),
            (Operators::Everybody, STRANGER, STRANGER, 0o666, true),
        ] {
            chown(&path, Some(user), Some(group)).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let place = place(&[directory.path()], operators);
            let case = format!("{operators:?} {user}:{group} {mode:o}");
            assert_eq!(locked(&place).is_none(), heeded, "{case}");
            assert_eq!(names(directory.path()), 1, "{case}");
        }
    }

    #[test]
    fn the_engines_socket_tells_who_its_operators_are() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("docker.sock");
        let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let found = fs::metadata(&path).unwrap();
        let (user, group) = (Operators::User(found.uid()), Operators::Group(found.gid()));
        // The directory lets nobody else in.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).unwrap();
        for (mode, expected) in [(0o700, user), (0o755, user), (0o660, group), (0o666, group)] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let address = format!("unix://{}", path.display());
            assert_eq!(Operators::of(&address).unwrap(), expected, "{mode:o}");
        }
        drop(socket);
        let open = Operators::of("tcp://127.0.0.1:2375").unwrap();
        assert_eq!(open, Operators::Everybody);
        assert!(Operators::of("unix:///nowhere").is_err());
    }
}
