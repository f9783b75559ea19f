//! One `deploy` at a time changes a project: two that plan side by side would both
//! create what is missing, and the engine lets two networks bear one name.
//!
//! The lock is `flock(2)` on a file that belongs to engine and project, so the kernel
//! frees it however its holder ends. It serialises everybody on one host who may operate
//! the engine, and nobody else can hold it; two hosts that operate one engine it does not. A
//! Swarm's project is locked on the Swarm as well ([`swarm`]).

mod files;
mod swarm;

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::time::{Duration, Instant, SystemTime};

use engine::Engine;
use engine::error::{EngineContext, Error, Result};
use files::{Attempt, Files, Operators, Place};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::output::{Output, text};

/// How often a lock that somebody else holds is tried.
const INTERVAL: Duration = Duration::from_millis(100);
/// A holder writes who it is just after it has locked; this long is waited for it.
const INTRODUCTION: Duration = Duration::from_millis(500);
/// More than this in the file was not written by `deploy`.
const MAX_FACTS: u64 = 4096;

/// The right to change a project, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    /// Freed first: who has the files knows of whoever had them before that it is gone.
    _swarm: Option<swarm::Held>,
    files: Files,
}

/// Who holds a lock, as its file says.
#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    pid: i32,
    command: String,
    since: String,
    user: String,
    host: String,
    /// See [`swarm::place`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<String>,
}

impl Lock {
    /// Locks `project` of a Swarm, as [`Lock::acquire`] does, for all of its managers.
    ///
    /// # Errors
    /// Those, and where the engine isn't a manager.
    pub(crate) async fn of_swarm(
        engine: &Engine,
        output: &Output,
        project: &str,
        command: &str,
        patience: Option<Duration>,
    ) -> Result<Self> {
        let begun = Instant::now();
        engine::swarm::manager(engine).await?;
        let here = Self::acquire(engine, output, project, command, patience).await?;
        let mut holder = Holder::new(command);
        holder.place = swarm::place(&identity(engine).await?);
        let rest = patience.map(|patience| patience.saturating_sub(begun.elapsed()));
        let held = swarm::Held::acquire(engine, output, project, &holder, rest).await?;
        Ok(Self {
            _swarm: Some(held),
            files: here.files,
        })
    }

    /// Locks `project` for `deploy <command>`. While another `deploy` holds it, says who
    /// that is and waits: for ever, or as long as `patience` allows.
    ///
    /// # Errors
    /// When the other one still holds it after that.
    pub(crate) async fn acquire(
        engine: &Engine,
        output: &Output,
        project: &str,
        command: &str,
        patience: Option<Duration>,
    ) -> Result<Self> {
        let operators = Operators::of(engine.address()).map_err(|err| unusable(project, &err))?;
        let place = Place::new(prefix(&identity(engine).await?, project), operators);
        let begun = Instant::now();
        let mut waiting = None;
        loop {
            let file = match place.attempt().map_err(|err| unusable(project, &err))? {
                Attempt::Held(file) => file,
                Attempt::Locked(files) => {
                    let lock = Self {
                        _swarm: None,
                        files,
                    };
                    lock.introduce(&Holder::new(command))
                        .map_err(|err| unusable(project, &err))?;
                    if let Some(task) = waiting {
                        crate::output::Task::done(task, "free");
                    }
                    return Ok(lock);
                }
            };
            let holder = holder(&file);
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

    /// Writes into the files who holds them, for those who wait.
    fn introduce(&self, holder: &Holder) -> io::Result<()> {
        let facts = serde_json::to_vec(holder)?;
        for mut file in self.files.iter() {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(&facts)?;
        }
        Ok(())
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
            place: None,
        }
    }
}

/// All operators may write the file, so nothing in it reaches a terminal as it is.
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
        place: _,
    } = holder;
    let said = format!("`{command}` (pid {pid}, {user} on {host}, since {since})");
    text::escape(&said).into_owned()
}

/// An engine may be reached by several addresses; its id is one.
async fn identity(engine: &Engine) -> Result<String> {
    let info = engine.info().await.doing(|| "ask the engine's id".into())?;
    Ok(info
        .id
        .filter(|id| !id.is_empty())
        .unwrap_or_else(|| engine.address().to_owned()))
}

/// How the names of the files begin that belong to engine and project.
fn prefix(engine: &str, project: &str) -> String {
    let mut key = hex::encode(Sha256::digest(format!("{engine}\n{project}")));
    key.truncate(32);
    format!("causeway-deploy-{key}-")
}

fn holder(mut file: &File) -> Option<Holder> {
    let mut facts = Vec::new();
    file.rewind().ok()?;
    file.take(MAX_FACTS).read_to_end(&mut facts).ok()?;
    serde_json::from_slice(&facts).ok()
}

fn held(project: &str, who: &str) -> Error {
    Error::failed(
        format!("project {project} is being changed by {who}"),
        "wait until it is done and run again; without --no-wait and --lock-timeout, deploy waits itself",
    )
}

fn unusable(project: &str, err: &io::Error) -> Error {
    Error::failed(
        format!("can't lock project {project}: {err}"),
        "run as root, or as a member of the group that the engine's socket belongs to, on a \
         machine with a /tmp that all may write",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_file_says_reaches_no_terminal_raw() {
        let mut forged = Holder::new("up");
        assert!(description(Some(&forged)).contains("`deploy up` (pid "));
        forged.command = "\u{1b}[2J".to_owned();
        assert!(!description(Some(&forged)).contains('\u{1b}'));
    }

    #[test]
    fn who_waits_reads_who_holds_it() {
        let file = tempfile::tempfile().unwrap();
        assert!(holder(&file).is_none());
        serde_json::to_writer(&file, &Holder::new("up")).unwrap();
        assert_eq!(holder(&file).unwrap().command, "deploy up");
        assert_eq!(holder(&file).unwrap().command, "deploy up", "again");
    }
}
