//! A worker: one thread with its own listener, event loop, buffers and upstream connections.
//!
//! What workers share is read-only or counted in atomics, so that no request ever waits for, or
//! wakes, another thread.

pub mod budget;
pub mod counters;
pub mod drain;
pub mod histogram;
pub mod ledger;
pub mod open_connections;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use self::{counters::WorkerMetrics, drain::Drain, ledger::Ledger, open_connections::Connections};
use crate::{config::Settings, upstream::Upstream};

/// Most sets of buffers that a worker keeps for the next requests.
const MAX_SPARE: usize = 64;
/// Buffers larger than this are cut down to it before they are kept.
const MAX_SPARE_CAPACITY: usize = 16 * 1024;

/// How often clients that stall at a backend are looked for while others wait for it.
const RECLAIM_INTERVAL: Duration = Duration::from_millis(100);

/// What the connections of one worker have in common.
#[derive(Debug)]
pub struct Worker {
    /// Its number, from 0.
    pub index: usize,
    /// The settings.
    pub settings: Arc<Settings>,
    /// Where requests go.
    pub upstream: Arc<Upstream>,
    /// What it counts.
    pub metrics: WorkerMetrics,
    /// The count of client connections, of all workers.
    pub connections: Arc<Connections>,
    /// What its connections hold.
    pub ledger: Arc<Ledger>,
    /// Those that wait for a backend.
    pub line: Line,
    /// Held by each client that is being told that there are too many.
    pub turned_away: Arc<()>,
    /// Tells when to stop.
    pub drain: Arc<Drain>,
    spare: Mutex<Vec<Buffers>>,
    date: Mutex<CachedDate>,
}

impl Worker {
    /// A worker with nothing to do yet.
    pub fn new(
        index: usize,
        settings: Arc<Settings>,
        upstream: Arc<Upstream>,
        connections: Arc<Connections>,
        ledger: Arc<Ledger>,
        drain: Arc<Drain>,
    ) -> Self {
        Self {
            index,
            settings,
            upstream,
            metrics: WorkerMetrics::default(),
            connections,
            ledger,
            line: Line::default(),
            turned_away: Arc::default(),
            drain,
            spare: Mutex::default(),
            date: Mutex::default(),
        }
    }

    /// Buffers for one exchange.
    pub fn take_buffers(&self) -> Buffers {
        lock(&self.spare).pop().unwrap_or_default()
    }

    /// Gives buffers back.
    pub fn return_buffers(&self, mut buffers: Buffers) {
        let mut spare = lock(&self.spare);
        if spare.len() < MAX_SPARE {
            for buffer in buffers.all() {
                buffer.clear();
                buffer.shrink_to(MAX_SPARE_CAPACITY);
            }
            spare.push(buffers);
        }
    }

    /// Has clients that stall at a backend make room as long as others wait for it.
    pub async fn keep_line_moving(self: Arc<Self>) {
        loop {
            self.line.joined.notified().await;
            while self.line.len() > 0 {
                self.ledger.reclaim_upstream();
                sleep(RECLAIM_INTERVAL).await;
            }
        }
    }

    /// The value for a `Date` field.
    pub fn date(&self) -> DateText {
        lock(&self.date).now()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Requests that wait for a backend, in one line for all.
#[derive(Debug, Default)]
pub struct Line {
    waiting: AtomicUsize,
    joined: Notify,
}

/// A request's time in the line, until dropped.
#[derive(Debug)]
pub struct Waiting<'l>(&'l Line);

impl Line {
    /// Counts one more.
    pub fn join(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Relaxed);
        self.joined.notify_one();
        Waiting(self)
    }

    /// How many there are.
    #[expect(clippy::len_without_is_empty, reason = "a number for the metrics")]
    pub fn len(&self) -> usize {
        self.waiting.load(Relaxed)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

/// The memory of one exchange. A connection holds it only from the first byte of a request to
/// the last of its response.
#[derive(Debug, Default)]
pub struct Buffers {
    /// What came from the client: the request head, then body bytes not yet taken over.
    pub client_in: Vec<u8>,
    /// What goes to the upstream.
    pub to_upstream: Vec<u8>,
    /// What came from the upstream.
    pub upstream_in: Vec<u8>,
    /// What goes to the client.
    pub to_client: Vec<u8>,
}

impl Buffers {
    /// The bytes that they take.
    pub const fn footprint(&self) -> usize {
        self.client_in.capacity()
            + self.to_upstream.capacity()
            + self.upstream_in.capacity()
            + self.to_client.capacity()
    }

    /// Each of them.
    pub fn all(&mut self) -> [&mut Vec<u8>; 4] {
        [
            &mut self.client_in,
            &mut self.to_upstream,
            &mut self.upstream_in,
            &mut self.to_client,
        ]
    }
}

/// A date in the form of RFC 9110 §5.6.7, which always has this length.
#[derive(Debug, Default, Clone, Copy)]
pub struct DateText([u8; 29]);

impl DateText {
    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The current date, rendered twice a second at most.
#[derive(Debug, Default)]
struct CachedDate {
    text: DateText,
    rendered: Option<Instant>,
}

impl CachedDate {
    fn now(&mut self) -> DateText {
        let now = Instant::now();
        if self
            .rendered
            .is_none_or(|then| now.duration_since(then) >= Duration::from_millis(500))
        {
            let text = httpdate::fmt_http_date(SystemTime::now());
            if let Ok(bytes) = text.as_bytes().try_into() {
                self.text = DateText(bytes);
            }
            self.rendered = Some(now);
        }
        self.text
    }
}
