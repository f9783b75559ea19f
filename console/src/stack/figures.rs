//! What the parts' metrics come to: docs/metrics.md has each of them.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use crate::stack::alerts::Alerts;
use crate::stack::history::Moment;
use crate::stack::replica::{Condition, Replica, State};
use crate::stack::window::{Histogram, Window};

/// What is read of a part's metrics; the rest takes no memory here.
pub(crate) const WANTED: &[&str] = &[
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "proxy_build_info",
    "proxy_requests_total",
    "proxy_request_duration_seconds_bucket",
    "proxy_received_bytes_total",
    "proxy_sent_bytes_total",
    "proxy_retries_total",
    "proxy_client_connections_open",
    "proxy_requests_waiting",
    "proxy_backend_up",
    "proxy_backend_outstanding_requests",
    "proxy_upstream_connect_failures_total",
    "proxy_upstream_first_byte_duration_seconds_bucket",
    "api_build_info",
    "api_connections",
    "api_http_requests_total",
    "api_write_queue_documents",
    "api_write_queue_bytes",
    "api_writes_total",
    "api_write_batch_documents_count",
    "api_write_batch_documents_sum",
    "api_write_queued_seconds_bucket",
    "api_write_in_flight_seconds_bucket",
    "api_mongo_up",
    "api_mongo_pool_connections",
    "api_mongo_pool_checked_out",
];

/// What `/api/stats` answers. Rates are each second, over the last `window_seconds`; what isn't known
/// is null.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures {
    /// When the parts were asked. Null: not yet.
    #[serde(serialize_with = "maybe_rfc3339")]
    pub at: Option<SystemTime>,
    pub window_seconds: u64,
    pub listener: Part,
    pub proxy: Part,
    pub api: Part,
    pub mongo: Database,
    /// From the clients to the proxies.
    pub clients: Clients,
    /// From the proxies to the APIs.
    pub upstream: Upstream,
    /// From the APIs to MongoDB.
    pub writes: Writes,
    /// Which alerts fire. Null: there is no Prometheus.
    pub alerts: Option<Alerts>,
    /// The last 15 minutes, oldest first, about one each five seconds.
    pub history: Vec<Moment>,
}

impl Figures {
    /// The parts that there can be several of, by name, from the clients on.
    pub(crate) fn parts(&self) -> [(&'static str, &Part); 3] {
        [
            ("listener", &self.listener),
            ("proxy", &self.proxy),
            ("api", &self.api),
        ]
    }
}

/// All the processes of a name.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Part {
    /// Where it is looked for, `host:port`.
    pub name: String,
    /// Why the name leads nowhere, or not all that it leads to is asked.
    pub problem: Option<String>,
    pub replicas: Vec<ReplicaFigures>,
}

impl Part {
    /// How many of it are ready.
    pub fn ready(&self) -> usize {
        let ready = |replica: &&ReplicaFigures| replica.state == State::Ready;
        self.replicas.iter().filter(ready).count()
    }
}

/// A process of a part.
#[derive(Clone, Debug, Serialize)]
pub struct ReplicaFigures {
    pub address: IpAddr,
    pub port: u16,
    pub state: State,
    /// Why it isn't ready.
    pub reason: Option<String>,
    /// Since when its state is this.
    #[serde(serialize_with = "rfc3339")]
    pub since: SystemTime,
    pub version: Option<String>,
    #[serde(serialize_with = "maybe_rfc3339")]
    pub started_at: Option<SystemTime>,
    /// Seen by the console since its own start.
    pub restarts: u32,
    pub memory_bytes: Option<f64>,
    /// Processors that it keeps busy.
    pub cpus: Option<f64>,
    pub requests_per_second: Option<f64>,
    pub errors_per_second: Option<f64>,
    /// Of clients; an API's clients are the proxies.
    pub connections: Option<f64>,
    /// Of a proxy: the APIs as it sees them.
    pub backends: Vec<Backend>,
    /// Of an API: documents that wait to be written.
    pub queue_documents: Option<f64>,
    /// Of an API: whether it knows a server that takes writes.
    pub mongo_up: Option<bool>,
}

/// An API as a proxy sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Backend {
    /// `address:port`.
    pub address: String,
    /// Whether it gets requests.
    pub up: bool,
    /// Requests that it is answering.
    pub outstanding: f64,
}

