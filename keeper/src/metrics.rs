//! What `/metrics` tells, and whether all is well.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use crate::settings::Settings;
use crate::watch::Board;

/// What is counted; clones share their values.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(crate) removed: Family<Removed, Counter>,
    waits: Gauge,
}

/// Why documents went.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Removed {
    pub(crate) reason: &'static str,
}

pub(crate) const AGE: Removed = Removed { reason: "age" };
pub(crate) const SIZE: Removed = Removed { reason: "size" };

impl Default for Metrics {
    fn default() -> Self {
        let removed: Family<Removed, Counter> = Family::default();
        // Told from the start, so that the first ones that go are an increase.
        for reason in [AGE, SIZE] {
            drop(removed.get_or_create(&reason));
        }
        Self {
            removed,
            waits: Gauge::default(),
        }
    }
}

impl Metrics {
    /// Whether something waits for being let go of: [`crate::guard`].
    pub(crate) fn waits(&self, waits: bool) {
        self.waits.set(i64::from(waits));
    }

    fn registry(&self, settings: &Settings, board: &Board) -> Registry {
        let mut all = service::metrics::registry("keeper", env!("CARGO_PKG_VERSION"));
        all.register_collector(Box::new(Figures {
            retention: settings.retention,
            max_size: settings.max_size,
            board: board.clone(),
        }));
        let registry = all.sub_registry_with_prefix("keeper");
        registry.register(
            "documents_removed",
            "Documents that were let go of, by why",
            self.removed.clone(),
        );
        registry.register(
            "retention_waits",
            "Whether documents that are too old by the clock or by a new retention wait for it to stand",
            self.waits.clone(),
        );
        all
    }
}

/// What is set, and what was seen last. What isn't known is left out.
#[derive(Debug)]
struct Figures {
    retention: Option<Duration>,
    max_size: Option<u64>,
    board: Board,
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let look = self.board.look();
        let look = look.as_ref();
        let up = self.board.outcome().is_ok();
        let retention = self.retention.unwrap_or_default().as_secs_f64();
        let disk = look.and_then(|look| look.disk);
        let oldest = look.and_then(|look| look.oldest);
        let oldest = oldest.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        for (name, help, value) in [
            (
                "keeper_mongo_up",
                "Whether MongoDB answered when it was looked at last.",
                Some(f64::from(u8::from(up))),
            ),
            (
                "keeper_retention_seconds",
                "How long documents are kept; 0: for ever.",
                Some(retention),
            ),
            (
                "keeper_max_size_bytes",
                "Most bytes that the documents may have; 0: no bound.",
                Some(whole(self.max_size.unwrap_or_default())),
            ),
            (
                "keeper_collection_bytes",
                "Size of the documents, not compressed.",
                look.map(|look| whole(look.bytes)),
            ),
            (
                "keeper_collection_documents",
                "Documents.",
                look.map(|look| whole(look.documents)),
            ),
            (
                "keeper_oldest_document_seconds",
                "When the oldest document was recorded, since the epoch.",
                oldest.map(|since| since.as_secs_f64()),
            ),
            (
                "keeper_disk_used_bytes",
                "What is taken of the disk that the database is on, by whomever.",
                disk.map(|disk| whole(disk.used)),
            ),
            (
                "keeper_disk_bytes",
                "Size of the disk that the database is on.",
                disk.map(|disk| whole(disk.size)),
            ),
        ] {
            if let Some(value) = value {
                let gauge = ConstGauge::new(value);
                let encoder = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
                gauge.encode(encoder)?;
            }
        }
        let lags = look.map(|look| &look.lags[..]).unwrap_or_default();
        if lags.is_empty() {
            return Ok(());
        }
        let help = "How far a member of the replica set is behind its primary.";
        let name = "keeper_replica_lag_seconds";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (member, lag) in lags {
            let labels = [("member", member.as_str())];
            let encoder: MetricEncoder<'_> = family.encode_family(&labels)?;
            ConstGauge::new(lag.as_secs_f64()).encode(encoder)?;
        }
        Ok(())
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus' numbers are floating point"
)]
fn whole(number: u64) -> f64 {
    number as f64
}

/// What is told at the admin port.
#[derive(Debug)]
pub(crate) struct Admin {
    registry: Registry,
    board: Board,
}

impl Admin {
    pub(crate) fn new(settings: &Settings, metrics: &Metrics, board: &Board) -> Arc<Self> {
        Arc::new(Self {
            registry: metrics.registry(settings, board),
            board: board.clone(),
        })
    }
}

impl service::admin::Status for Admin {
    async fn alive(&self) -> Result<(), String> {
        Ok(())
    }

    async fn ready(&self) -> Result<(), String> {
        self.board.outcome()
    }

    fn registry(&self) -> &Registry {
        &self.registry
    }
}

#[cfg(test)]
mod tests {
    use service::metrics::expose;
    use testkit::metrics_page;

    use super::*;
    use crate::watch::{Disk, Look};

    #[test]
    fn the_page_lists_every_metric_and_no_other() {
        let settings = Settings::load(None, [("", "")]).unwrap();
        let board = Board::default();
        board.put_up(Look {
            oldest: Some(SystemTime::now()),
            disk: Some(Disk { used: 1, size: 2 }),
            lags: vec![("mongo:27017".to_owned(), Duration::from_millis(1500))],
            ..Look::default()
        });
        let registry = Metrics::default().registry(&settings, &board);
        let text = expose(&registry, "").unwrap().text;
        assert!(text.contains("keeper_replica_lag_seconds{member=\"mongo:27017\"} 1.5\n"));
        metrics_page::lists(&text, &["keeper_", "process_"]);
        let open = expose(&registry, "application/openmetrics-text").unwrap();
        metrics_page::is_open_metrics(&open.text);
    }
}
