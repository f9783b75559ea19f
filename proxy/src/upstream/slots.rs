//! How many requests a backend gets at a time.
//!
//! Beyond that they wait in line: a backend that is asked more than it can hold answers nobody in
//! time. Requests whose body is still coming in may have half of the places at most: those that are
//! complete never wait for a client.

use std::{net::IpAddr, sync::Arc};

use crate::worker::places::{Place, Places};

/// One worker's places at one backend.
#[derive(Debug)]
pub(crate) struct Slots {
    all: Arc<Places>,
    streamed: Arc<Places>,
}

/// A place; given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    streamed: Option<Place>,
    _any: Place,
}

impl Slots {
    /// So many places, one at least.
    pub(crate) fn new(places: usize) -> Self {
        let places = places.max(1);
        Self {
            all: Places::new(places),
            streamed: Places::new(places.div_ceil(2)),
        }
    }

    /// A place, if there is one; for a `streamed` request or a complete one.
    pub(crate) fn try_take(&self, streamed: bool) -> Option<Slot> {
        let streamed = if streamed {
            Some(self.streamed.try_take()?)
        } else {
            None
        };
        Some(Slot {
            streamed,
            _any: self.all.try_take()?,
        })
    }

    /// Waits in line for a place, on behalf of a client's network.
    pub(crate) async fn take(&self, streamed: bool, network: IpAddr) -> Slot {
        let streamed = if streamed {
            Some(self.streamed.take(network).await)
        } else {
            None
        };
        Slot {
            streamed,
            _any: self.all.take(network).await,
        }
    }
}

impl Slot {
    /// Notes that the request is complete.
    pub(crate) fn completed(&mut self) {
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
        slots.take(true, [10, 0, 0, 1].into()).await;
    }
}
