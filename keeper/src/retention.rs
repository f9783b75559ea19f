//! Retention: again and again, lets go of what is too old, and of the oldest where there is too much.

use std::time::{Duration, Instant};

use humantime::format_duration;
use mongodb::error::Result;
use tokio::time::{MissedTickBehavior, interval};

use crate::guard::{Guard, May, Now};
use crate::metrics::{AGE, Metrics, Removed, SIZE};
use crate::settings::Settings;
use crate::store::Store;
use crate::sweep::{self, Open, Why};
use crate::watch;

/// Where there is more beyond the bound of the size than this part of it, the bound comes first, and the
/// writers' pace second.
const HURRY: u64 = 10;

/// Keeps the requests within their bounds.
#[derive(Debug)]
pub(crate) struct Retention {
    store: Store,
    metrics: Metrics,
    guard: Option<Guard>,
    max_size: Option<u64>,
    interval: Duration,
    /// What the last sweep didn't get to know, and why it was made.
    open: Option<(Open, Removed)>,
    problem: Option<String>,
    waits: bool,
}

impl Retention {
    pub(crate) fn new(settings: &Settings, store: &Store, metrics: &Metrics) -> Self {
        let guard = settings.retention;
        Self {
            store: store.clone(),
            metrics: metrics.clone(),
            guard: guard.map(|retention| Guard::new(retention, settings.grace)),
            max_size: settings.max_size,
            interval: settings.interval,
            open: None,
            problem: None,
            waits: false,
        }
    }

    /// Works until dropped.
    pub(crate) async fn run(mut self) {
        if self.guard.is_none() && self.max_size.is_none() {
            return std::future::pending().await;
        }
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.sweep().await {
                Ok(()) => self.problem = None,
                Err(error) => {
                    let problem = self.store.describe(&error);
                    if self.problem.as_ref() != Some(&problem) {
                        tracing::warn!(%problem, "requests can't be let go of; trying again");
                    }
                    self.problem = Some(problem);
                }
            }
        }
    }

    async fn sweep(&mut self) -> Result<()> {
        if let Some((open, reason)) = &self.open {
            let gone = sweep::settle(&self.store, open).await?;
            self.metrics.removed.get_or_create(reason).inc_by(gone);
            self.open = None;
        }
        if let Some(limit) = self.limit_of_age().await? {
            self.let_go(Why::Before(limit), false, AGE).await?;
        }
        if let Some(max) = self.max_size {
            let (bytes, _) = watch::size_of(&self.store).await?;
            let over = bytes.saturating_sub(max);
            if over > 0 {
                let hurry = over > max / HURRY;
                self.let_go(Why::Over(over), hurry, SIZE).await?;
            }
        }
        Ok(())
    }

    /// Before which moment requests are too old.
    async fn limit_of_age(&mut self) -> Result<Option<std::time::SystemTime>> {
        let Some(guard) = &mut self.guard else {
            return Ok(None);
        };
        let oldest = watch::oldest_of(&self.store).await?;
        let May { go_before, wait } = guard.may(Now::read(), oldest);
        self.metrics.waits(wait.is_some());
        match wait {
            Some(wait) if !self.waits => {
                let wait = format_duration(Duration::from_secs(wait.as_secs()));
                let oldest = oldest.map(humantime::format_rfc3339_seconds);
                tracing::warn!(
                    oldest = oldest.map(tracing::field::display),
                    "many more requests are too old than time can have made so: the clock or \
                     KEEPER_RETENTION has changed. They go in {wait}, unless it is changed back"
                );
            }
            None if self.waits => tracing::info!("nothing waits any more for being let go of"),
            _ => {}
        }
        self.waits = wait.is_some();
        Ok(go_before)
    }

    async fn let_go(&mut self, why: Why, hurry: bool, reason: Removed) -> Result<()> {
        let begun = Instant::now();
        let removed = self.metrics.removed.get_or_create(&reason).clone();
        let mut documents = 0;
        let mut open = None;
        let count = |batch| {
            removed.inc_by(batch);
            documents += batch;
        };
        let swept = sweep::sweep(&self.store, why, hurry, &mut open, count).await;
        self.open = open.map(|open| (open, reason.clone()));
        if documents > 0 {
            tracing::info!(
                reason = reason.reason,
                documents,
                seconds = begun.elapsed().as_secs_f64(),
                "let go of requests"
            );
        }
        swept
    }
}
