//! What a session holds for its streams, counted where both sides can see it.

use std::sync::{
    Arc,
    atomic::{
        AtomicUsize,
        Ordering::{AcqRel, Acquire, Relaxed},
    },
};

use bytes::Bytes;
use futures_util::task::AtomicWaker;

#[derive(Debug, Default)]
pub(super) struct Load {
    /// Streams that are served.
    streams: AtomicUsize,
    /// Bytes of responses that haven't been sent.
    unsent: AtomicUsize,
    /// The session's.
    waker: AtomicWaker,
}

/// A stream's place, until dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Load>);

/// Bytes that are counted until the last of them is gone.
struct Unsent {
    bytes: Vec<u8>,
    load: Arc<Load>,
}

impl Load {
    pub(super) fn take_place(self: &Arc<Self>) -> Place {
        self.streams.fetch_add(1, Relaxed);
        Place(Arc::clone(self))
    }

    pub(super) fn streams(&self) -> usize {
        self.streams.load(Acquire)
    }

    pub(super) fn unsent(&self) -> usize {
        self.unsent.load(Relaxed)
    }

    /// Wakes the session's task whenever a stream is over.
    pub(super) fn wake(&self, waker: &std::task::Waker) {
        self.waker.register(waker);
    }

    /// A copy of `bytes` that counts as unsent as long as it is there.
    pub(super) fn unsent_copy(self: &Arc<Self>, bytes: &[u8]) -> Bytes {
        self.unsent.fetch_add(bytes.len(), Relaxed);
        Bytes::from_owner(Unsent {
            bytes: bytes.to_vec(),
            load: Arc::clone(self),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, AcqRel);
        self.0.waker.wake();
    }
}

impl AsRef<[u8]> for Unsent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        self.load.unsent.fetch_sub(self.bytes.len(), Relaxed);
    }
}
