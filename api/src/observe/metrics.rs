//! What `/metrics` shows.

use std::fmt::{self, Write as _};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::{
    EncodeLabelSet, EncodeLabelValue, EncodeMetric, LabelValueEncoder, MetricEncoder,
};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{Registry, Unit};
use service::trace::SpanCounts;

use crate::budget::Budget;
use crate::write::fate::{Acknowledged, Fate, WriteError};

/// Every metric of the process; clones share their values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) requests: Family<RequestLabels, Counter>,
    pub(crate) writes: WriteMetrics,
    pub(crate) mongo: MongoMetrics,
    pub(crate) public: PlaceMetrics,
    pub(crate) admin: PlaceMetrics,
    pub(crate) spans: SpanCounts,
}

/// Metrics of the connections to one port.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlaceMetrics {
    connections: Gauge,
    head_bytes: Gauge,
    body_bytes: Gauge,
    /// By what was wanted.
    evicted: [Counter; Evicted::LABELS.len()],
    /// Connections, heads and bodies for which no room could be made.
    pub(crate) refused: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PortLabels {
    port: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EvictionLabels {
    port: &'static str,
    wanted: &'static str,
}

/// What the room was wanted for that a connection had to make.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Evicted {
    Connection,
    Head,
    Body,
}

impl Evicted {
    /// As label values, in the order of the variants.
    const LABELS: [&'static str; 3] = ["connection", "head", "body"];
}

impl PlaceMetrics {
    /// There are so many connections now, and their heads and bodies hold so many bytes.
    pub(crate) fn holds(&self, connections: usize, head_bytes: usize, body_bytes: usize) {
        let set = |gauge: &Gauge, value| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&self.connections, connections);
        set(&self.head_bytes, head_bytes);
        set(&self.body_bytes, body_bytes);
    }

    pub(crate) fn evicted(&self, wanted: Evicted) {
        self.evicted[wanted as usize].inc();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BudgetLabels {
    limit: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    pub(crate) route: Route,
    pub(crate) code: u16,
}

/// A handler. Paths aren't labels: clients choose them, and their number has no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Route {
    Home,
    Hello,
    Other,
}

impl Route {
    /// The path that it is for, if it is for one.
    pub(crate) const fn path(self) -> Option<&'static str> {
        match self {
            Self::Home => Some("/"),
            Self::Hello => Some("/hello"),
            Self::Other => None,
        }
    }
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

#[derive(Clone, Debug)]
pub struct WriteMetrics {
    queue_documents: Gauge,
    queue_bytes: Gauge,
    answers: Family<AnswerLabels, Counter>,
    batch_documents: Histogram,
    queued: Histogram,
    in_flight: Histogram,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    outcome: &'static str,
}

impl AnswerLabels {
    /// Every one, so that a series is there before the first time.
    const ALL: [Self; 7] = [
        Self::new("acknowledged"),
        Self::new("already_stored"),
        Self::new("queue_full"),
        Self::new("timed_out"),
        Self::new("rejected"),
        Self::new("failed"),
        Self::new("shutting_down"),
    ];

    const fn new(outcome: &'static str) -> Self {
        Self { outcome }
    }

