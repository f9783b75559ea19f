//! What is counted, and how it is shown to Prometheus: the numbers of all workers, added up when
//! somebody asks.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::UNIX_EPOCH,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder},
    metrics::MetricType,
    registry::Registry,
};

use service::trace::SpanCounts;

use super::log_sink::LogSink;
use crate::{
    edge::acme::progress::{self, Progress},
    edge::{Edge, certificates::PairState, handshake::Refusal, session::Version},
    http1::Method,
    upstream::{Backend, Upstream, name_service::AddressFamily, resolutions::Outcome},
    worker::{
        Worker,
        budget::Budget,
        counters::{Http2Metrics, STATUSES, WorkerMetrics},
        histogram::{Histogram, Total},
        ledger::Evictions,
        open_connections::Connections,
    },
};

/// Everything that is shown.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) workers: Vec<Arc<Worker>>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) budget: Budget,
    pub(crate) acme: Arc<Progress>,
    pub(crate) log: Arc<LogSink>,
    /// What TLS needs, where it is spoken.
    pub(crate) edge: Option<Arc<Edge>>,
    pub(crate) spans: SpanCounts,
}

impl Metrics {
    /// A registry that renders them.
    pub(crate) fn into_registry(self) -> Registry {
        let mut registry = service::metrics::registry("proxy", env!("CARGO_PKG_VERSION"));
        let proxy = registry.sub_registry_with_prefix("proxy");
        self.spans.register(proxy);
        proxy.register_collector(Box::new(self));
        registry
    }

    fn sum(&self, of: impl Fn(&WorkerMetrics) -> &AtomicU64) -> u64 {
        self.workers
            .iter()
            .map(|worker| of(&worker.metrics).load(Relaxed))
            .sum()
    }
}

/// A metric family with the values of its label sets, or with one.
struct Family<'e>(MetricEncoder<'e>);

type NoExemplar = [(&'static str, &'static str); 0];

impl Family<'_> {
    fn counter(&mut self, labels: &impl EncodeLabelSet, value: u64) -> fmt::Result {
        self.0
            .encode_family(labels)?
            .encode_counter::<NoExemplar, _, u64>(&value, None)
    }

    fn single_counter(&mut self, value: u64) -> fmt::Result {
        self.0.encode_counter::<NoExemplar, _, u64>(&value, None)
    }

    fn single_gauge(&mut self, value: i64) -> fmt::Result {
        self.0.encode_gauge(&value)
    }

    fn gauge(&mut self, labels: &impl EncodeLabelSet, value: i64) -> fmt::Result {
        self.0.encode_family(labels)?.encode_gauge(&value)
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_requests(&mut encoder)?;
        self.encode_connections(&mut encoder)?;
        self.encode_http2(&mut encoder)?;
        self.encode_tls(&mut encoder)?;
        self.encode_budget(&mut encoder)?;
        self.encode_backends(&mut encoder)?;
        self.encode_upstream(&mut encoder)?;
        self.encode_resolutions(&mut encoder)?;
        self.encode_acme(&mut encoder)
    }
}

