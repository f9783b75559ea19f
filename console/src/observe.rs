//! How the console itself is: `/healthz`, `/readyz` and `/metrics` on its admin port.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, web};
use mongodb::bson::doc;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::app::Console;
use crate::store::Store;

/// Longest time for the read that shows whether MongoDB is there.
const READ_LIMIT: Duration = Duration::from_secs(2);
/// For how long what it showed is told again.
const FRESH: Duration = Duration::from_secs(1);

/// Every metric of the process; clones share their values.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    pub(crate) scrape_failures: ScrapeFailures,
}

/// How long searches take, by what they are for.
#[derive(Clone, Debug)]
pub struct SearchMetrics(Family<SearchLabels, Histogram, fn() -> Histogram>);

impl Default for SearchMetrics {
    fn default() -> Self {
        let seconds = || Histogram::new(exponential_buckets(0.001, 2.0, 14));
        Self(Family::new_with_constructor(seconds))
    }
}

impl SearchMetrics {
    /// Times a search until what this returns is dropped: when it was answered, failed or given up.
    pub(crate) fn time(&self, what: &'static str) -> impl Drop + use<> {
        let histogram = self.0.get_or_create_owned(&SearchLabels { what });
        Timed {
            histogram,
            begun: Instant::now(),
        }
    }
}

struct Timed {
    histogram: Histogram,
    begun: Instant,
}

impl Drop for Timed {
    fn drop(&mut self) {
        self.histogram.observe(self.begun.elapsed().as_secs_f64());
    }
}

/// Parts that didn't answer.
pub(crate) type ScrapeFailures = Family<PartLabels, Counter<u64, AtomicU64>>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct PartLabels {
    pub(crate) part: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SearchLabels {
    what: &'static str,
}

/// Paths aren't labels: clients choose them, and their number has no limit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    code: u16,
}

impl Console {
    /// All that is told of it.
    fn registry(&self) -> Registry {
        let mut all = service::metrics::registry("console", env!("CARGO_PKG_VERSION"));
        let registry = all.sub_registry_with_prefix("console");
        registry.register(
            "http_requests",
            "Requests answered, by kind of route and status",
            self.metrics.requests.clone(),
        );
        registry.register_with_unit(
            "search_duration",
            "Time of searches, by what they were for",
            Unit::Seconds,
            self.store.searches().0.clone(),
        );
        registry.register(
            "scrape_failures",
            "Looks at a part that it didn't answer",
            self.metrics.scrape_failures.clone(),
        );
        let live = self.live.metrics();
        registry.register(
            "live_followers",
            "Who follows what is recorded",
            live.followers.clone(),
        );
        for (name, help, counter) in [
            ("live_polls", "Queries for what is new", &live.polls),
            (
                "live_failed_polls",
                "Queries for what is new that failed",
                &live.failed_polls,
            ),
            (
                "live_read_documents",
                "Documents that these queries have read",
                &live.read,
            ),
            (
                "live_missed",
                "Followers that were told that they have missed some",
                &live.missed,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
        all
    }
}

/// Counts what is answered. An answer that goes on, such as a stream, is counted when it begins.
pub(crate) async fn count(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let route = route(request.path());
    let console = request.app_data::<web::Data<Console>>().cloned();
    let answer = next.call(request).await;
    let code = match &answer {
        Ok(answer) => answer.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    if let Some(console) = console {
        let code = code.as_u16();
        let labels = RequestLabels { route, code };
        console.metrics.requests.get_or_create(&labels).inc();
    }
    answer
}

fn route(path: &str) -> &'static str {
    match path {
        "/" => "requests",
        "/logout" => "login",
        "/live/rows" | "/api/requests/stream" => "stream",
        _ => {
            let is_under = |folder: &str| {
                let rest = path.strip_prefix(folder);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            let folders = [
                ("/api", "api"),
                ("/assets", "assets"),
                ("/live", "live"),
                ("/login", "login"),
                ("/requests", "requests"),
                ("/stack", "stack"),
            ];
            let found = folders.into_iter().find(|(folder, _)| is_under(folder));
            found.map_or("other", |(_, route)| route)
        }
    }
}

/// What is told at the admin port.
#[derive(Debug)]
pub(crate) struct Admin {
    store: Store,
    registry: Registry,
    /// When MongoDB was last read, and what came of it. Who asks meanwhile waits for the same.
    read: Mutex<Option<(Instant, Result<(), String>)>>,
}

impl Admin {
    pub(crate) fn of(console: &Arc<Console>) -> Self {
        Self {
            store: console.store.clone(),
            registry: console.registry(),
            read: Mutex::new(None),
        }
    }

    async fn read_store(&self) -> Result<(), String> {
        let reading = self.store.read(|collection| async move {
            let reading = collection.find_one(doc! {});
            reading
                .projection(doc! { "_id": 1 })
                .max_time(READ_LIMIT)
                .await
        });
        match timeout(READ_LIMIT, reading).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.store.describe(&error)),
            Err(_) => Err(format!("MongoDB: no answer within {READ_LIMIT:?}")),
        }
    }
}

impl service::admin::Status for Admin {
    async fn alive(&self) -> Result<(), String> {
        Ok(())
    }

    async fn ready(&self) -> Result<(), String> {
        let mut read = self.read.lock().await;
        if let Some((at, outcome)) = &*read
            && at.elapsed() < FRESH
        {
            return outcome.clone();
        }
        let outcome = self.read_store().await;
        *read = Some((Instant::now(), outcome.clone()));
        outcome
    }

    fn registry(&self) -> &Registry {
        &self.registry
    }
}
