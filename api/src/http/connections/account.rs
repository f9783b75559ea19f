//! One connection: what it is about, when it made progress last, and what it holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use futures_util::task::AtomicWaker;

use super::{Connections, Full, State};
use crate::budget::SMALL_BODY;
use crate::observe::metrics::Evicted;

/// Whoever has made progress within this time keeps what it has.
const PROTECTED: Duration = Duration::from_millis(500);

/// Every so many bytes of a body are progress. Fewer aren't: a byte now and then keeps no place.
pub(super) const PROGRESS: usize = 8 << 10;

/// What a connection is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// A head is expected, or arriving.
    Head,
    /// Between two requests.
    Idle,
    /// A body is arriving.
    Body,
    /// The request is whole, and being answered.
    Working,
    /// Ours is said; the client may finish what it was sending.
    Closing,
}

/// One connection, as its own task and whoever wants its place see it.
#[derive(Debug)]
pub(crate) struct Account {
    connections: Arc<Connections>,
    id: u64,
    phase: AtomicU8,
    /// When there was progress last, in milliseconds since the start.
    progress: AtomicU64,
    /// Bytes of a body since then.
    since: AtomicU64,
    evicted: AtomicBool,
    task: AtomicWaker,
}

impl Account {
    pub(super) fn new(connections: Arc<Connections>, id: u64) -> Self {
        Self {
            id,
            phase: AtomicU8::new(Phase::Head as u8),
            progress: AtomicU64::new(connections.now()),
            since: AtomicU64::new(0),
            evicted: AtomicBool::new(false),
            task: AtomicWaker::new(),
            connections,
        }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn connections(&self) -> &Connections {
        &self.connections
    }

    pub(super) fn wake(&self) {
        self.task.wake();
    }

    /// Gives its place to another.
    pub(super) fn evict(&self) {
        self.evicted.store(true, Ordering::Release);
        self.wake();
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Head,
            1 => Phase::Idle,
            2 => Phase::Body,
            3 => Phase::Working,
            _ => Phase::Closing,
        }
    }

    /// The next phase begins, which is progress; the connection's task looks at it again.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
        self.progressed();
        self.wake();
    }

    /// Whether its place has been given to another.
    pub(crate) fn is_evicted(&self) -> bool {
        self.evicted.load(Ordering::Acquire)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.connections.is_stopping()
    }

    /// Wakes this task when the phase changes and when it is evicted.
    pub(crate) fn watch(&self, task: &Waker) {
        self.task.register(task);
    }

    /// How long there has been no progress.
    pub(crate) fn rested(&self) -> Duration {
        let progress = self.progress.load(Ordering::Relaxed);
        Duration::from_millis(self.connections.now().saturating_sub(progress))
    }

    /// So many bytes of a body have arrived.
    pub(crate) fn received(&self, bytes: usize) {
        let since = self.since.load(Ordering::Relaxed) + bytes as u64;
        self.since.store(since, Ordering::Relaxed);
        if since >= PROGRESS as u64 {
            self.progressed();
        }
    }

    /// When it made progress last, and its number.
    pub(super) fn key(&self) -> (u64, u64) {
        (self.progress.load(Ordering::Relaxed), self.id)
    }

    /// Whether it has to give way to one that wants `wanted` bytes, and holds `held`: a slow one has
    /// to, and one that is much larger.
    fn gives_way(&self, held: usize, wanted: usize) -> bool {
        self.rested() >= PROTECTED || held >= wanted.saturating_mul(2)
    }

    fn progressed(&self) {
        self.set_progress(self.connections.now());
        self.since.store(0, Ordering::Relaxed);
    }

    pub(super) fn set_progress(&self, at: u64) {
        self.progress.store(at, Ordering::Relaxed);
    }

    /// Holds `size` bytes for its heads from now on. It keeps them for as long as it lives: so does
    /// actix-http with a buffer that has grown.
    pub(crate) fn hold_head(&self, size: usize) -> Result<(), Full> {
        let connections = &self.connections;
        let mut state = connections.state();
        let held = state.accounts.get(&self.id).map_or(0, |held| held.head);
        let Some(more) = size.checked_sub(held).filter(|more| *more > 0) else {
            return Ok(());
        };
        while state.heads + more > connections.limits.heads {
            let State {
                with_head,
                accounts,
                ..
            } = &mut *state;
            let oldest = with_head.oldest(connections.now(), accounts, |held| {
                held.account.id != self.id
                    && matches!(held.account.phase(), Phase::Head | Phase::Idle)
            });
            match oldest.and_then(|id| accounts.get(&id)) {
                Some(oldest) if oldest.account.gives_way(oldest.head, size) => {
                    let id = oldest.account.id;
                    connections.evict(&mut state, Evicted::Head, id);
                }
                found => {
                    if let Some(found) = found {
                        with_head.put_back(&found.account);
                    }
                    connections.metrics.refused.inc();
                    return Err(Full);
                }
            }
        }
        if self.is_evicted() {
            return Err(Full);
        }
        state.heads += more;
        let State {
            with_head,
            accounts,
            ..
        } = &mut *state;
        if let Some(held) = accounts.get_mut(&self.id) {
            let first = std::mem::replace(&mut held.head, size) == 0;
            if first {
                with_head.add(self, accounts, |held| held.head > 0);
            }
        }
        connections.show(&state);
        Ok(())
    }

    /// Holds `size` bytes for a body from now on; 0 when it is done with it.
    pub(crate) fn hold_body(&self, size: usize) -> Result<(), Full> {
        let connections = &self.connections;
        let limits = &connections.limits;
        let mut state = connections.state();
        if self.is_evicted() {
            return Err(Full);
        }
        let held = state.accounts.get(&self.id).map_or(0, |held| held.body);
        state.take_body(held);
        // Which of the two pools is empty says whose body has to go.
        let large_fits =
            |state: &State| size <= SMALL_BODY || state.large + size <= limits.large_bodies;
        let fits = |state: &State| large_fits(state) && state.bodies + size <= limits.bodies;
        while size > held && !fits(&state) {
            let large = !large_fits(&state);
            let State {
                with_body,
                with_large_body,
                accounts,
                ..
            } = &mut *state;
            let (order, least) = if large {
                (with_large_body, SMALL_BODY)
            } else {
                (with_body, 0)
            };
            let oldest = order.oldest(connections.now(), accounts, |held| {
                held.account.id != self.id
                    && held.body > least
                    && held.account.phase() == Phase::Body
            });
            match oldest.and_then(|id| accounts.get(&id)) {
                Some(oldest) if oldest.account.gives_way(oldest.body, size) => {
                    let id = oldest.account.id;
                    connections.evict(&mut state, Evicted::Body, id);
                }
                found => {
                    if let Some(found) = found {
                        order.put_back(&found.account);
                    }
                    state.add_body(held);
                    connections.metrics.refused.inc();
                    return Err(Full);
                }
            }
        }
        state.add_body(size);
        let State {
            with_body,
            with_large_body,
            accounts,
            ..
        } = &mut *state;
        if let Some(account) = accounts.get_mut(&self.id) {
            account.body = size;
        }
        if held == 0 && size > 0 {
            with_body.add(self, accounts, |held| held.body > 0);
        }
        if held <= SMALL_BODY && size > SMALL_BODY {
            with_large_body.add(self, accounts, |held| held.body > SMALL_BODY);
        }
        connections.show(&state);
        Ok(())
    }
}
