//! The last 15 minutes of the main figures, in constant memory.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use crate::stack::figures::{Clients, Writes, rfc3339};

/// How far apart the moments are, and how many are kept.
pub(crate) const STEP: Duration = Duration::from_secs(5);
pub(crate) const KEPT: usize = 180;

/// The main figures at a moment.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Moment {
    #[serde(serialize_with = "rfc3339")]
    pub at: SystemTime,
    pub requests_per_second: Option<f64>,
    pub errors_per_second: Option<f64>,
    pub received_bytes_per_second: Option<f64>,
    pub sent_bytes_per_second: Option<f64>,
    /// Of a request at the proxies.
    pub p50_seconds: Option<f64>,
    pub p99_seconds: Option<f64>,
    /// Of a write in MongoDB.
    pub write_p50_seconds: Option<f64>,
    pub write_p99_seconds: Option<f64>,
    pub queue_documents: Option<f64>,
}

impl Moment {
    pub(crate) fn of(at: SystemTime, clients: &Clients, writes: &Writes) -> Self {
        Self {
            at,
            requests_per_second: clients.requests_per_second,
            errors_per_second: clients.errors_per_second,
            received_bytes_per_second: clients.received_bytes_per_second,
            sent_bytes_per_second: clients.sent_bytes_per_second,
            p50_seconds: clients.p50_seconds,
            p99_seconds: clients.p99_seconds,
            write_p50_seconds: writes.p50_seconds,
            write_p99_seconds: writes.p99_seconds,
            queue_documents: writes.queue_documents,
        }
    }
}

/// The moments, oldest first.
#[derive(Debug, Default)]
pub(crate) struct History {
    moments: VecDeque<Moment>,
    last: Option<Instant>,
}

impl History {
    /// Keeps a moment, if it is a step after the last.
    pub(crate) fn record(&mut self, now: Instant, moment: Moment) {
        // Looks take place each second or each five: a little early is in time.
        let due = |last: Instant| now.duration_since(last) + STEP / 10 >= STEP;
        if !self.last.is_none_or(due) {
            return;
        }
        self.last = Some(now);
        if self.moments.len() == KEPT {
            self.moments.pop_front();
        }
        self.moments.push_back(moment);
    }

    pub(crate) fn moments(&self) -> Vec<Moment> {
        self.moments.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_each_five_seconds_is_kept_for_15_minutes() {
        let begun = (Instant::now(), SystemTime::now());
        let mut history = History::default();
        for second in 0..1200 {
            let after = Duration::from_secs(second);
            let at = begun.1 + after;
            let moment = Moment::of(at, &Clients::default(), &Writes::default());
            history.record(begun.0 + after, moment);
        }
        let moments = history.moments();
        assert_eq!(moments.len(), 180);
        let age = |moment: &Moment| moment.at.duration_since(begun.1).unwrap().as_secs();
        assert_eq!(age(&moments[179]), 1195);
        assert_eq!(age(&moments[0]), 300);
    }
}
