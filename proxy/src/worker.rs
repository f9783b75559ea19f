//! A worker: one thread with its own listener, event loop, buffers and upstream connections.
//!
//! What workers share is read-only or counted in atomics, so that no request ever waits for, or
//! wakes, another thread.

pub(crate) mod budget;
pub(crate) mod counters;
pub(crate) mod drain;
pub(crate) mod histogram;
pub(crate) mod ledger;
pub(crate) mod open_connections;
pub(crate) mod places;

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use service::trace::Tracer;
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use self::{
    counters::WorkerMetrics,
    drain::Drain,
    ledger::Ledger,
    open_connections::{Connections, Counted},
    places::Places,
};
use crate::{settings::Settings, upstream::Upstream};

/// Most sets of buffers that a worker keeps for the next requests.
const MAX_SPARE: usize = 64;
/// Buffers larger than this are cut down to it before they are kept.
const MAX_SPARE_CAPACITY: usize = 16 * 1024;

/// Most handshakes that wait for their turn: those at the end have to within a good part of a second.
const MAX_HANDSHAKES: usize = 256;

/// How often clients that stall at a backend are looked for while others wait for it.
const RECLAIM_INTERVAL: Duration = Duration::from_millis(100);

/// What the connections of one worker have in common.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Its number, from 0.
    pub(crate) index: usize,
    pub(crate) settings: Arc<Settings>,
    /// Where requests go.
    pub(crate) upstream: Arc<Upstream>,
    /// What it counts.
    pub(crate) metrics: WorkerMetrics,
    /// The count of client connections, of all workers.
    pub(crate) connections: Arc<Connections>,
    /// What its connections hold.
    pub(crate) ledger: Arc<Ledger>,
    /// Those that wait for a backend.
    pub(crate) line: Line,
    /// The one place of the handshake that goes on at this moment.
    pub(crate) handshakes: Arc<Places>,
    /// Held by each client that is being told that there are too many.
    pub(crate) turned_away: Arc<()>,
    /// Tells when to stop.
    pub(crate) drain: Arc<Drain>,
    /// Where spans go, if traces are exported.
    pub(crate) tracer: Option<Arc<Tracer>>,
    spare: Mutex<Vec<Buffers>>,
    date: Mutex<CachedDate>,
}

impl Worker {
    /// A worker with nothing to do yet.
    pub(crate) fn new(
        index: usize,
        settings: Arc<Settings>,
        upstream: Arc<Upstream>,
        connections: Arc<Connections>,
        ledger: Arc<Ledger>,
        drain: Arc<Drain>,
        tracer: Option<Arc<Tracer>>,
    ) -> Self {
        Self {
            index,
            settings,
            upstream,
            metrics: WorkerMetrics::default(),
            connections,
            ledger,
            line: Line::default(),
            handshakes: Places::with_line(1, MAX_HANDSHAKES),
            turned_away: Arc::default(),
            drain,
            tracer,
            spare: Mutex::default(),
            date: Mutex::default(),
        }
    }

    /// Counts a connection, from the first time that its task runs: until then one that makes room for
    /// it may be there as well.
    pub(crate) fn accepted(&self) -> Counted {
        self.metrics.accepted.fetch_add(1, Relaxed);
        self.connections.count()
    }

    pub(crate) fn take_buffers(&self) -> Buffers {
        lock(&self.spare).pop().unwrap_or_default()
    }

    pub(crate) fn return_buffers(&self, mut buffers: Buffers) {
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
    pub(crate) async fn keep_line_moving(self: Arc<Self>) {
        loop {
            self.line.joined.notified().await;
            while self.line.len() > 0 {
                self.ledger.reclaim_upstream();
                sleep(RECLAIM_INTERVAL).await;
            }
        }
    }

    /// The value for a `Date` field.
    pub(crate) fn date(&self) -> DateText {
        lock(&self.date).now()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Requests that wait for a backend, in one line for all.
#[derive(Debug, Default)]
pub(crate) struct Line {
    waiting: AtomicUsize,
    joined: Notify,
}

/// A request's time in the line, until dropped.
#[derive(Debug)]
pub(crate) struct Waiting<'l>(&'l Line);

impl Line {
    pub(crate) fn join(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Relaxed);
        self.joined.notify_one();
        Waiting(self)
    }

    pub(crate) fn len(&self) -> usize {
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
pub(crate) struct Buffers {
    /// The head of the request, as it came.
    pub(crate) head: Vec<u8>,
    /// For what the client sends.
    pub(crate) up: Lane,
    /// For what it is sent.
    pub(crate) down: Lane,
}

/// The memory of one direction.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    /// What comes in.
    pub(crate) input: Vec<u8>,
    /// What goes out.
    pub(crate) output: Vec<u8>,
}

impl Buffers {
    /// Takes the head, the first `head_len` bytes of what has come from the client, out of it.
    pub(crate) fn split_head(&mut self, head_len: usize) {
        self.head.clear();
        mem::swap(&mut self.head, &mut self.up.input);
        self.up.input.extend_from_slice(&self.head[head_len..]);
        self.head.truncate(head_len);
    }

    /// The bytes that they take.
    pub(crate) const fn footprint(&self) -> usize {
        self.head.capacity()
            + self.up.input.capacity()
            + self.up.output.capacity()
            + self.down.input.capacity()
            + self.down.output.capacity()
    }

    pub(crate) fn all(&mut self) -> [&mut Vec<u8>; 5] {
        [
            &mut self.head,
            &mut self.up.input,
            &mut self.up.output,
            &mut self.down.input,
            &mut self.down.output,
        ]
    }
}

/// A date in the form of RFC 9110 §5.6.7, which always has this length.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct DateText([u8; 29]);

impl DateText {
    pub(crate) fn as_bytes(&self) -> &[u8] {
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
