//! How many client connections there are.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: AtomicUsize,
    none_left: Notify,
}

/// One connection; no longer counted when dropped.
#[derive(Debug)]
pub(crate) struct Counted(Arc<Connections>);

impl Connections {
    pub(crate) fn count(self: &Arc<Self>) -> Counted {
        self.open.fetch_add(1, Ordering::AcqRel);
        Counted(Arc::clone(self))
    }

    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    pub(crate) async fn none_left(&self) {
        loop {
            let notified = self.none_left.notified();
            if self.open() == 0 {
                return;
            }
            notified.await;
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none_left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_one_is_noticed() {
        let connections = Arc::new(Connections::default());
        let (first, second) = (connections.count(), connections.count());
        drop(first);
        assert_eq!(connections.open(), 1);
        tokio::join!(connections.none_left(), async { drop(second) });
        assert_eq!(connections.open(), 0);
    }
}
