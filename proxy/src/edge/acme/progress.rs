//! How far the orders are, for the metrics.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::SystemTime,
};

/// What came of an attempt to get a certificate.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome {
    Issued,
    Failed,
    /// Failed because there were too many.
    RateLimited,
}

impl Outcome {
    pub(crate) const ALL: [Self; 3] = [Self::Issued, Self::Failed, Self::RateLimited];

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Failed => "failed",
            Self::RateLimited => "rate_limited",
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Progress {
    orders: [AtomicU64; Outcome::ALL.len()],
    leads: AtomicBool,
    names: Mutex<Vec<NameProgress>>,
}

/// Where a name is.
#[derive(Debug, Clone)]
pub(crate) struct NameProgress {
    pub(crate) name: String,
    /// Failed attempts since the last certificate.
    pub(crate) failures: u32,
    pub(crate) next_attempt: SystemTime,
}

impl Progress {
    pub(super) fn count(&self, outcome: Outcome) {
        self.orders[outcome as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn orders(&self, outcome: Outcome) -> u64 {
        self.orders[outcome as usize].load(Relaxed)
    }

    pub(super) fn set_leads(&self, leads: bool) {
        self.leads.store(leads, Relaxed);
    }

    /// Whether this process is the one that orders.
    pub(crate) fn leads(&self) -> bool {
        self.leads.load(Relaxed)
    }

    pub(super) fn set_names(&self, names: Vec<NameProgress>) {
        *self.lock() = names;
    }

    pub(crate) fn names(&self) -> Vec<NameProgress> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<NameProgress>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
