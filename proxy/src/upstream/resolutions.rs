//! The look-ups of the upstream's name: what came of them, and who waits for the next.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::name_service::AddressFamily;

/// What an answer of one family waits for the other's (RFC 8305 §3, "Resolution Delay").
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// What came of a look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Resolved,
    /// The name has no address of the family.
    NoAddress,
    NotFound,
    /// No usable answer.
    Failed,
}

impl Outcome {
    pub(crate) const ALL: [Self; 4] = [
        Self::Resolved,
        Self::NoAddress,
        Self::NotFound,
        Self::Failed,
    ];

    /// For the metrics.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Resolved => "resolved",
            Self::NoAddress => "no_address",
            Self::NotFound => "not_found",
            Self::Failed => "failed",
        }
    }
}

/// The look-ups so far, and who waits for the next.
#[derive(Debug)]
pub(crate) struct Resolutions {
    /// When somebody last asked for one.
    pub(super) wanted: watch::Sender<Instant>,
    /// The last one of each family that is over.
    ended: watch::Sender<[Option<Ended>; 2]>,
    /// How many had which outcome, by family.
    counters: [[AtomicU64; 4]; 2],
}

#[derive(Debug, Clone, Copy)]
struct Ended {
    begun: Instant,
    outcome: Outcome,
}

impl Default for Resolutions {
    fn default() -> Self {
        Self {
            wanted: watch::Sender::new(Instant::now()),
            ended: watch::Sender::default(),
            counters: Default::default(),
        }
    }
}

impl Resolutions {
    /// How many look-ups of a family had this outcome.
    pub(crate) fn count(&self, family: AddressFamily, outcome: Outcome) -> u64 {
        self.counters[family as usize][outcome as usize].load(Relaxed)
    }

    /// Asks for a look-up that begins after this moment, which is returned.
    pub(super) fn ask(&self) -> Instant {
        let now = Instant::now();
        self.wanted.send_replace(now);
        now
    }

    /// Waits until look-ups that began at `asked` or later are over: of both families, or of one
    /// that has found addresses and a little longer for the other.
    pub(super) async fn ended_since(&self, asked: Instant) {
        let since = |ended: &Option<Ended>| ended.is_some_and(|ended| ended.begun >= asked);
        let found = |ended: &Option<Ended>| {
            since(ended) && ended.is_some_and(|ended| ended.outcome == Outcome::Resolved)
        };
        let mut ended = self.ended.subscribe();
        // The sender is in `self`: it can't be gone.
        let _ = ended
            .wait_for(|ended| ended.iter().all(since) || ended.iter().any(found))
            .await;
        let both = ended.wait_for(|ended| ended.iter().all(since));
        let _ = timeout(RESOLUTION_DELAY, both).await;
    }

    /// Whether the last answers say that there is no address.
    pub(super) fn nothing_there(&self) -> bool {
        let nothing = [Outcome::NoAddress, Outcome::NotFound];
        let ended = self.ended.borrow();
        ended
            .iter()
            .all(|ended| ended.is_some_and(|ended| nothing.contains(&ended.outcome)))
    }

    pub(super) fn end(&self, family: AddressFamily, begun: Instant, outcome: Outcome) {
        self.counters[family as usize][outcome as usize].fetch_add(1, Relaxed);
        self.ended
            .send_modify(|ended| ended[family as usize] = Some(Ended { begun, outcome }));
    }
}
