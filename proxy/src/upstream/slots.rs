//! How many requests a backend gets at a time.
//!
//! Beyond that they wait in line: a backend that is asked more than it can hold answers nobody in
//! time. Requests whose body is still coming in may have half of the places at most: those that are
//! complete never wait for a client.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One worker's places at one backend.
#[derive(Debug)]
pub struct Slots {
    all: Arc<Semaphore>,
    streamed: Arc<Semaphore>,
}

/// A place; given back when dropped.
#[derive(Debug)]
pub struct Slot {
    streamed: Option<OwnedSemaphorePermit>,
    _any: OwnedSemaphorePermit,
}

impl Slots {
    /// So many places.
    pub fn new(places: usize) -> Self {
        let places = places.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            all: Arc::new(Semaphore::new(places)),
            streamed: Arc::new(Semaphore::new(places.div_ceil(2))),
        }
    }

    /// A place, if there is one; for a `streamed` request or a complete one.
    pub fn try_take(&self, streamed: bool) -> Option<Slot> {
        let try_take = |places: &Arc<Semaphore>| Arc::clone(places).try_acquire_owned().ok();
        let streamed = if streamed {
            Some(try_take(&self.streamed)?)
        } else {
            None
        };
        Some(Slot {
            streamed,
            _any: try_take(&self.all)?,
        })
    }

    /// Waits in line for a place. `None` never comes: the line isn't closed.
    pub async fn take(&self, streamed: bool) -> Option<Slot> {
        let streamed = if streamed {
            Some(Arc::clone(&self.streamed).acquire_owned().await.ok()?)
        } else {
            None
        };
        Some(Slot {
            streamed,
            _any: Arc::clone(&self.all).acquire_owned().await.ok()?,
        })
    }
}

impl Slot {
    /// Notes that the request is complete.
    pub fn completed(&mut self) {
        self.streamed = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn half_is_for_complete_requests() {
        let slots = Slots::new(4);
        let mut streamed: Vec<_> = (0..2).map(|_| slots.try_take(true).unwrap()).collect();
        assert!(slots.try_take(true).is_none());
        let complete = [slots.try_take(false), slots.try_take(false)];
        assert!(complete.iter().all(Option::is_some) && slots.try_take(false).is_none());
        streamed[0].completed();
        assert!(slots.try_take(true).is_none());
        drop(complete);
        assert!(slots.try_take(true).is_some());
        drop(streamed);
        assert!(slots.take(true).await.is_some());
    }
}