/// The database, as the console finds it.
#[derive(Clone, Debug, Serialize)]
pub struct Database {
    /// As the connection string has it, `host:port`.
    pub name: Option<String>,
    pub address: Option<IpAddr>,
    pub state: State,
    pub reason: Option<String>,
    #[serde(serialize_with = "rfc3339")]
    pub since: SystemTime,
    /// In the collection, about.
    pub documents: Option<u64>,
    /// How many of the APIs that answer know a server that takes writes.
    pub up_for_apis: usize,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            name: None,
            address: None,
            state: State::Away,
            reason: None,
            since: SystemTime::UNIX_EPOCH,
            documents: None,
            up_for_apis: 0,
        }
    }
}

/// What the clients ask of the proxies.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Clients {
    pub requests_per_second: Option<f64>,
    /// Answered 5xx.
    pub errors_per_second: Option<f64>,
    pub received_bytes_per_second: Option<f64>,
    pub sent_bytes_per_second: Option<f64>,
    /// From a request's head to the end of its response.
    pub p50_seconds: Option<f64>,
    pub p99_seconds: Option<f64>,
    pub connections: Option<f64>,
}

/// What the proxies ask of the APIs.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Upstream {
    pub requests_per_second: Option<f64>,
    /// Answered 5xx, and connections that couldn't be made.
    pub errors_per_second: Option<f64>,
    pub retries_per_second: Option<f64>,
    /// From sending a request to the head of its response.
    pub p50_seconds: Option<f64>,
    pub p99_seconds: Option<f64>,
    pub connections: Option<f64>,
    /// Requests in line for an API.
    pub waiting: Option<f64>,
}

/// What the APIs write into MongoDB.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Writes {
    /// Acknowledged.
    pub documents_per_second: Option<f64>,
    /// Not acknowledged.
    pub errors_per_second: Option<f64>,
    pub batches_per_second: Option<f64>,
    /// Documents written together, on average.
    pub batch_documents: Option<f64>,
    /// From the start of a write to the acknowledgement.
    pub p50_seconds: Option<f64>,
    pub p99_seconds: Option<f64>,
    /// From a document's arrival in the queue to the start of its write.
    pub queued_p99_seconds: Option<f64>,
    pub queue_documents: Option<f64>,
    pub queue_bytes: Option<f64>,
    pub connections: Option<f64>,
    pub connections_in_use: Option<f64>,
}

impl Clients {
    pub(crate) fn of(proxies: &[Replica]) -> Self {
        let duration = histogram(proxies, "proxy_request_duration_seconds_bucket");
        Self {
            requests_per_second: rate(proxies, "proxy_requests_total", &[]),
            errors_per_second: rate(proxies, "proxy_requests_total", &[("class", "5xx")]),
            received_bytes_per_second: rate(proxies, "proxy_received_bytes_total", &[]),
            sent_bytes_per_second: rate(proxies, "proxy_sent_bytes_total", &[]),
            p50_seconds: duration.quantile(0.5),
            p99_seconds: duration.quantile(0.99),
            connections: now(proxies, "proxy_client_connections_open", &[]),
        }
    }
}

impl Upstream {
    pub(crate) fn of(proxies: &[Replica], apis: &[Replica]) -> Self {
        let first_byte = histogram(proxies, "proxy_upstream_first_byte_duration_seconds_bucket");
        let failures = rate(proxies, "proxy_upstream_connect_failures_total", &[]);
        Self {
            requests_per_second: rate(apis, "api_http_requests_total", &[]),
            errors_per_second: sum([windows(apis, api_errors), failures].into_iter().flatten()),
            retries_per_second: rate(proxies, "proxy_retries_total", &[]),
            p50_seconds: first_byte.quantile(0.5),
            p99_seconds: first_byte.quantile(0.99),
            connections: now(apis, "api_connections", &[("port", "public")]),
            waiting: now(proxies, "proxy_requests_waiting", &[]),
        }
    }
}

impl Writes {
    pub(crate) fn of(apis: &[Replica]) -> Self {
        let in_flight = histogram(apis, "api_write_in_flight_seconds_bucket");
        let queued = histogram(apis, "api_write_queued_seconds_bucket");
        let batches = rate(apis, "api_write_batch_documents_count", &[]);
        let documents = rate(apis, "api_write_batch_documents_sum", &[]);
        Self {
            documents_per_second: windows(apis, |window| told(window, true)),
            errors_per_second: windows(apis, |window| told(window, false)),
            batches_per_second: batches,
            batch_documents: documents
                .zip(batches.filter(|batches| *batches > 0.0))
                .map(|(documents, batches)| documents / batches),
            p50_seconds: in_flight.quantile(0.5),
            p99_seconds: in_flight.quantile(0.99),
            queued_p99_seconds: queued.quantile(0.99),
            queue_documents: now(apis, "api_write_queue_documents", &[]),
            queue_bytes: now(apis, "api_write_queue_bytes", &[]),
            connections: now(apis, "api_mongo_pool_connections", &[]),
            connections_in_use: now(apis, "api_mongo_pool_checked_out", &[]),
        }
    }
}

