//! One `deploy` at a time changes a project: two that plan side by side would both
//! create what is missing, and the engine lets two networks bear one name.
//!
//! The lock is `flock(2)` on a file that belongs to engine and project, so the kernel
//! frees it however its holder ends. It serialises everybody on one host; two hosts
//! that operate one engine it does not.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::engine::Engine;
use crate::error::{EngineContext, Error, Result};
use crate::output::{Output, text};

/// How often a lock that somebody else holds is tried.
const INTERVAL: Duration = Duration::from_millis(100);
/// A holder writes who it is just after it has locked; this long is waited for it.
const INTRODUCTION: Duration = Duration::from_millis(500);
/// More than this in the file was not written by `deploy`.
const MAX_FACTS: u64 = 4096;
/// Permissions of a directory in which everybody may create files and nobody remove another's.
const SHARED: u32 = 0o1002;

/// The right to change a project, until it is dropped.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    file: File,
}

/// Who holds a lock, as its file says.
#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    pid: i32,
    command: String,
    since: String,
    user: String,
    host: String,
}

impl Lock {
    /// Locks `project` for `deploy <command>`. While another `deploy` holds it, says who
    /// that is and waits: for ever, or as long as `patience` allows.
    ///
    /// # Errors
    /// When the other one still holds it after that.
    pub async fn acquire(
        engine: &Engine,
        output: &Output,
        project: &str,
        command: &str,
        patience: Option<Duration>,
    ) -> Result<Self> {
        let path = path(&identity(engine).await?, project);
        let begun = Instant::now();
        let mut waiting = None;
        loop {
            if let Some(lock) = attempt(&path).map_err(|err| unusable(&path, &err))? {
                lock.introduce(&Holder::new(command))
                    .map_err(|err| unusable(&path, &err))?;
                if let Some(task) = waiting {
                    crate::output::Task::done(task, "free");
                }
                return Ok(lock);
            }
            let holder = holder(&path);
            if waiting.is_none() && (holder.is_some() || begun.elapsed() >= INTRODUCTION) {
                let who = description(holder.as_ref());
                if patience.is_some_and(|patience| begun.elapsed() >= patience) {
                    return Err(held(project, &who));
                }
                let subject = format!("project {project}");
                waiting = Some(output.task(&subject, &format!("waiting for {who}")));
            } else if waiting.is_some()
                && patience.is_some_and(|patience| begun.elapsed() >= patience)
            {
                return Err(held(project, &description(holder.as_ref())));
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Writes into the file who holds it, for those who wait.
    fn introduce(&self, holder: &Holder) -> io::Result<()> {
        let mut file = &self.file;
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(&serde_json::to_vec(holder)?)
    }
}

impl Drop for Lock {
    /// The file goes before the lock does, so that whoever gets a lock on it afterwards
    /// sees that it is no longer the one by that name. Where another user owns it, it
    /// stays behind, which harms nobody.
    fn drop(&mut self) {
        _ = self.file.set_len(0);
        _ = fs::remove_file(&self.path);
    }
}

impl Holder {
    /// This process.
    fn new(command: &str) -> Self {
        let user = std::env::var("USER").unwrap_or_default();
        let uid = rustix::process::geteuid().as_raw();
        let system = rustix::system::uname();
        Self {
            pid: rustix::process::getpid().as_raw_nonzero().get(),
            command: format!("deploy {command}"),
            since: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            user: if user.is_empty() {
                format!("uid {uid}")
            } else {
                user
            },
            host: system.nodename().to_string_lossy().into_owned(),
        }
    }
}

/// Everybody may write the file, so nothing in it reaches a terminal as it is.
fn description(holder: Option<&Holder>) -> String {
    let Some(holder) = holder else {
        return "another deploy, which doesn't say who it is".to_owned();
    };
    let Holder {
        pid,
        command,
        since,
        user,
        host,
    } = holder;
    let said = format!("`{command}` (pid {pid}, {user} on {host}, since {since})");
    text::escape(&said).into_owned()
}

/// An engine may be reached by several addresses; its id is one.
async fn identity(engine: &Engine) -> Result<String> {
    let info = engine
        .docker()
        .info()
        .await
        .doing(|| "ask the engine's id".into())?;
    Ok(info
        .id
        .filter(|id| !id.is_empty())
        .unwrap_or_else(|| engine.address().to_owned()))
}

/// The same for every user of the host: `/run/lock` where all may write there, else `/tmp`.
/// `XDG_RUNTIME_DIR` and `TMPDIR` may differ between those who share an engine.
fn path(engine: &str, project: &str) -> PathBuf {
    let shared = |path: &Path| {
        fs::metadata(path).is_ok_and(|it| it.is_dir() && it.mode() & SHARED == SHARED)
    };
    let preferred = Path::new("/run/lock");
    let directory = if shared(preferred) {
        preferred
    } else {
        Path::new("/tmp")
    };
    let mut key = hex::encode(Sha256::digest(format!("{engine}\n{project}")));
    key.truncate(32);
    directory.join(format!("causeway-deploy-{key}.lock"))
}

/// `None` when somebody else holds it.
fn attempt(path: &Path) -> io::Result<Option<Lock>> {
    loop {
        let file = match open(path, false) {
            Err(err) if err.kind() == ErrorKind::NotFound => match open(path, true) {
                // Created by another one meanwhile.
                Err(err) if err.kind() == ErrorKind::AlreadyExists => continue,
                created => {
                    let created = created?;
                    // Whatever the umask: the next holder may be another user.
                    created.set_permissions(Permissions::from_mode(0o666))?;
                    created
                }
            },
            found => found?,
        };
        let found = file.metadata()?;
        // A name in a directory that everybody can write may be anything's, and the file is
        // going to be written: one with a second name is somebody's trap.
        if !found.is_file() || found.nlink() > 1 {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "not a lock file of deploy's",
            ));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(err)) => return Err(err),
        }
        // Its last holder may have removed it between our opening and our locking it.
        let still = fs::symlink_metadata(path)
            .is_ok_and(|it| (it.dev(), it.ino()) == (found.dev(), found.ino()));
        if still {
            return Ok(Some(Lock {
                path: path.to_path_buf(),
                file,
            }));
        }
    }
}

