//! One round: a bystander, the attack, its end, and the look at what it did.

use std::time::Duration;

use engine::error::{Error, Result};
use futures_util::future::try_join_all;
use tokio::time::{Instant, sleep, timeout};

use super::peak::{Gauge, gauges};
use super::process::Seen;
use super::verdict::{self, Evidence, Verdict};
use super::{Attack, PER_ADDRESS, Target};
use crate::audit::Findings;
use crate::faults::{Injection as _, Pause};
use crate::helper::{self, Helper, Role};
use crate::load::Load;
use crate::load::request::Mix;
use crate::memory::{self, Levels};
use crate::round::{HEALTH, Run};
use crate::stack::{PUBLIC, Service};

/// The bystander is alone for so long.
const LEAD: Duration = Duration::from_secs(2);
/// For containers to start and to end, beside the attack itself.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at the containers.
const LOOK: Duration = Duration::from_millis(100);

impl Run {
    /// Plays one round. `idle` is what the containers used when nothing had happened yet.
    ///
    /// # Errors
    /// When the attackers can't be started, or the stack isn't well to begin with.
    pub(crate) async fn attack(
        &self,
        attack: &'static Attack,
        lasting: Duration,
        idle: &Levels,
    ) -> Result<Verdict> {
        if let Some(first) = self.stack.settle(HEALTH).await?.first() {
            return Err(Error::failed(
                format!("the stack isn't well before {}: {first}", attack.name),
                "see `deploy ps` and `deploy logs`",
            ));
        }
        let mut pause = match attack.paused {
            Some(service) => Some(Pause::new(self.stack.clone(), service, 0).await?),
            None => None,
        };
        let mut gauges = gauges(&self.stack).await?;
        let prefix = format!("{}-{}-", self.id, attack.name);
        let mix = Mix::new(self.seed, attack.name, prefix.clone());
        let load = Load::start(self.stack.published().await?, self.rate, mix);
        self.wait(LEAD).await?;

        let began = load.ledger().now();
        if let Some(pause) = &mut pause {
            pause.inject(&load).await?;
        }
        let seen = self.unleash(attack, lasting, &mut gauges).await;
        let ended = load.ledger().now();
        // Also after a failure and after Ctrl-C.
        if let Some(pause) = &mut pause {
            pause.heal().await?;
        }
        load.halt();
        let (first_write, seen) = match seen {
            Ok(seen) => (load.first_write(verdict::PATIENCE).await, seen),
            Err(error) => return Err(error),
        };
        let (memory_after, fell) = self.watch_memory(idle).await?;
        load.stop().await;
        helper::remove_all(&self.stack).await?;
        let unwell = self.stack.settle(HEALTH).await?;
        let mut peaks = Vec::new();
        for gauge in gauges {
            peaks.push(gauge.finish(&self.stack).await?);
        }
        let documents = self.stack.database().await?.documents(&prefix).await?;
        Ok(load.ledger().read(|entries| {
            let beside = entries
                .iter()
                .filter(|entry| (began..ended).contains(&entry.sent));
            Verdict::of(
                attack,
                Evidence {
                    lasted: ended.saturating_sub(began),
                    seen,
                    peaks,
                    beside: beside.cloned().collect(),
                    findings: Findings::of(entries, &documents),
                    first_write,
                    memory_after,
                    fell,
                    unwell,
                },
            )
        }))
    }

    /// Has the attack carried out, and says what its clients saw.
    async fn unleash(
        &self,
        attack: &'static Attack,
        lasting: Duration,
        gauges: &mut [Gauge],
    ) -> Result<Seen> {
        // Once, before several containers ask for it at the same time.
        helper::image(&self.stack).await?;
        let mut processes = Vec::new();
        for (squad, what) in attack.squads.iter().enumerate() {
            let (service, port) = match what.target {
                Target::Proxy => (Service::Listener, 80),
                Target::Tls => (Service::Listener, 443),
                Target::Api => (Service::Api, 9_090),
            };
            let target = (self.stack.address(service, PUBLIC).await?, port).into();
            let mut left = what.clients;
            while left > 0 {
                let clients = left.min(PER_ADDRESS);
                left -= clients;
                let role = Role::Attackers {
                    attack: attack.name,
                    squad,
                    clients,
                    target,
                    lasting,
                    seed: self.seed + processes.len() as u64,
                };
                processes.push(role);
            }
        }
        let started = processes
            .into_iter()
            .map(|role| Helper::start(&self.stack, role));
        let lines = async {
            let helpers = try_join_all(started).await?;
            try_join_all(helpers.iter().map(|helper| helper.says(&self.stack))).await
        };
        let limited = async {
            match timeout(lasting + PATIENCE, lines).await {
                Ok(lines) => lines,
                Err(_) => Err(Error::failed(
                    format!("{} went on for too long", attack.name),
                    "run it again on a machine that has less to do",
                )),
            }
        };
        let watch = async {
            loop {
                sleep(LOOK).await;
                gauges.iter_mut().for_each(Gauge::read);
            }
        };
        let lines = tokio::select! {
            lines = self.unless_interrupted(limited) => lines??,
            never = watch => never,
        };
        let mut seen = Seen::default();
        for line in lines {
            let part: Seen = serde_json::from_str(&line).map_err(|_| {
                Error::failed(
                    format!(
                        "the clients of {} ended early: {}",
                        attack.name,
                        line.trim()
                    ),
                    "give the machine what that message lacks, and run it again",
                )
            })?;
            seen.add(&part);
        }
        Ok(seen)
    }

    /// Waits until every container is near what it uses idle; says what it uses and how long that
    /// took, `None`: for too long.
    async fn watch_memory(&self, idle: &Levels) -> Result<(Levels, Option<Duration>)> {
        let began = Instant::now();
        loop {
            let levels = memory::levels(&self.stack).await?;
            if verdict::excess(idle, &levels).is_empty() {
                return Ok((levels, Some(began.elapsed())));
            }
            if began.elapsed() > verdict::PATIENCE {
                return Ok((levels, None));
            }
            self.wait(LOOK).await?;
        }
    }
}
