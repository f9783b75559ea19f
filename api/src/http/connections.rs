//! Who has a place: the connections of one port, what each of them holds, and who goes first when
//! room is wanted.
//!
//! Each connection has an [`Account`]. Whoever wants a place, or memory for a head or a body, gets
//! it from the pools of [`Limits`]; where these are empty, the account that has been without
//! progress for the longest time is *evicted*: what it holds counts as free from then on, and its
//! task is woken to answer and close. So a client that does nothing can't keep out one that does
//! something. Work is never cut off: a request that is whole is answered (but for the admin port,
//! where no answer matters as much as that the next health check gets one).

mod account;
mod order;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use self::order::Order;
use crate::budget::SMALL_BODY;
use crate::observe::metrics::{Evicted, PlaceMetrics};
pub(crate) use account::{Account, Phase};

/// The pools of one port. Sizes are in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
    /// What heads take beyond the first buffer of their connections.
    pub(crate) heads: usize,
    /// Bodies that are being read.
    pub(crate) bodies: usize,
    /// Those of them that are larger than [`SMALL_BODY`].
    pub(crate) large_bodies: usize,
    /// Whether requests that are being worked on give way, too.
    pub(crate) evict_working: bool,
}

/// There is no room, and nobody who would have to make some.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Full;

/// All connections of a port, over all workers.
#[derive(Debug)]
pub(crate) struct Connections {
    limits: Limits,
    started: Instant,
    metrics: PlaceMetrics,
    state: Mutex<State>,
    stopping: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    accounts: HashMap<u64, Held>,
    next: u64,
    /// Who is without progress for longest: of all, and of those that hold something.
    all: Order,
    with_head: Order,
    with_body: Order,
    with_large_body: Order,
    /// What those hold that aren't evicted.
    open: usize,
    heads: usize,
    bodies: usize,
    large: usize,
}

/// What a connection holds of the pools.
#[derive(Debug)]
struct Held {
    account: Arc<Account>,
    head: usize,
    body: usize,
}

/// A connection's place, given back on drop together with all that it holds.
#[derive(Debug)]
pub(crate) struct Place(Arc<Account>);

impl Connections {
    pub(crate) fn new(limits: Limits, metrics: PlaceMetrics) -> Arc<Self> {
        Arc::new(Self {
            limits,
            started: Instant::now(),
            metrics,
            state: Mutex::default(),
            stopping: AtomicBool::new(false),
        })
    }

    /// How many connections have a place at most.
    pub(crate) fn most(&self) -> usize {
        self.limits.connections
    }

    /// A place for a new connection, if need be that of another.
    pub(crate) fn admit(self: &Arc<Self>) -> Result<Place, Full> {
        let mut state = self.state();
        if state.open >= self.limits.connections {
            let evict_working = self.limits.evict_working;
            let now = self.now();
            let State { all, accounts, .. } = &mut *state;
            let oldest = all.oldest(now, accounts, |held| {
                evict_working || held.account.phase() != Phase::Working
            });
            let Some(oldest) = oldest else {
                self.metrics.refused.inc();
                return Err(Full);
            };
            self.evict(&mut state, Evicted::Connection, oldest);
        }
        let id = state.next;
        state.next += 1;
        state.open += 1;
        let account = Arc::new(Account::new(Arc::clone(self), id));
        let held = Held {
            account: Arc::clone(&account),
            head: 0,
            body: 0,
        };
        state.accounts.insert(id, held);
        let State { all, accounts, .. } = &mut *state;
        all.add(&account, accounts, |_| true);
        self.show(&state);
        Ok(Place(account))
    }

    /// From now on clients have little time to finish what they were sending when they were
    /// answered.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        for held in self.state().accounts.values() {
            if held.account.phase() == Phase::Closing {
                held.account.wake();
            }
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Takes all that it holds from a connection.
    fn evict(&self, state: &mut State, what: Evicted, id: u64) {
        let Some(holder) = state.accounts.get_mut(&id) else {
            return;
        };
        holder.account.evict();
        let (head, body) = (
            std::mem::take(&mut holder.head),
            std::mem::take(&mut holder.body),
        );
        state.heads -= head;
        state.take_body(body);
        state.open -= 1;
        self.metrics.evicted(what);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn show(&self, state: &State) {
        self.metrics
            .holds(state.accounts.len(), state.heads, state.bodies);
    }

    /// The state. A panic can't leave it half changed, so a poisoned lock is taken as it is.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add_body(&mut self, size: usize) {
        self.bodies += size;
        self.large += if size > SMALL_BODY { size } else { 0 };
    }

    fn take_body(&mut self, size: usize) {
        self.bodies -= size;
        self.large -= if size > SMALL_BODY { size } else { 0 };
    }
}

