//! A worker: one thread with its own listener, event loop, buffers and upstream connections.
//!
//! What workers share is read-only or counted in atomics, so that no request ever waits for, or
//! wakes, another thread.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use crate::{
    config::Settings, drain::Drain, limits::Connections, metrics::WorkerMetrics, upstream::Upstream,
};

/// Most sets of buffers that a worker keeps for the next requests.
const MAX_SPARE: usize = 64;
/// Buffers larger than this are cut down to it before they are kept.
const MAX_SPARE_CAPACITY: usize = 16 * 1024;

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
        drain: Arc<Drain>,
    ) -> Self {
        Self {
            index,
            settings,
            upstream,
            metrics: WorkerMetrics::default(),
            connections,
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

    /// The value for a `Date` field.
    pub fn date(&self) -> DateText {
        lock(&self.date).now()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn all(&mut self) -> [&mut Vec<u8>; 4] {
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
