//! What is counted, and how it is shown to Prometheus.
//!
//! Each worker counts in memory of its own; the numbers are added up when somebody asks. Label
//! values are array indices until then, so that counting a request is a few relaxed additions.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, text},
    metrics::MetricType,
    registry::Registry,
};

use crate::{
    budget::Budget,
    http1::Method,
    ledger::Evictions,
    log_sink::LogSink,
    open_connections::Connections,
    upstream::{AddressFamily, Upstream, resolver::Outcome},
};

/// Upper bounds of the latency histogram, in seconds.
const LATENCY_BOUNDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Statuses 100 to 599.
const STATUSES: usize = 500;

/// The counters of one worker.
#[derive(Debug)]
pub struct WorkerMetrics {
    /// By method, then status.
    requests: Box<[AtomicU64]>,
    /// By bucket; the last is for what exceeds all bounds.
    latency: [AtomicU64; LATENCY_BOUNDS.len() + 1],
    latency_sum_micros: AtomicU64,
    /// Bytes received from clients.
    pub bytes_in: AtomicU64,
    /// Bytes sent to clients.
    pub bytes_out: AtomicU64,
    /// Attempts beyond the first.
    pub retries: AtomicU64,
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Connections turned away because there were too many.
    pub turned_away: AtomicU64,
}

impl Default for WorkerMetrics {
    fn default() -> Self {
        Self {
            requests: (0..Method::ALL.len() * STATUSES)
                .map(|_| AtomicU64::new(0))
                .collect(),
            latency: Default::default(),
            latency_sum_micros: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
        }
    }
}

impl WorkerMetrics {
    /// Counts one request that is over.
    pub fn request(&self, method: Method, status: u16, took: Duration, bytes: (u64, u64)) {
        let index = method as usize * STATUSES + usize::from(status.clamp(100, 599) - 100);
        if let Some(counter) = self.requests.get(index) {
            counter.fetch_add(1, Relaxed);
        }
        let seconds = took.as_secs_f64();
        let bucket = LATENCY_BOUNDS.partition_point(|bound| *bound < seconds);
        self.latency[bucket].fetch_add(1, Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.latency_sum_micros.fetch_add(micros, Relaxed);
        self.bytes_in.fetch_add(bytes.0, Relaxed);
        self.bytes_out.fetch_add(bytes.1, Relaxed);
    }
}

/// Everything that is shown.
#[derive(Debug)]
pub struct Metrics {
    /// The workers' counters.
    pub workers: Vec<Arc<crate::worker::Worker>>,
    /// The backends.
    pub upstream: Arc<Upstream>,
    /// The client connections.
    pub connections: Arc<Connections>,
    /// What the process may hold.
    pub budget: Budget,
    /// The log.
    pub log: Arc<LogSink>,
}

impl Metrics {
    /// A registry that renders them.
    pub fn into_registry(self) -> Registry {
        let mut registry = Registry::with_prefix("proxy");
        registry.register_collector(Box::new(self));
        registry
    }

    fn sum(&self, of: impl Fn(&WorkerMetrics) -> &AtomicU64) -> u64 {
        self.workers
            .iter()
            .map(|worker| of(&worker.metrics).load(Relaxed))
            .sum()
    }
}

/// Renders a registry in the OpenMetrics text format.
pub fn render(registry: &Registry) -> Result<String, fmt::Error> {
    let mut out = String::new();
    text::encode(&mut out, registry)?;
    Ok(out)
}

/// A metric family with the values of its label sets.
struct Family<'e>(MetricEncoder<'e>);

impl Family<'_> {
    fn counter(&mut self, labels: &impl EncodeLabelSet, value: u64) -> fmt::Result {
        self.0
            .encode_family(labels)?
            .encode_counter::<[(&str, &str); 0], _, u64>(&value, None)
    }

    fn gauge(&mut self, labels: &impl EncodeLabelSet, value: i64) -> fmt::Result {
        self.0.encode_family(labels)?.encode_gauge(&value)
    }
}

const NO_LABELS: [(&str, &str); 0] = [];

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_requests(&mut encoder)?;
        self.encode_connections(&mut encoder)?;
        self.encode_budget(&mut encoder)?;
        self.encode_backends(&mut encoder)?;
        self.encode_resolutions(&mut encoder)?;
        let mut build = open(
            &mut encoder,
            "build",
            "Build information",
            MetricType::Gauge,
        )?;
        build.gauge(&[("version", env!("CARGO_PKG_VERSION"))], 1)
    }
}

fn open<'e>(
    encoder: &'e mut DescriptorEncoder<'_>,
    name: &'e str,
    help: &'e str,
    kind: MetricType,
) -> Result<Family<'e>, fmt::Error> {
    encoder
        .encode_descriptor(name, help, None, kind)
        .map(Family)
}