fn open<'e>(
    encoder: &'e mut DescriptorEncoder<'_>,
    name: &'e str,
    help: &'e str,
    kind: MetricType,
) -> Result<Family<'e>, fmt::Error> {
    encoder
        .encode_descriptor(name, &format!("{help}."), None, kind)
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
        self.encode_durations(
            encoder,
            "request_duration_seconds",
            "Time from a request's head to the end of its response",
            |worker| &worker.latency,
        )?;
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
            open(encoder, name, help, MetricType::Counter)?.single_counter(value)?;
        }
        Ok(())
    }

    fn encode_durations(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &'static str,
        help: &'static str,
        of: impl Fn(&WorkerMetrics) -> &Histogram + Copy,
    ) -> fmt::Result {
        let Total {
            buckets,
            count,
            sum,
        } = Histogram::total(self.workers.iter().map(|worker| of(&worker.metrics)));
        open(encoder, name, help, MetricType::Histogram)?
            .0
            .encode_histogram::<NoExemplar>(sum, count, &buckets, None)
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
        current.single_gauge(count(self.connections.open()))
    }

    fn encode_http2(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let sum = |of: fn(&Http2Metrics) -> &AtomicU64| self.sum(|worker| of(&worker.http2));
        // The end first: what has ended has begun.
        let ended = sum(|counts| &counts.streams_ended);
        let streams = sum(|counts| &counts.streams);
        open(
            encoder,
            "http2_streams",
            "Requests that came as streams of HTTP/2",
            MetricType::Counter,
        )?
        .single_counter(streams)?;
        open(
            encoder,
            "http2_streams_open",
            "Streams that are served",
            MetricType::Gauge,
        )?
        .single_gauge(i64::try_from(streams.saturating_sub(ended)).unwrap_or(i64::MAX))?;
        for (name, help, received, sent) in [
            (
                "http2_resets",
                "Streams that were reset",
                sum(|counts| &counts.resets_received),
                sum(|counts| &counts.resets_sent),
            ),
            (
                "http2_goaways",
                "Sessions that were told to end",
                sum(|counts| &counts.goaways_received),
                sum(|counts| &counts.goaways_sent),
            ),
        ] {
            let mut family = open(encoder, name, help, MetricType::Counter)?;
            family.counter(&[("by", "client")], received)?;
            family.counter(&[("by", "proxy")], sent)?;
        }
        Ok(())
    }

    /// Handshakes, and the certificates that they use.
    fn encode_tls(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut done = open(
            encoder,
            "tls_handshakes",
            "TLS handshakes that succeeded",
            MetricType::Counter,
        )?;
        for (version, resumed) in Version::ALL
            .into_iter()
            .flat_map(|version| [(version, false), (version, true)])
        {
            let total = self.sum(|worker| worker.handshakes.done_as(version, resumed));
            let resumed = if resumed { "yes" } else { "no" };
            done.counter(&[("version", version.name()), ("resumed", resumed)], total)?;
        }
        let mut refused = open(
            encoder,
            "tls_handshake_failures",
            "TLS handshakes that failed",
            MetricType::Counter,
        )?;
        for refusal in Refusal::ALL {
            let total = self.sum(|worker| worker.handshakes.refused_for(refusal));
            refused.counter(&[("reason", refusal.label())], total)?;
        }
        let pairs = self.edge.as_ref().map(|edge| edge.certificates.pairs());
        let pairs = pairs.as_deref().unwrap_or_default();
        let mut family = |name, help, value: &dyn Fn(&PairState) -> Option<i64>| {
            let mut family = open(encoder, name, help, MetricType::Gauge)?;
            for pair in pairs {
                let (directory, name) = (pair.directory.as_str(), pair.name.as_str());
                if let Some(value) = value(pair) {
                    family.gauge(&[("directory", directory), ("name", name)], value)?;
                }
            }
            Ok::<(), fmt::Error>(())
        };
        family(
            "tls_certificate_usable",
            "Whether a certificate's files, as they are, are used: 0 where they can't be",
            &|pair| Some(i64::from(pair.usable)),
        )?;
        family(
            "tls_certificate_not_after_seconds",
            "When the certificate that clients get ends, since the epoch",
            &|pair| pair.not_after,
        )
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
            open(encoder, name, help, MetricType::Gauge)?.single_gauge(value)?;
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

    /// The backends there are, by address. A backend that is gone has no series, so nothing is
    /// summed up here: what has to outlive it is told of the upstream.
    fn encode_backends(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let backends = self.upstream.backends();
        let mut family = |name, help, value: &dyn Fn(&Backend) -> i64| {
            let mut family = open(encoder, name, help, MetricType::Gauge)?;
            for backend in backends.iter() {
                family.gauge(&[("backend", backend.label.as_str())], value(backend))?;
            }
            Ok::<(), fmt::Error>(())
        };
        family(
            "backend_up",
            "Whether a backend gets requests: 0 after a failure to connect",
            &|backend| i64::from(!backend.is_ejected()),
        )?;
        family(
            "backend_outstanding_requests",
            "Requests that a backend is answering",
            &|backend| i64::from(backend.outstanding()),
        )?;
        family(
            "backend_idle_connections",
            "Idle connections to a backend",
            &|backend| count(backend.idle_connections()),
        )?;
        family(
            "backend_far",
            "Whether another backend is clearly nearer, and gets a request first when both are as idle",
            &|backend| i64::from(backend.is_far()),
        )
    }

    fn encode_upstream(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let counters = &self.upstream.counters;
        for (name, help, value) in [
            (
                "upstream_connects",
                "Connections made to backends",
                &counters.connects,
            ),
            (
                "upstream_connect_failures",
                "Connections to backends that could not be made",
                &counters.connect_failures,
            ),
            (
                "upstream_ejections",
                "Times that a backend was taken out",
                &counters.ejections,
            ),
        ] {
            let mut family = open(encoder, name, help, MetricType::Counter)?;
            family.single_counter(value.load(Relaxed))?;
        }
        self.encode_durations(
            encoder,
            "upstream_connect_duration_seconds",
            "Time that connecting to a backend took",
            |worker| &worker.upstream_connect,
        )?;
        self.encode_durations(
            encoder,
            "upstream_first_byte_duration_seconds",
            "Time from sending a request to a backend to the head of its response",
            |worker| &worker.upstream_first_byte,
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

    fn encode_acme(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut orders = open(
            encoder,
            "acme_orders",
            "Attempts to get a certificate, by what came of them",
            MetricType::Counter,
        )?;
        for outcome in progress::Outcome::ALL {
            orders.counter(&[("outcome", outcome.label())], self.acme.orders(outcome))?;
        }
        open(
            encoder,
            "acme_leads",
            "Whether this is the process that orders certificates",
            MetricType::Gauge,
        )?
        .single_gauge(self.acme.leads().into())?;
        let names = self.acme.names();
        let mut failures = open(
            encoder,
            "acme_failures",
            "Failed attempts since the last certificate",
            MetricType::Gauge,
        )?;
        for name in &names {
            failures.gauge(&[("name", name.name.as_str())], name.failures.into())?;
        }
        let mut next = open(
            encoder,
            "acme_next_attempt_time_seconds",
            "When the next attempt to get a certificate is due",
            MetricType::Gauge,
        )?;
        for name in &names {
            let time = name.next_attempt.duration_since(UNIX_EPOCH);
            let seconds = time.unwrap_or_default().as_secs();
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            next.gauge(&[("name", name.name.as_str())], seconds)?;
        }
        Ok(())
    }
}
