//! How fast requests go: a little at a time, so that writers hardly notice.

use std::time::{Duration, Instant};

use tokio::time::sleep;

/// Of the time, the keeper has MongoDB work for so much.
const SHARE: f64 = 0.03;
/// Longest rest after a batch: one that took long met a server that is busy, and says little of its own
/// cost.
const LONGEST_REST: Duration = Duration::from_secs(2);

/// Rests after each batch, for as long as the batch has taken times what is left of the time.
#[derive(Debug)]
pub(crate) struct Pace(Instant);

impl Pace {
    /// A batch begins.
    pub(crate) fn begin() -> Self {
        Self(Instant::now())
    }

    /// It has ended: rests.
    pub(crate) async fn rest(self) {
        sleep(rest_after(self.0.elapsed())).await;
    }
}

fn rest_after(took: Duration) -> Duration {
    took.mul_f64((1.0 - SHARE) / SHARE).min(LONGEST_REST)
}