impl ReplicaFigures {
    pub(crate) fn of(replica: &Replica) -> Self {
        let metrics = replica.current();
        let window = replica.window();
        let value = |name, labels| metrics.and_then(|metrics| metrics.sum(name, labels));
        let mut builds = metrics.into_iter().flat_map(|metrics| {
            let names = ["proxy_build_info", "api_build_info"];
            names
                .into_iter()
                .flat_map(|name| metrics.samples(name, &[]))
        });
        let version = builds.find_map(|sample| sample.label("version"));
        let Condition {
            state,
            reason,
            since,
        } = replica.condition.clone();
        Self {
            address: replica.address.ip(),
            port: replica.address.port(),
            state,
            reason,
            since,
            version: version.map(Cow::into_owned),
            started_at: value("process_start_time_seconds", &[]).and_then(since_epoch),
            restarts: replica.restarts,
            memory_bytes: value("process_resident_memory_bytes", &[]),
            cpus: window.map(|window| window.rate("process_cpu_seconds_total", &[])),
            requests_per_second: window.map(|window| {
                window.rate("proxy_requests_total", &[])
                    + window.rate("api_http_requests_total", &[])
            }),
            errors_per_second: window.map(|window| {
                window.rate("proxy_requests_total", &[("class", "5xx")]) + api_errors(&window)
            }),
            connections: value("proxy_client_connections_open", &[])
                .or_else(|| value("api_connections", &[("port", "public")])),
            backends: backends(replica),
            queue_documents: value("api_write_queue_documents", &[]),
            mongo_up: value("api_mongo_up", &[]).map(|up| up > 0.0),
        }
    }
}

fn backends(proxy: &Replica) -> Vec<Backend> {
    let Some(metrics) = proxy.current() else {
        return Vec::new();
    };
    let backends = metrics.samples("proxy_backend_up", &[]);
    let backends = backends.filter_map(|sample| {
        let address = sample.label("backend")?;
        let outstanding = metrics.sum(
            "proxy_backend_outstanding_requests",
            &[("backend", &address)],
        );
        Some(Backend {
            address: address.into_owned(),
            up: sample.value > 0.0,
            outstanding: outstanding.unwrap_or_default(),
        })
    });
    backends.collect()
}

/// Answers of an API that were its fault, each second.
fn api_errors(window: &Window<'_>) -> f64 {
    by_label(window, "api_http_requests_total", "code", |code| {
        code.starts_with('5')
    })
}

/// Documents each second whose requests were told that they are stored, or that they aren't.
fn told(window: &Window<'_>, stored: bool) -> f64 {
    by_label(window, "api_writes_total", "outcome", |outcome| {
        matches!(outcome, "acknowledged" | "already_stored") == stored
    })
}

fn by_label(window: &Window<'_>, name: &str, label: &str, is: impl Fn(&str) -> bool) -> f64 {
    window.rate_of(name, |sample| {
        sample.label(label).is_some_and(|value| is(&value))
    })
}

/// A counter's growth in all of them, each second.
fn rate(replicas: &[Replica], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    windows(replicas, |window| window.rate(name, labels))
}

/// What all that have been asked twice come to together.
fn windows(replicas: &[Replica], figure: impl Fn(&Window<'_>) -> f64) -> Option<f64> {
    let windows = replicas.iter().filter_map(Replica::window);
    sum(windows.map(|window| figure(&window)))
}

/// A gauge of all that answer.
fn now(replicas: &[Replica], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let metrics = replicas.iter().filter_map(Replica::current);
    sum(metrics.filter_map(|metrics| metrics.sum(name, labels)))
}

fn histogram(replicas: &[Replica], buckets: &str) -> Histogram {
    let windows = replicas.iter().filter_map(Replica::window);
    Histogram::merged(windows.map(|window| window.histogram(buckets)))
}

fn sum(values: impl Iterator<Item = f64>) -> Option<f64> {
    values.reduce(|sum, value| sum + value)
}

fn since_epoch(seconds: f64) -> Option<SystemTime> {
    let duration = Duration::try_from_secs_f64(seconds).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(duration)
}

pub(crate) fn rfc3339<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_seconds(*at))
}

#[expect(clippy::ref_option, reason = "as serde passes it")]
pub(crate) fn maybe_rfc3339<S: Serializer>(
    at: &Option<SystemTime>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => rfc3339(at, serializer),
        None => serializer.serialize_none(),
    }
}
