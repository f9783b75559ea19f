//! What a worker counts, in memory of its own. Label values are array indices until somebody asks
//! ([`crate::observe::metrics`]), so that counting a request is a few relaxed additions.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::histogram::Histogram;
use crate::{
    edge::{
        handshake::Refusal,
        session::{Session, Version},
    },
    http1::Method,
};

/// Statuses 100 to 599.
pub(crate) const STATUSES: usize = 500;

#[derive(Debug)]
pub(crate) struct WorkerMetrics {
    /// By method, then status.
    pub(crate) requests: Box<[AtomicU64]>,
    /// Time from a request's head to the end of its response.
    pub(crate) latency: Histogram,
    /// Time that connecting to a backend took, where it succeeded.
    pub(crate) upstream_connect: Histogram,
    /// Time from the beginning of sending a request to a backend to the head of its response.
    pub(crate) upstream_first_byte: Histogram,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    /// Attempts beyond the first.
    pub(crate) retries: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) turned_away: AtomicU64,
    pub(crate) handshakes: Handshakes,
}

/// TLS handshakes that are over.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    /// By version, then whether the session was resumed.
    done: [[AtomicU64; 2]; Version::ALL.len()],
    /// By reason.
    refused: [AtomicU64; Refusal::ALL.len()],
}

impl Handshakes {
    pub(crate) fn done(&self, session: &Session) {
        self.done_as(session.version, session.resumed)
            .fetch_add(1, Relaxed);
    }

    pub(crate) fn refused(&self, refusal: Refusal) {
        self.refused_for(refusal).fetch_add(1, Relaxed);
    }

    pub(crate) const fn done_as(&self, version: Version, resumed: bool) -> &AtomicU64 {
        &self.done[version as usize][resumed as usize]
    }

    pub(crate) const fn refused_for(&self, refusal: Refusal) -> &AtomicU64 {
        &self.refused[refusal as usize]
    }
}

impl Default for WorkerMetrics {
    fn default() -> Self {
        Self {
            requests: (0..Method::ALL.len() * STATUSES)
                .map(|_| AtomicU64::new(0))
                .collect(),
            latency: Histogram::default(),
            upstream_connect: Histogram::default(),
            upstream_first_byte: Histogram::default(),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
            handshakes: Handshakes::default(),
        }
    }
}

impl WorkerMetrics {
    /// Counts one request that is over.
    pub(crate) fn request(&self, method: Method, status: u16, took: Duration, bytes: (u64, u64)) {
        let index = method as usize * STATUSES + usize::from(status.clamp(100, 599) - 100);
        if let Some(counter) = self.requests.get(index) {
            counter.fetch_add(1, Relaxed);
        }
        self.latency.observe(took);
        self.bytes_in.fetch_add(bytes.0, Relaxed);
        self.bytes_out.fetch_add(bytes.1, Relaxed);
    }
}
