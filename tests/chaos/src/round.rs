//! One round: load, fault, its end, recovery, and the look at what it did.

use std::time::Duration;

use engine::error::{Error, Result};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::audit::Findings;
use crate::faults::{self, Injection, Surroundings};
use crate::load::Load;
use crate::load::request::Mix;
use crate::memory;
use crate::recovery;
use crate::schedule::Round;
use crate::stack::Stack;
use crate::verdict::{Evidence, Verdict};

/// How long containers may take to be healthy again after a round: a health check of Docker's needs
/// a few of its intervals to say so.
pub(crate) const HEALTH: Duration = Duration::from_secs(45);
/// Between two looks at whether the stack has recovered.
const PAUSE: Duration = Duration::from_millis(100);

/// What all rounds of a run share.
#[derive(Debug)]
pub(crate) struct Run {
    /// The stack.
    pub(crate) stack: Stack,
    /// Fixes everything that is left to chance.
    pub(crate) seed: u64,
    /// Requests a second.
    pub(crate) rate: u32,
    /// Begins every token of this run.
    pub(crate) id: String,
    /// What can be done here.
    pub(crate) surroundings: Surroundings,
    /// Ctrl-C.
    pub(crate) interrupted: CancellationToken,
}

/// What became of a round.
#[derive(Debug)]
pub(crate) enum Played {
    /// It was judged.
    Judged(Box<Verdict>),
    /// It can't be done here, and why.
    Skipped(String),
}

impl Run {
    /// Plays one round.
    ///
    /// # Errors
    /// When a fault can't be injected or undone, or the stack isn't well to begin with.
    pub(crate) async fn play(&self, round: &Round) -> Result<Played> {
        let unwell = self.stack.settle(HEALTH).await?;
        if let Some(first) = unwell.first() {
            return Err(Error::failed(
                format!("the stack isn't well before {}: {first}", round.entry.name),
                "see `deploy ps` and `deploy logs`",
            ));
        }
        let prepared =
            faults::injection(round.entry, &self.stack, round.pick, &self.surroundings).await?;
        let mut injection = match prepared {
            Ok(injection) => injection,
            Err(reason) => return Ok(Played::Skipped(reason)),
        };
        let judged = match injection.prepare().await {
            Ok(()) => self.measure(round, injection.as_mut()).await,
            Err(error) => Err(error),
        };
        // Whatever happened: the stack is left as it was found.
        injection.restore().await?;
        judged.map(|verdict| Played::Judged(Box::new(verdict)))
    }

    async fn measure(&self, round: &Round, injection: &mut dyn Injection) -> Result<Verdict> {
        let memory_before = memory::levels(&self.stack).await?;
        let prefix = format!("{}-{}-", self.id, round.entry.name);
        let mix = Mix::new(self.seed, round.entry.name, prefix.clone());
        let load = Load::start(self.stack.published().await?, self.rate, mix);
        self.wait(round.lead).await?;

        let began = load.ledger().now();
        let injected = injection.inject(&load).await;
        let held = match injected {
            Ok(()) if injection.lasts() => self.wait(round.hold).await,
            other => other,
        };
        load.end_large();
        // Also after a failure and after Ctrl-C.
        injection.heal().await?;
        let healed = load.ledger().now();
        held?;

        self.watch_recovery(&load, healed).await?;
        // While the load goes on: allocators give pages back as they work, not while nobody asks.
        let memory_after = memory::come_down(&self.stack, &memory_before).await?;
        load.stop().await;
        let unwell = self.stack.settle(HEALTH).await?;
        let documents = self.stack.database().await?.documents(&prefix).await?;
        Ok(load.ledger().read(|entries| {
            let evidence = Evidence {
                entries,
                findings: Findings::of(entries, &documents),
                healed,
                memory_before,
                memory_after,
                unwell,
                costs_nothing: round.entry.costs_nothing,
            };
            let lasted = healed.saturating_sub(began);
            Verdict::of(round.entry.name, injection.victim(), lasted, evidence)
        }))
    }

    /// Until the stack has been calm for a while, or for too long not.
    async fn watch_recovery(&self, load: &Load, healed: Duration) -> Result<()> {
        let ledger = load.ledger();
        while ledger.now() < healed + recovery::PATIENCE {
            self.wait(PAUSE).await?;
            let now = ledger.now();
            if ledger.read(|entries| recovery::is_calm(entries, healed, now)) {
                break;
            }
        }
        Ok(())
    }

    pub(crate) async fn wait(&self, duration: Duration) -> Result<()> {
        self.unless_interrupted(sleep(duration)).await
    }

    /// What `work` comes to, unless the run is interrupted before.
    pub(crate) async fn unless_interrupted<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        let done = self.interrupted.run_until_cancelled(work).await;
        done.ok_or_else(interrupted)
    }
}

/// Ctrl-C, as the end of a run.
pub(crate) fn interrupted() -> Error {
    Error::failed(
        "interrupted",
        "nothing is left behind: start the suite again whenever you like",
    )
}