fn count(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Metrics {
    fn encode_requests(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut requests = open(
            encoder,
            "requests",
            "Requests answered",
            MetricType::Counter,
        )?;
        for (row, method) in Method::ALL.into_iter().enumerate() {
            for status in 0..STATUSES {
                let total = self.sum(|worker| &worker.requests[row * STATUSES + status]);
                if total > 0 {
                    let code = (status + 100).to_string();
                    let class = format!("{}xx", status / 100 + 1);
                    let labels = [
                        ("method", method.name()),
                        ("code", &code),
                        ("class", &class),
                    ];
                    requests.counter(&labels, total)?;
                }
            }
        }
        let buckets: Vec<(f64, u64)> = LATENCY_BOUNDS
            .into_iter()
            .chain([f64::INFINITY])
            .enumerate()
            .map(|(index, bound)| (bound, self.sum(|worker| &worker.latency[index])))
            .collect();
        let total = buckets.iter().map(|(_, count)| count).sum();
        #[expect(
            clippy::cast_precision_loss,
            reason = "Prometheus sums are floating point"
        )]
        let sum = self.sum(|worker| &worker.latency_sum_micros) as f64 / 1e6;
        open(
            encoder,
            "request_duration_seconds",
            "Time from a request's head to the end of its response",
            MetricType::Histogram,
        )?
        .0
        .encode_histogram::<[(&str, &str); 0]>(sum, total, &buckets, None)?;
        for (name, help, value) in [
            (
                "received_bytes",
                "Bytes received from clients",
                self.sum(|w| &w.bytes_in),
            ),
            (
                "sent_bytes",
                "Bytes sent to clients",
                self.sum(|w| &w.bytes_out),
            ),
            (
                "retries",
                "Attempts beyond a request's first",
                self.sum(|w| &w.retries),
            ),
            (
                "access_log_dropped",
                "Log lines dropped, output too slow",
                self.log.dropped(),
            ),
        ] {
            open(encoder, name, help, MetricType::Counter)?.counter(&NO_LABELS, value)?;
        }
        Ok(())
    }

    fn encode_connections(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let accepted = self.sum(|worker| &worker.accepted);
        let turned_away = self.sum(|worker| &worker.turned_away);
        let mut total = open(
            encoder,
            "client_connections",
            "Connections accepted",
            MetricType::Counter,
        )?;
        total.counter(&[("outcome", "served")], accepted)?;
        total.counter(&[("outcome", "turned_away")], turned_away)?;
        let mut current = open(
            encoder,
            "client_connections_open",
            "Client connections",
            MetricType::Gauge,
        )?;
        current.gauge(&NO_LABELS, count(self.connections.open()))
    }

    /// What is held, of how much: [`Budget`], and what became of clients beyond it.
    fn encode_budget(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let whole = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
        let held = self.workers.iter().map(|worker| worker.ledger.held()).sum();
        let waiting = self.workers.iter().map(|worker| worker.line.len()).sum();
        for (name, help, value) in [
            (
                "memory_limit_bytes",
                "Memory granted, 0 where unknown",
                whole(self.budget.memory.unwrap_or_default()),
            ),
            (
                "open_files_limit",
                "Files and sockets granted",
                whole(self.budget.files),
            ),
            (
                "client_connections_limit",
                "Most client connections",
                count(self.budget.connections),
            ),
            (
                "buffers_limit_bytes",
                "Most memory for heads and bodies",
                count(self.budget.buffers),
            ),
            ("buffers_bytes", "Memory for heads and bodies", count(held)),
            (
                "requests_waiting",
                "Requests in line for a backend",
                count(waiting),
            ),
        ] {
            open(encoder, name, help, MetricType::Gauge)?.gauge(&NO_LABELS, value)?;
        }
        let mut evictions = open(
            encoder,
            "evictions",
            "Clients that had to make room for others",
            MetricType::Counter,
        )?;
        let sum = |of: fn(&Evictions) -> &AtomicU64| -> u64 {
            let workers = self.workers.iter();
            workers
                .map(|worker| of(&worker.ledger.evictions).load(Relaxed))
                .sum()
        };
        evictions.counter(&[("for", "connections")], sum(|counts| &counts.connections))?;
        evictions.counter(&[("for", "memory")], sum(|counts| &counts.memory))?;
        evictions.counter(&[("for", "upstream")], sum(|counts| &counts.upstream))
    }

    fn encode_backends(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let backends = self.upstream.backends();
        let mut family = |name, help, kind, value: &dyn Fn(&crate::upstream::Backend) -> i64| {
            let mut family = open(encoder, name, help, kind)?;
            for backend in backends.iter() {
                let labels = [("backend", backend.label.as_str())];
                let value = value(backend);
                match kind {
                    MetricType::Counter => {
                        family.counter(&labels, u64::try_from(value).unwrap_or_default())?;
                    }
                    _ => family.gauge(&labels, value)?,
                }
            }
            Ok::<(), fmt::Error>(())
        };
        let whole = |value: &AtomicU64| i64::try_from(value.load(Relaxed)).unwrap_or(i64::MAX);
        family(
            "backend_up",
            "Whether a backend is in",
            MetricType::Gauge,
            &|backend| i64::from(!backend.is_ejected()),
        )?;
        family(
            "backend_outstanding",
            "Requests being answered",
            MetricType::Gauge,
            &|backend| i64::from(backend.outstanding()),
        )?;
        family(
            "backend_idle_connections",
            "Idle connections",
            MetricType::Gauge,
            &|backend| count(backend.idle_connections()),
        )?;
        family(
            "backend_connects",
            "Connections made",
            MetricType::Counter,
            &|backend| whole(&backend.counters.connects),
        )?;
        family(
            "backend_connect_failures",
            "Failed connects",
            MetricType::Counter,
            &|backend| whole(&backend.counters.connect_failures),
        )?;
        family(
            "backend_ejections",
            "Times taken out",
            MetricType::Counter,
            &|backend| whole(&backend.counters.ejections),
        )
    }

    fn encode_resolutions(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut resolutions = open(
            encoder,
            "resolutions",
            "Look-ups of the upstream's name",
            MetricType::Counter,
        )?;
        for (family, outcome) in AddressFamily::ALL
            .into_iter()
            .flat_map(|family| Outcome::ALL.map(|outcome| (family, outcome)))
        {
            let labels = [("family", family.label()), ("outcome", outcome.label())];
            resolutions.counter(&labels, self.upstream.resolutions.count(family, outcome))?;
        }
        Ok(())
    }
}
