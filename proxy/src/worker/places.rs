//! A number of places, and a line for them that is fair between clients.
//!
//! Each network's requests wait in their own order, and the networks take turns: one that asks for
//! thousands of things at once waits for itself, not for others' patience.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

/// Places, and who waits for one.
#[derive(Debug)]
pub(crate) struct Places(Mutex<State>);

#[derive(Debug)]
struct State {
    free: usize,
    /// Who waits, by network; none of the queues is empty.
    waiting: HashMap<IpAddr, VecDeque<oneshot::Sender<Place>>>,
    /// Whose turn it is.
    turns: VecDeque<IpAddr>,
}

/// A place; given to the next when dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Places>);

impl Places {
    pub(crate) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            free: places,
            waiting: HashMap::new(),
            turns: VecDeque::new(),
        })))
    }

    /// A place, if one is free: then nobody waits.
    pub(crate) fn try_take(self: &Arc<Self>) -> Option<Place> {
        let mut state = self.state();
        state.free = state.free.checked_sub(1)?;
        Some(Place(Arc::clone(self)))
    }

    /// Waits for a place on behalf of `network`. Whoever stops waiting leaves the line.
    pub(crate) async fn take(self: &Arc<Self>, network: IpAddr) -> Place {
        loop {
            if let Some(place) = self.try_take() {
                return place;
            }
            let (given, place) = oneshot::channel();
            self.state().join(network, given);
            // Those who wait are never forgotten: the sender is only dropped with a place in it.
            if let Ok(place) = place.await {
                return place;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn join(&mut self, network: IpAddr, waiting: oneshot::Sender<Place>) {
        let queue = self.waiting.entry(network).or_default();
        if queue.is_empty() {
            self.turns.push_back(network);
        }
        queue.push_back(waiting);
    }

    /// The next who waits.
    fn next(&mut self) -> Option<oneshot::Sender<Place>> {
        loop {
            let network = self.turns.pop_front()?;
            let queue = self.waiting.get_mut(&network)?;
            // Those who have left are passed over.
            let next =
                std::iter::from_fn(|| queue.pop_front()).find(|waiting| !waiting.is_closed());
            if queue.is_empty() {
                self.waiting.remove(&network);
            } else {
                self.turns.push_back(network);
            }
            if next.is_some() {
                return next;
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.0.state();
        let Some(next) = state.next() else {
            state.free += 1;
            return;
        };
        drop(state);
        // Whoever leaves at this moment drops the place that it is given, which comes back here.
        let _ = next.send(Self(Arc::clone(&self.0)));
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::pin, task::Poll};

    use super::*;

    fn network(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    /// Whether it is done; joins the line otherwise.
    async fn is_done(wait: &mut (impl Future<Output = Place> + Unpin)) -> Option<Place> {
        let mut wait = pin!(wait);
        std::future::poll_fn(|cx| match wait.as_mut().poll(cx) {
            Poll::Ready(place) => Poll::Ready(Some(place)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    #[tokio::test]
    async fn networks_take_turns() {
        let places = Places::new(1);
        let first = places.try_take().unwrap();
        let mut busy = Vec::new();
        for _ in 0..3 {
            let mut wait = Box::pin(places.take(network(1)));
            assert!(is_done(&mut wait).await.is_none());
            busy.push(wait);
        }
        let mut other = Box::pin(places.take(network(2)));
        assert!(is_done(&mut other).await.is_none());
        assert!(places.try_take().is_none());
        drop(first);
        let place = is_done(&mut busy[0]).await.unwrap();
        drop(place);
        let place = is_done(&mut other).await.unwrap();
        assert!(is_done(&mut busy[1]).await.is_none());
        // Who leaves is passed over.
        drop(busy.remove(1));
        drop(place);
        drop(is_done(&mut busy[1]).await.unwrap());
        assert!(places.try_take().is_some());
        assert!(places.state().waiting.is_empty() && places.state().turns.is_empty());
    }

    #[tokio::test]
    async fn a_place_given_to_somebody_who_leaves_is_given_on() {
        let places = Places::new(1);
        let first = places.try_take().unwrap();
        let mut leaving = Box::pin(places.take(network(1)));
        let mut staying = Box::pin(places.take(network(1)));
        assert!(is_done(&mut leaving).await.is_none());
        assert!(is_done(&mut staying).await.is_none());
        drop(first);
        drop(leaving);
        assert!(is_done(&mut staying).await.is_some());
    }
}
