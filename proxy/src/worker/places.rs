//! A number of places, and a line for them that is fair between clients.
//!
//! Each network's requests wait in their own order, and the networks take turns: one that asks for
//! thousands of things at once waits for itself, not for others' patience. Where the line has a limit,
//! the network with most in it makes room.

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
    /// Most who may wait, and how many do, those included who have left.
    limit: usize,
    length: usize,
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
        Self::with_line(places, usize::MAX)
    }

    /// The same, where no more than `limit` may wait.
    pub(crate) fn with_line(places: usize, limit: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            free: places,
            limit,
            length: 0,
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
            if let Some(place) = self.take_or_leave(network).await {
                return place;
            }
        }
    }

    /// The same; `None` for one who has to leave a line that is too long.
    pub(crate) async fn take_or_leave(self: &Arc<Self>, network: IpAddr) -> Option<Place> {
        if let Some(place) = self.try_take() {
            return Some(place);
        }
        let (given, place) = oneshot::channel();
        self.state().join(network, given);
        place.await.ok()
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
        self.length += 1;
        if self.length > self.limit {
            self.make_room();
        }
    }

    /// Sends away who has waited longest of the network that has most in the line.
    fn make_room(&mut self) {
        let networks = self.waiting.iter_mut();
        let Some((network, queue)) = networks.max_by_key(|(_, queue)| queue.len()) else {
            return;
        };
        let network = *network;
        self.length -= usize::from(queue.pop_front().is_some());
        if queue.is_empty() {
            self.waiting.remove(&network);
            self.turns.retain(|turn| *turn != network);
        }
    }

    /// The next who waits.
    fn next(&mut self) -> Option<oneshot::Sender<Place>> {
        loop {
            let network = self.turns.pop_front()?;
            let queue = self.waiting.get_mut(&network)?;
            // Those who have left are passed over.
            let before = queue.len();
            let next =
                std::iter::from_fn(|| queue.pop_front()).find(|waiting| !waiting.is_closed());
            self.length -= before - queue.len();
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
    use std::{
        future::Future,
        pin::{Pin, pin},
        task::Poll,
    };

    use futures_util::FutureExt as _;

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

    type Wait<'w> = Pin<Box<dyn Future<Output = Option<Place>> + 'w>>;

    #[tokio::test]
    async fn a_line_that_is_too_long_loses_those_of_whom_there_are_most() {
        let places = Places::with_line(1, 3);
        let first = places.try_take().unwrap();
        let wait = |last| -> Wait<'_> { Box::pin(places.take_or_leave(network(last))) };
        let poll = |wait: &mut Wait<'_>| wait.as_mut().now_or_never();
        let mut many: Vec<_> = (0..3).map(|_| wait(1)).collect();
        for wait in &mut many {
            assert!(poll(wait).is_none());
        }
        let mut others = [wait(2), wait(3)];
        for wait in &mut others {
            assert!(poll(wait).is_none());
        }
        assert!(matches!(poll(&mut many[0]), Some(None)));
        assert!(matches!(poll(&mut many[1]), Some(None)));
        drop(first);
        for wait in many[2..].iter_mut().chain(&mut others) {
            assert!(matches!(poll(wait), Some(Some(_))));
        }
        assert_eq!(places.state().length, 0);
        assert!(places.try_take().is_some());
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
