//! Durations by size, counted without a lock.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Upper bounds of the buckets, in seconds.
const BOUNDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// How many durations there were in each bucket, and what they come to. Counting one is two relaxed
/// additions.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// The last is for what exceeds all bounds.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum_micros: AtomicU64,
}

#[derive(Debug)]
pub(crate) struct Total {
    /// Upper bound of each bucket in seconds, and how many there are in it.
    pub(crate) buckets: Vec<(f64, u64)>,
    pub(crate) count: u64,
    /// What they come to, in seconds.
    pub(crate) sum: f64,
}

impl Histogram {
    pub(crate) fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS.partition_point(|bound| *bound < seconds);
        self.buckets[bucket].fetch_add(1, Relaxed);
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.sum_micros.fetch_add(micros, Relaxed);
    }

    /// Adds histograms up.
    pub(crate) fn total<'h>(all: impl Iterator<Item = &'h Self> + Clone) -> Total {
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds
            .enumerate()
            .map(|(index, bound)| {
                let counts = all.clone().map(|one| one.buckets[index].load(Relaxed));
                (bound, counts.sum())
            })
            .collect();
        let micros: u64 = all.map(|one| one.sum_micros.load(Relaxed)).sum();
        #[expect(
            clippy::cast_precision_loss,
            reason = "Prometheus sums are floating point"
        )]
        let sum = micros as f64 / 1e6;
        Total {
            count: buckets.iter().map(|(_, count)| count).sum(),
            buckets,
            sum,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_part_of_its_bucket() {
        let (one, other) = (Histogram::default(), Histogram::default());
        one.observe(Duration::from_millis(1));
        other.observe(Duration::from_micros(1_001));
        other.observe(Duration::from_secs(11));
        let total = Histogram::total([&one, &other].into_iter());
        let filled: Vec<_> = total
            .buckets
            .iter()
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(filled, [&(0.001, 1), &(0.0025, 1), &(f64::INFINITY, 1)]);
        assert_eq!((total.count, total.sum), (3, 11.002_001));
    }
}
