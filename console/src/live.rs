//! What is recorded now: one [`tail`] of the collection for all who watch.
//!
//! The tail puts what it finds into a [`ring`]; a [`follower`] is a place in that ring and a filter. So
//! neither the number of followers nor how slow they are makes a difference to the database, or to
//! memory: who falls out of the ring is told so. Filters by header or body are the exception: they
//! are looked at while the content is at hand ([`content`]), since the ring holds none.

pub(crate) mod content;
pub(crate) mod follower;
pub(crate) mod holes;
pub(crate) mod met;
mod metrics;
pub(crate) mod ring;
pub(crate) mod sse;
mod tail;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::Stream;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::live::content::ContentFilters;
use crate::live::follower::Follower;
pub use crate::live::holes::After;
pub use crate::live::metrics::LiveMetrics;
pub use crate::live::ring::Item;
use crate::live::ring::Ring;
use crate::requests::filter::Filter;
use crate::store::Store;

/// More at a time are refused: each has a connection, and up to [`follower::CHUNK`] of text.
const MOST_FOLLOWERS: usize = 256;

/// The tail goes on for so long after the last follower has left: who comes back meanwhile finds its
/// place in the ring.
pub(crate) const LINGER: Duration = Duration::from_secs(30);

/// The tail. It reads only while somebody follows.
#[derive(Debug)]
pub struct Live {
    shared: Arc<Shared>,
    store: Store,
    metrics: LiveMetrics,
}

/// What a follower is told.
#[derive(Clone, Debug)]
pub enum Event {
    /// Requests that were recorded, and that the filter lets through: the oldest first.
    Recorded(Vec<Arc<Item>>),
    /// So many came before the next: more than one wants to see at once.
    Skipped(usize),
    /// Some that were recorded meanwhile can't be told any more: too many, or too long ago.
    Missed,
    /// Nothing can be read now, for this reason; the stream goes on once it can.
    Away(Arc<str>),
    /// It goes on.
    Back,
}

/// Why one can't follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("{MOST_FOLLOWERS} follow already, which is the most")]
    TooMany,
    #[error("as many filters by header or body are followed already as there is room for")]
    TooManyContentFilters,
    #[error("shutting down")]
    Closed,
}

impl Live {
    /// Begins to wait for followers, on the runtime that this is called on.
    pub fn new(store: Store) -> Self {
        let metrics = LiveMetrics::default();
        let shared = Arc::new(Shared::default());
        tokio::spawn(tail::run(
            Arc::clone(&shared),
            store.clone(),
            metrics.clone(),
        ));
        Self {
            shared,
            store,
            metrics,
        }
    }

    /// Follows what is recorded from now on or, after a break, from `after` on: the last that was
    /// told. Each is told once. By the time that this returns, what is recorded will be told, unless
    /// MongoDB is away.
    pub async fn follow(
        &self,
        filter: Filter,
        after: Option<After>,
    ) -> Result<impl Stream<Item = Event> + Send + use<>, Refused> {
        let seat = Seat::take(&self.shared, &self.metrics, &filter)?;
        let follower = Follower::start(seat, &self.store, filter, after).await;
        Ok(futures_util::stream::unfold(
            follower,
            |mut follower| async move {
                let event = follower.next().await?;
                Some((event, follower))
            },
        ))
    }

    /// Ends all streams, and reads no more.
    pub fn close(&self) {
        self.shared.state().closed = true;
        self.shared.tell();
    }

    /// Its figures, to be registered.
    pub fn metrics(&self) -> &LiveMetrics {
        &self.metrics
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.close();
    }
}

/// What the tail and its followers have in common.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Something in the state is different.
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    followers: usize,
    /// When the last of them left.
    left: Option<Instant>,
    content: ContentFilters,
    ring: Ring,
    /// Whether the ring goes on: what is recorded from now on will be in it.
    goes_on: bool,
    away: Option<Arc<str>>,
    closed: bool,
}

impl Shared {
    /// A panic can't leave it half changed, so a poisoned lock is taken as it is.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.changed.send_replace(());
    }
}

/// A follower's place among the others, given back on drop.
#[derive(Debug)]
struct Seat {
    shared: Arc<Shared>,
    metrics: LiveMetrics,
    /// The number of its filter, if that needs content.
    content: Option<u64>,
}

impl Seat {
    fn take(shared: &Arc<Shared>, metrics: &LiveMetrics, filter: &Filter) -> Result<Self, Refused> {
        let mut state = shared.state();
        if state.closed {
            return Err(Refused::Closed);
        }
        if state.followers >= MOST_FOLLOWERS {
            return Err(Refused::TooMany);
        }
        let content = if filter.needs_content() {
            let number = state.content.join(filter);
            Some(number.ok_or(Refused::TooManyContentFilters)?)
        } else {
            None
        };
        state.followers += 1;
        drop(state);
        metrics.followers.inc();
        shared.tell();
        Ok(Self {
            shared: Arc::clone(shared),
            metrics: metrics.clone(),
            content,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.followers -= 1;
        state.left = Some(Instant::now());
        if let Some(number) = self.content {
            state.content.leave(number);
        }
        drop(state);
        self.metrics.followers.dec();
    }
}