    const fn of(fate: &Fate) -> Self {
        let [
            acknowledged,
            already_stored,
            queue_full,
            timed_out,
            rejected,
            failed,
            shutting_down,
        ] = Self::ALL;
        match fate {
            Ok(Acknowledged::Written) => acknowledged,
            Ok(Acknowledged::AlreadyStored) => already_stored,
            Err(WriteError::QueueFull) => queue_full,
            Err(WriteError::TimedOut) => timed_out,
            Err(WriteError::Rejected(_)) => rejected,
            Err(WriteError::Failed(_)) => failed,
            Err(WriteError::ShuttingDown) => shutting_down,
        }
    }
}

impl Default for WriteMetrics {
    fn default() -> Self {
        let answers = Family::default();
        for labels in AnswerLabels::ALL {
            drop(answers.get_or_create(&labels));
        }
        let seconds = || Histogram::new(exponential_buckets(0.000_25, 2.0, 16));
        Self {
            queue_documents: Gauge::default(),
            queue_bytes: Gauge::default(),
            answers,
            batch_documents: Histogram::new(exponential_buckets(1.0, 2.0, 11)),
            queued: seconds(),
            in_flight: seconds(),
        }
    }
}

impl WriteMetrics {
    /// The queue's length and size have changed to these.
    pub(crate) fn queued(&self, documents: usize, bytes: usize) {
        self.queue_documents
            .set(i64::try_from(documents).unwrap_or(i64::MAX));
        self.queue_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// A document left the queue for a batch after `waited`.
    pub(crate) fn dequeued(&self, waited: Duration) {
        self.queued.observe(waited.as_secs_f64());
    }

    /// A request was told what became of its document.
    pub(crate) fn answered(&self, fate: &Fate) {
        self.answers.get_or_create(&AnswerLabels::of(fate)).inc();
    }

    /// A batch was answered, one way or the other.
    pub(crate) fn written(&self, documents: usize, took: Duration) {
        // At most the batch limit, far below 2^32.
        self.batch_documents
            .observe(u32::try_from(documents).unwrap_or(u32::MAX).into());
        self.in_flight.observe(took.as_secs_f64());
    }
}

#[derive(Clone, Debug, Default)]
pub struct MongoMetrics {
    /// 1 while a server that takes writes is known, else 0.
    pub(crate) up: Gauge,
    pub(crate) connections: Gauge,
    pub(crate) checked_out: Gauge,
    pub(crate) opened: Counter<u64, AtomicU64>,
}

impl Metrics {
    /// A registry that shows these metrics, and the limits of `budget`.
    pub(crate) fn registry(&self, budget: &Budget) -> Registry {
        let mut all = service::metrics::registry("api", env!("CARGO_PKG_VERSION"));
        let registry = all.sub_registry_with_prefix("api");
        let limits = Family::<BudgetLabels, Gauge>::default();
        for (limit, value) in budget.limits() {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            limits.get_or_create(&BudgetLabels { limit }).set(value);
        }
        registry.register("budget", "What the API takes at most", limits);
        self.register_ports(registry);
        self.spans.register(registry);
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
        all
    }

    fn register_ports(&self, registry: &mut Registry) {
        let ports = [("public", &self.public), ("admin", &self.admin)];
        let gauges = |of: fn(&PlaceMetrics) -> &Gauge| Each {
            metrics: ports
                .map(|(port, metrics)| (PortLabels { port }, of(metrics).clone()))
                .to_vec(),
        };
        registry.register(
            "connections",
            "Connections of clients",
            gauges(|port| &port.connections),
        );
        registry.register_with_unit(
            "heads",
            "Memory for heads beyond the first buffer of their connections",
            Unit::Bytes,
            gauges(|port| &port.head_bytes),
        );
        registry.register_with_unit(
            "bodies",
            "Memory for bodies that are being read",
            Unit::Bytes,
            gauges(|port| &port.body_bytes),
        );
        let evicted = ports.into_iter().flat_map(|(port, metrics)| {
            let labels = Evicted::LABELS.map(|wanted| EvictionLabels { port, wanted });
            labels.into_iter().zip(metrics.evicted.clone())
        });
        registry.register(
            "evicted",
            "Connections that had to make room, by what it was wanted for",
            Each {
                metrics: evicted.collect(),
            },
        );
        let refused = ports.map(|(port, metrics)| (PortLabels { port }, metrics.refused.clone()));
        registry.register(
            "refused",
            "Connections, heads and bodies for which no room could be made",
            Each {
                metrics: refused.to_vec(),
            },
        );
    }
}

/// Metrics that were there before, as one family: each has its labels.
#[derive(Debug)]
struct Each<L, M> {
    metrics: Vec<(L, M)>,
}

impl<L: EncodeLabelSet, M: EncodeMetric + TypedMetric> EncodeMetric for Each<L, M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (labels, metric) in &self.metrics {
            metric.encode(encoder.encode_family(labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }
}