impl Place {
    pub(crate) fn account(&self) -> &Arc<Account> {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let connections = self.0.connections();
        let mut state = connections.state();
        if let Some(held) = state.accounts.remove(&self.0.id()) {
            state.heads -= held.head;
            state.take_body(held.body);
        }
        if !self.0.is_evicted() {
            state.open -= 1;
        }
        connections.show(&state);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::account::PROGRESS;
    use super::*;

    fn connections(evict_working: bool) -> Arc<Connections> {
        let limits = Limits {
            connections: 3,
            heads: 100,
            bodies: 4 * SMALL_BODY,
            large_bodies: 3 * SMALL_BODY,
            evict_working,
        };
        Connections::new(limits, PlaceMetrics::default())
    }

    fn admit(connections: &Arc<Connections>, phase: Phase, rested: Duration) -> Place {
        let place = connections.admit().unwrap();
        place.0.enter(phase);
        rest(&place, rested);
        place
    }

    /// As if it had made no progress for so long. The clock of the tests starts an hour late.
    fn rest(place: &Place, rested: Duration) {
        let now = place.0.connections().now();
        let rested = u64::try_from(rested.as_millis()).unwrap();
        place.0.set_progress(now - rested);
    }

    fn hours_old(connections: Arc<Connections>) -> Arc<Connections> {
        let mut connections = Arc::into_inner(connections).unwrap();
        connections.started -= Duration::from_secs(3600);
        Arc::new(connections)
    }

    #[test]
    fn a_newcomer_gets_the_place_of_the_one_that_rests_longest_and_does_not_work() {
        let connections = hours_old(connections(false));
        let working = admit(&connections, Phase::Working, Duration::from_secs(9));
        let head = admit(&connections, Phase::Head, Duration::from_secs(8));
        let body = admit(&connections, Phase::Body, Duration::from_secs(7));
        let newcomer = admit(&connections, Phase::Working, Duration::ZERO);
        assert!(head.0.is_evicted() && !body.0.is_evicted() && !working.0.is_evicted());
        let another = admit(&connections, Phase::Working, Duration::ZERO);
        assert!(body.0.is_evicted());
        assert!(connections.admit().is_err(), "all work");
        drop((head, body));
        assert!(connections.admit().is_err(), "their places are taken");
        drop(newcomer);
        another.0.enter(Phase::Closing);
        rest(&another, Duration::from_secs(1));
        let first = connections.admit().unwrap();
        assert!(!another.0.is_evicted(), "there was a place");
        let _second = connections.admit().unwrap();
        assert!(another.0.is_evicted() && !first.0.is_evicted());
    }

    #[test]
    fn where_answers_can_wait_everybody_gives_way() {
        let connections = hours_old(connections(true));
        let oldest = admit(&connections, Phase::Working, Duration::from_secs(9));
        let _others = [(); 2].map(|()| admit(&connections, Phase::Working, Duration::ZERO));
        assert!(connections.admit().is_ok() && oldest.0.is_evicted());
    }

    #[test]
    fn room_for_a_body_is_made_by_the_slowest() {
        let connections = hours_old(connections(false));
        let [slow, quick, small] =
            [5, 0, 9].map(|rested| admit(&connections, Phase::Body, Duration::from_secs(rested)));
        slow.0.hold_body(SMALL_BODY + 1).unwrap();
        quick.0.hold_body(SMALL_BODY + 1).unwrap();
        small.0.hold_body(SMALL_BODY).unwrap();
        // Large ones make room for a large one, although a small one rests for longer.
        quick.0.hold_body(3 * SMALL_BODY).unwrap();
        assert!(slow.0.is_evicted() && !small.0.is_evicted());
        assert!(slow.0.hold_body(1).is_err());
        drop(slow);
        // What is kept for small ones.
        let newcomer = admit(&connections, Phase::Body, Duration::ZERO);
        assert!(newcomer.0.hold_body(2 * SMALL_BODY).is_err());
        assert!(newcomer.0.hold_body(SMALL_BODY).is_ok());
        assert!(small.0.is_evicted() && !quick.0.is_evicted());
        // Who wants little goes before who has much.
        newcomer.0.hold_body(SMALL_BODY + 1).unwrap();
        assert!(quick.0.is_evicted());
        drop((small, quick));
        newcomer.0.hold_body(0).unwrap();
        let state = connections.state();
        assert_eq!((state.bodies, state.large, state.open), (0, 0, 1));
    }

    #[test]
    fn a_byte_now_and_then_is_no_progress() {
        let connections = hours_old(connections(false));
        let body = admit(&connections, Phase::Body, Duration::from_secs(9));
        for _ in 0..PROGRESS / 2 {
            body.0.received(1);
        }
        assert!(body.0.rested() >= Duration::from_secs(9));
        body.0.received(PROGRESS / 2);
        assert!(body.0.rested() < Duration::from_secs(9));
    }

    #[test]
    fn heads_share_one_pool() {
        let connections = hours_old(connections(false));
        let old = admit(&connections, Phase::Head, Duration::from_secs(1));
        old.0.hold_head(60).unwrap();
        let young = admit(&connections, Phase::Head, Duration::ZERO);
        young.0.hold_head(40).unwrap();
        young.0.hold_head(30).unwrap();
        young.0.hold_head(50).unwrap();
        assert!(old.0.is_evicted());
        let another = admit(&connections, Phase::Head, Duration::ZERO);
        assert!(another.0.hold_head(60).is_err(), "nobody is slow");
    }
}
