//! How many client connections there may be, and are.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::sync::Notify;
use tracing::warn;

/// Descriptors that are not a client's or its backend's: listeners, logs, DNS, metrics.
const RESERVED: u64 = 128;

/// Counts open client connections against a limit.
#[derive(Debug)]
pub struct Connections {
    open: AtomicUsize,
    limit: usize,
    none_left: Notify,
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub struct Slot(Arc<Connections>);

impl Connections {
    /// Room for `limit` connections.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            open: AtomicUsize::new(0),
            limit,
            none_left: Notify::new(),
        })
    }

    /// A place for one more, if there is one.
    pub fn admit(self: &Arc<Self>) -> Option<Slot> {
        let slot = Slot(Arc::clone(self));
        (self.open.fetch_add(1, Ordering::AcqRel) < self.limit).then_some(slot)
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Waits until none is open.
    pub async fn none_left(&self) {
        loop {
            let notified = self.none_left.notified();
            if self.open() == 0 {
                return;
            }
            notified.await;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none_left.notify_waiters();
        }
    }
}

/// Raises the limit on open files as far as it goes, and returns how many of `wanted` client
/// connections fit: each may need a second descriptor for its backend.
pub fn connections_that_fit(wanted: usize) -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return wanted;
    };
    let needed = (wanted as u64).saturating_mul(2).saturating_add(RESERVED);
    let granted = needed.min(hard).max(soft);
    if granted > soft && setrlimit(Resource::RLIMIT_NOFILE, granted, hard).is_err() {
        warn!(soft, hard, "limit on open files can't be raised");
        return fit(wanted, soft);
    }
    fit(wanted, granted)
}

fn fit(wanted: usize, files: u64) -> usize {
    let fitting = usize::try_from(files.saturating_sub(RESERVED) / 2)
        .unwrap_or(usize::MAX)
        .max(1);
    if fitting < wanted {
        warn!(
            wanted,
            fitting, files, "fewer connections than configured: the limit on open files"
        );
    }
    fitting.min(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_limit_holds_and_places_are_given_back() {
        let connections = Connections::new(2);
        let (first, second) = (connections.admit(), connections.admit());
        assert!(first.is_some() && second.is_some() && connections.admit().is_none());
        assert_eq!(connections.open(), 2);
        drop(first);
        assert!(connections.admit().is_some());
        drop(second);
        connections.none_left().await;
    }

    #[test]
    fn connections_fit_the_open_files() {
        assert_eq!(fit(100, 100_000), 100);
        assert_eq!(fit(20_000, 1024), 448);
        assert_eq!(fit(10, 0), 1);
    }
}
