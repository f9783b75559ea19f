//! Spans on their way from those who end them to the exporter.

use std::{
    mem,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle, Thread},
    time::{Duration, Instant},
};

use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;
use prometheus_client::{metrics::counter::Counter, registry::Registry};

/// Most spans that wait, and most bytes.
const MAX_SPANS: usize = 4096;
const MAX_BYTES: usize = 3 << 20;
/// Most spans in a batch, and most bytes, unless the first one has more.
pub(super) const BATCH_SPANS: usize = 512;
pub(super) const BATCH_BYTES: usize = 512 << 10;

/// What became of spans, of the whole process. There are none where traces aren't exported.
#[derive(Clone, Debug, Default)]
pub struct SpanCounts {
    /// What the receiver took.
    pub exported: Counter,
    /// What there was no room for.
    pub dropped: Counter,
    /// What the receiver took and didn't want.
    pub refused: Counter,
}

#[derive(Debug)]
pub(super) struct Queue {
    spans: SyncSender<Box<SpanData>>,
    /// The exporter's end; nobody else's.
    waiting: Mutex<Receiver<Box<SpanData>>>,
    /// Spans that wait or are being sent.
    count: AtomicUsize,
    /// Of those that wait.
    bytes: AtomicUsize,
    closing: AtomicBool,
    exporter: OnceLock<Thread>,
    pub(super) counts: SpanCounts,
}

impl Queue {
    pub(super) fn new(counts: SpanCounts) -> Self {
        let (spans, waiting) = sync_channel(MAX_SPANS);
        Self {
            spans,
            waiting: Mutex::new(waiting),
            count: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
            exporter: OnceLock::new(),
            counts,
        }
    }

    /// Takes a span, or drops it where there is no room. Nobody waits for that.
    pub(super) fn push(&self, span: SpanData) {
        let size = footprint(&span);
        let fits = self.bytes.fetch_add(size, Relaxed) + size <= MAX_BYTES;
        let waiting = self.count.fetch_add(1, Relaxed) + 1;
        if fits && self.spans.try_send(Box::new(span)).is_ok() {
            // The exporter looks by itself now and then; waking it costs more than a span.
            if waiting == BATCH_SPANS {
                self.wake();
            }
            return;
        }
        self.bytes.fetch_sub(size, Relaxed);
        self.count.fetch_sub(1, Relaxed);
        self.counts.dropped.inc();
    }

    /// Takes what waits, as much as a batch may be.
    pub(super) fn take(&self) -> Vec<SpanData> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < BATCH_SPANS && bytes < BATCH_BYTES {
            let Ok(span) = waiting.try_recv() else {
                break;
            };
            let size = footprint(&span);
            bytes += size;
            self.bytes.fetch_sub(size, Relaxed);
            batch.push(*span);
        }
        batch
    }

    /// Notes that so many of those that were taken don't have to be sent any more.
    pub(super) fn settled(&self, spans: usize) {
        self.count.fetch_sub(spans, Relaxed);
    }

    /// The thread that takes them.
    pub(super) fn taken_by(&self, exporter: Thread) {
        // Set once, by whoever starts it.
        let _ = self.exporter.set(exporter);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Acquire)
    }

    /// Has the exporter take the rest and end, as long as `limit` allows.
    pub(super) fn close(&self, exporter: &JoinHandle<()>, limit: Duration) {
        let deadline = Instant::now() + limit;
        self.closing.store(true, Release);
        self.wake();
        // A receiver that hangs must not keep the process from ending.
        while !exporter.is_finished() && Instant::now() < deadline {
            thread::park_timeout(Duration::from_millis(1));
        }
        let left = self.count.load(Relaxed);
        if left > 0 {
            tracing::warn!(spans = left, "ended before all spans were exported");
        }
    }

    fn wake(&self) {
        if let Some(exporter) = self.exporter.get() {
            exporter.unpark();
        }
    }
}

impl SpanCounts {
    /// Has `registry` show them.
    pub fn register(&self, registry: &mut Registry) {
        for (name, help, counter) in [
            (
                "trace_spans_exported",
                "Spans that the receiver of traces took",
                &self.exported,
            ),
            (
                "trace_spans_dropped",
                "Spans that there was no room for",
                &self.dropped,
            ),
            (
                "trace_spans_refused",
                "Spans that the receiver of traces refused",
                &self.refused,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
    }
}

/// The memory that a span takes, about.
fn footprint(span: &SpanData) -> usize {
    let texts = span
        .attributes
        .iter()
        .map(|attribute| match &attribute.value {
            Value::String(text) => text.as_str().len(),
            _ => 0,
        });
    mem::size_of::<SpanData>()
        + span.name.len()
        + span.attributes.capacity() * mem::size_of::<KeyValue>()
        + texts.sum::<usize>()
}
