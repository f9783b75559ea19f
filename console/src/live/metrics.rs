//! Figures of the tail and its followers.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

/// Clones are the same figures.
#[derive(Clone, Debug, Default)]
pub struct LiveMetrics {
    /// Who follows now.
    pub followers: Gauge,
    /// Queries of the tail.
    pub polls: Counter,
    /// Of those, how many have failed.
    pub failed_polls: Counter,
    /// Records that those have read, the known ones among them.
    pub read: Counter,
    /// How often a follower was told that it has missed some.
    pub missed: Counter,
}
