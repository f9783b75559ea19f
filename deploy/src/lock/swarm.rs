//! A Swarm's project is one for all its managers, so its lock is the Swarm's as well as this host's: a config
//! ([`engine::swarm::lock`]) beside the files. The kernel frees the files; nothing frees the config of a
//! process that was killed. Whoever comes next on the same host knows that it is gone, since it has the
//! files, which that one would hold; elsewhere nobody can know, and is told how to free it.

use std::fs;
use std::time::{Duration, Instant};

use engine::Engine;
use engine::error::{Error, Result};
use engine::swarm::lock::Lock;
use tokio::runtime::Handle;
use tokio::task::block_in_place;
use tokio::time::timeout;

use super::{Holder, description, held};
use crate::output::{Output, Task};

/// How often a lock that somebody else holds is tried.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long the engine may take to free it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The Swarm's lock, until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    engine: Engine,
    lock: Lock,
}

impl Held {
    /// Has it for `holder`, who has the files already: waits for ever, or as long as `patience` allows.
    pub(super) async fn acquire(
        engine: &Engine,
        output: &Output,
        project: &str,
        holder: &Holder,
        patience: Option<Duration>,
    ) -> Result<Self> {
        let begun = Instant::now();
        let facts = serde_json::to_string(holder).unwrap_or_default();
        let mut waiting: Option<Task<'_>> = None;
        loop {
            if let Some(lock) = Lock::attempt(engine, project, &facts).await? {
                if let Some(task) = waiting {
                    task.done("free");
                }
                let engine = engine.clone();
                return Ok(Self { engine, lock });
            }
            let Some(theirs) = Lock::find(engine, project).await? else {
                continue;
            };
            let other: Option<Holder> = serde_json::from_str(&theirs.holder).ok();
            let who = description(other.as_ref());
            let place = other.as_ref().and_then(|it| it.place.as_ref());
            if place.is_some() && place == holder.place.as_ref() {
                theirs.remove(engine).await?;
                output.note(&format!("{who} was killed: its lock on the Swarm is freed"));
                continue;
            }
            if patience.is_some_and(|patience| begun.elapsed() >= patience) {
                return Err(refused(project, &who, &theirs.name));
            }
            if waiting.is_none() {
                waiting =
                    Some(output.task(&format!("project {project}"), &format!("waiting for {who}")));
                output.note(&way_out(&theirs.name));
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

impl Drop for Held {
    /// Where the engine doesn't answer any more, the next one on this host frees it.
    fn drop(&mut self) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let freed = timeout(PATIENCE, self.lock.remove(&self.engine));
        _ = block_in_place(|| runtime.block_on(freed));
    }
}

fn refused(project: &str, who: &str, name: &str) -> Error {
    let mut refused = held(project, who);
    refused.next = format!("{}; {}", refused.next, way_out(name));
    refused
}

fn way_out(name: &str) -> String {
    format!("if that process is gone, and only then: `docker config rm {name}` frees the lock")
}

/// Where processes share the files of locks on an engine: this start of this machine, and its directories
/// as this process sees them. None where the system doesn't tell.
pub(super) fn place(engine: &str) -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let mounts = fs::read_link("/proc/self/ns/mnt").ok()?;
    Some(format!("{engine} {} {}", boot.trim(), mounts.display()))
}
