//! What a part counted between two looks at it.

use std::time::Duration;

use crate::stack::exposition::{Exposition, Sample};

/// From one look at a part to another, of the same process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window<'e> {
    pub(crate) from: &'e Exposition,
    pub(crate) to: &'e Exposition,
    pub(crate) length: Duration,
}

impl Window<'_> {
    /// How much the counters of this name and these labels grew, each second.
    pub(crate) fn rate(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.rate_of(name, |sample| sample.has(labels))
    }

    /// The same of those that are `counted`.
    pub(crate) fn rate_of(&self, name: &str, counted: impl Fn(&Sample) -> bool) -> f64 {
        let samples = self.to.samples(name, &[]).filter(|sample| counted(sample));
        let grown = samples.map(|sample| self.grown(name, sample));
        grown.sum::<f64>() / self.length.as_secs_f64()
    }

    fn grown(&self, name: &str, sample: &Sample) -> f64 {
        let before = self.from.same(name, sample).unwrap_or(0.0);
        // One that went back has begun again, at 0.
        if sample.value < before {
            sample.value
        } else {
            sample.value - before
        }
    }

    /// What a histogram observed meanwhile. `buckets` is its name with `_bucket`.
    pub(crate) fn histogram(&self, buckets: &str) -> Histogram {
        let samples = self.to.samples(buckets, &[]);
        let buckets = samples.filter_map(|sample| {
            let bound = sample.label("le")?.parse().ok()?;
            Some((bound, self.grown(buckets, sample)))
        });
        Histogram::default().and(buckets)
    }
}

/// Observations by their upper bounds, each with all below it, as Prometheus counts them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Histogram(Vec<(f64, f64)>);

impl Histogram {
    /// These added; the parts of one kind have the same bounds.
    pub(crate) fn and(mut self, buckets: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.0.extend(buckets);
        self.0.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        self.0.dedup_by(|(bound, count), (kept, sum)| {
            let same = bound.total_cmp(kept).is_eq();
            if same {
                *sum += *count;
            }
            same
        });
        self
    }

    /// Those of several parts together.
    pub(crate) fn merged(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter()
            .fold(Self::default(), |sum, Self(buckets)| sum.and(buckets))
    }

    /// The value that a share of the observations don't exceed, found as Prometheus'
    /// `histogram_quantile` does: evenly between the bounds of its bucket. None without observations.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        let (_, total) = *self.0.last()?;
        if total <= 0.0 {
            return None;
        }
        let rank = share * total;
        let (mut bound_below, mut below) = (0.0, 0.0);
        for &(bound, count) in &self.0 {
            if count >= rank && count > below {
                // Beyond the last bound nothing is known but that.
                return Some(if bound.is_finite() {
                    bound_below + (bound - bound_below) * (rank - below) / (count - below)
                } else {
                    bound_below
                });
            }
            (bound_below, below) = (bound, count);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Exposition {
        Exposition::parse(text, &["seen_total", "took_bucket"]).unwrap()
    }

    fn ten_seconds<'a>(from: &'a Exposition, to: &'a Exposition) -> Window<'a> {
        Window {
            from,
            to,
            length: Duration::from_secs(10),
        }
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn counters_grow_by_label_and_one_that_went_back_began_at_nothing() {
        let from = parse("seen_total{code=\"200\"} 10\nseen_total{code=\"503\"} 100\n");
        let to = parse(
            "seen_total{code=\"200\"} 30\nseen_total{code=\"503\"} 5\nseen_total{code=\"404\"} 2\n",
        );
        let window = ten_seconds(&from, &to);
        assert!(near(window.rate("seen_total", &[("code", "200")]), 2.0));
        assert!(near(window.rate("seen_total", &[("code", "503")]), 0.5));
        assert!(near(window.rate("seen_total", &[]), 2.7));
        assert!(near(window.rate("unheard_of_total", &[]), 0.0));
    }

    #[test]
    fn quantiles_are_of_what_the_window_saw() {
        let from = parse(
            "took_bucket{le=\"0.1\"} 1000\ntook_bucket{le=\"0.2\"} 1000\ntook_bucket{le=\"+Inf\"} 1000\n",
        );
        let to = parse(
            "took_bucket{le=\"0.1\"} 1050\ntook_bucket{le=\"0.2\"} 1090\ntook_bucket{le=\"+Inf\"} 1100\n",
        );
        let window = ten_seconds(&from, &to);
        let histogram = window.histogram("took_bucket");
        assert!(near(histogram.quantile(0.25).unwrap(), 0.05));
        assert!(near(histogram.quantile(0.5).unwrap(), 0.1));
        assert!(near(histogram.quantile(0.7).unwrap(), 0.15));
        assert!(near(histogram.quantile(0.99).unwrap(), 0.2));
        let twice = Histogram::merged([histogram.clone(), histogram.clone()]);
        assert_eq!(twice.0.len(), 3);
        assert!(near(twice.quantile(0.7).unwrap(), 0.15));
    }

    #[test]
    fn nothing_observed_has_no_quantile() {
        assert_eq!(Histogram::default().quantile(0.5), None);
        let none = Histogram::default().and([(0.1, 0.0), (f64::INFINITY, 0.0)]);
        assert_eq!(none.quantile(0.5), None);
    }
}
