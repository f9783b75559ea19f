//! What `/metrics` shows, in the OpenMetrics text format.

use std::fmt::{self, Write as _};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::budget::Budget;
use crate::coalescer::{Acknowledged, Fate, WriteError};

/// Every metric of the process; clones share their values.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Requests answered, by route and status.
    pub requests: Family<RequestLabels, Counter>,
    /// The write path.
    pub writes: WriteMetrics,
    /// The connection to MongoDB.
    pub mongo: MongoMetrics,
    /// The connections to the public port.
    pub public: PlaceMetrics,
    /// The connections to the admin port.
    pub admin: PlaceMetrics,
}

/// Metrics of a port's connections.
#[derive(Clone, Debug, Default)]
pub struct PlaceMetrics {
    connections: Gauge,
    head_bytes: Gauge,
    body_bytes: Gauge,
    evicted: Family<EvictionLabels, Counter>,
    /// Connections, heads and bodies for which no room could be made.
    pub refused: Counter,
}

/// Labels of `api_evicted_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EvictionLabels {
    wanted: &'static str,
}

/// What the room was wanted for that a connection had to make.
#[derive(Clone, Copy, Debug)]
pub enum Evicted {
    /// A new connection.
    Connection,
    /// A head.
    Head,
    /// A body.
    Body,
}

impl PlaceMetrics {
    /// There are so many connections now, and their heads and bodies hold so many bytes.
    pub fn holds(&self, connections: usize, head_bytes: usize, body_bytes: usize) {
        let set = |gauge: &Gauge, value| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&self.connections, connections);
        set(&self.head_bytes, head_bytes);
        set(&self.body_bytes, body_bytes);
    }

    /// A connection had to make room.
    pub fn evicted(&self, wanted: Evicted) {
        let wanted = match wanted {
            Evicted::Connection => "connection",
            Evicted::Head => "head",
            Evicted::Body => "body",
        };
        self.evicted.get_or_create(&EvictionLabels { wanted }).inc();
    }

    fn register(&self, registry: &mut Registry, port: &'static str) {
        let registry = registry.sub_registry_with_label(("port".into(), port.into()));
        registry.register(
            "connections",
            "Connections of clients",
            self.connections.clone(),
        );
        registry.register_with_unit(
            "heads",
            "Memory for heads beyond the first buffer of their connections",
            Unit::Bytes,
            self.head_bytes.clone(),
        );
        registry.register_with_unit(
            "bodies",
            "Memory for bodies that are being read",
            Unit::Bytes,
            self.body_bytes.clone(),
        );
        registry.register(
            "evicted",
            "Connections that had to make room, by what it was wanted for",
            self.evicted.clone(),
        );
        registry.register(
            "refused",
            "Connections, heads and bodies for which no room could be made",
            self.refused.clone(),
        );
    }
}

/// Labels of `api_budget`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BudgetLabels {
    limit: &'static str,
}

/// Labels of `api_http_requests_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// Which handler answered.
    pub route: Route,
    /// Status code of the answer.
    pub status: u16,
}

/// A handler. Paths aren't labels: clients choose them, and their number has no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// `/`
    Home,
    /// `/hello`
    Hello,
    /// Every other path.
    Other,
}

impl EncodeLabelValue for Route {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(match self {
            Self::Home => "home",
            Self::Hello => "hello",
            Self::Other => "other",
        })
    }
}

/// Metrics of the coalescer.
#[derive(Clone, Debug)]
pub struct WriteMetrics {
    queue_documents: Gauge,
    queue_bytes: Gauge,
    answers: Family<AnswerLabels, Counter>,
    batch_documents: Histogram,
    queued: Histogram,
    in_flight: Histogram,
}

/// Labels of `api_writes_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    outcome: &'static str,
}

impl Default for WriteMetrics {
    fn default() -> Self {
        let seconds = || Histogram::new(exponential_buckets(0.000_25, 2.0, 16));
        Self {
            queue_documents: Gauge::default(),
            queue_bytes: Gauge::default(),
            answers: Family::default(),
            batch_documents: Histogram::new(exponential_buckets(1.0, 2.0, 11)),
            queued: seconds(),
            in_flight: seconds(),
        }
    }
}