/// Follows no symbolic link, and doesn't wait for the other end of a pipe.
fn open(path: &Path, create: bool) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(create)
        .mode(0o666)
        .custom_flags(flags.cast_signed())
        .open(path)
}

fn holder(path: &Path) -> Option<Holder> {
    let mut facts = Vec::new();
    let file = open(path, false).ok()?;
    file.take(MAX_FACTS).read_to_end(&mut facts).ok()?;
    serde_json::from_slice(&facts).ok()
}

fn held(project: &str, who: &str) -> Error {
    Error::failed(
        format!("project {project} is being changed by {who}"),
        "wait until it is done and run again; without --no-wait and --lock-timeout, deploy waits itself",
    )
}

fn unusable(path: &Path, err: &io::Error) -> Error {
    Error::failed(
        format!("can't lock {}: {err}", path.display()),
        "see what the file is and whose; when no deploy runs, it may be removed",
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn one_holds_it_until_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let first = attempt(&path).unwrap().unwrap();
        first.introduce(&Holder::new("up")).unwrap();
        assert!(attempt(&path).unwrap().is_none());
        let said = description(holder(&path).as_ref());
        assert!(said.contains("`deploy up` (pid "), "{said}");
        drop(first);
        assert!(!path.exists());
        assert!(attempt(&path).unwrap().is_some());
    }

    #[test]
    fn a_trap_under_its_name_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let victim = directory.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        for trap in ["symbolic", "hard"] {
            let path = directory.path().join(trap);
            match trap {
                "symbolic" => symlink(&victim, &path).unwrap(),
                _ => fs::hard_link(&victim, &path).unwrap(),
            }
            assert!(attempt(&path).is_err(), "{trap}");
        }
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }

    #[test]
    fn what_the_file_says_reaches_no_terminal_raw() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let mut forged = Holder::new("up");
        forged.command = "\u{1b}[2J".to_owned();
        attempt(&path).unwrap().unwrap().introduce(&forged).unwrap();
        assert!(!description(Some(&forged)).contains('\u{1b}'));
    }
}