impl WriteMetrics {
    /// The queue's length and size have changed to these.
    pub fn queued(&self, documents: usize, bytes: usize) {
        self.queue_documents
            .set(i64::try_from(documents).unwrap_or(i64::MAX));
        self.queue_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// A document left the queue for a batch after `waited`.
    pub fn dequeued(&self, waited: Duration) {
        self.queued.observe(waited.as_secs_f64());
    }

    /// A request was told what became of its document.
    pub fn answered(&self, fate: &Fate) {
        let outcome = match fate {
            Ok(Acknowledged::Written) => "acknowledged",
            Ok(Acknowledged::AlreadyStored) => "already_stored",
            Err(WriteError::QueueFull) => "queue_full",
            Err(WriteError::TimedOut) => "timed_out",
            Err(WriteError::Rejected(_)) => "rejected",
            Err(WriteError::Failed(_)) => "failed",
            Err(WriteError::ShuttingDown) => "shutting_down",
        };
        self.answers.get_or_create(&AnswerLabels { outcome }).inc();
    }

    /// A batch was answered, one way or the other.
    pub fn written(&self, documents: usize, took: Duration) {
        // At most the batch limit, far below 2^32.
        self.batch_documents
            .observe(u32::try_from(documents).unwrap_or(u32::MAX).into());
        self.in_flight.observe(took.as_secs_f64());
    }
}

/// Metrics of the MongoDB driver.
#[derive(Clone, Debug, Default)]
pub struct MongoMetrics {
    /// 1 while a server that takes writes is known, else 0.
    pub up: Gauge,
    /// Connections in the pool, busy or idle.
    pub connections: Gauge,
    /// Connections in use.
    pub checked_out: Gauge,
    /// Connections ever opened.
    pub opened: Counter<u64, AtomicU64>,
}

impl Metrics {
    /// A registry that shows these metrics, and the limits of `budget`.
    pub fn registry(&self, budget: &Budget) -> Registry {
        let mut registry = Registry::with_prefix("api");
        let limits = Family::<BudgetLabels, Gauge>::default();
        for (limit, value) in budget.limits() {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            limits.get_or_create(&BudgetLabels { limit }).set(value);
        }
        registry.register("budget", "What the API takes at most", limits);
        self.public.register(&mut registry, "public");
        self.admin.register(&mut registry, "admin");
        registry.register(
            "http_requests",
            "Requests answered, by route and status",
            self.requests.clone(),
        );
        let writes = &self.writes;
        registry.register(
            "write_queue_documents",
            "Documents waiting to be written",
            writes.queue_documents.clone(),
        );
        registry.register_with_unit(
            "write_queue",
            "Size of the documents waiting to be written",
            Unit::Bytes,
            writes.queue_bytes.clone(),
        );
        registry.register(
            "writes",
            "Documents by what their requests were told of them",
            writes.answers.clone(),
        );
        registry.register(
            "write_batch_documents",
            "Documents written together",
            writes.batch_documents.clone(),
        );
        registry.register_with_unit(
            "write_queued",
            "Time from a request's arrival in the queue to the start of its write",
            Unit::Seconds,
            writes.queued.clone(),
        );
        registry.register_with_unit(
            "write_in_flight",
            "Time from the start of a write to MongoDB's acknowledgement",
            Unit::Seconds,
            writes.in_flight.clone(),
        );
        let mongo = &self.mongo;
        registry.register(
            "mongo_up",
            "Whether a server that takes writes is known",
            mongo.up.clone(),
        );
        registry.register(
            "mongo_pool_connections",
            "Connections to MongoDB, busy or idle",
            mongo.connections.clone(),
        );
        registry.register(
            "mongo_pool_checked_out",
            "Connections to MongoDB in use",
            mongo.checked_out.clone(),
        );
        registry.register(
            "mongo_pool_opened",
            "Connections to MongoDB opened since the start",
            mongo.opened.clone(),
        );
        registry
    }
}
