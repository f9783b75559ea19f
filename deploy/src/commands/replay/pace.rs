//! When each request is sent.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// The times, from the first request on.
pub(super) struct Pace {
    kind: Kind,
    /// When the first was sent, and received.
    first: Option<(Instant, SystemTime)>,
    last: Instant,
    number: u32,
    behind: Duration,
}

#[derive(Clone, Copy)]
enum Kind {
    /// As soon as there is room.
    AtOnce,
    /// So much apart.
    Apart(Duration),
    /// As far apart as they were received.
    AsRecorded,
}

impl Pace {
    /// `rate` is how many a second.
    pub(super) fn new(rate: Option<f64>, as_recorded: bool) -> Self {
        let kind = match rate {
            Some(rate) => Kind::Apart(Duration::from_secs_f64(1.0 / rate)),
            None if as_recorded => Kind::AsRecorded,
            None => Kind::AtOnce,
        };
        Self {
            kind,
            first: None,
            last: Instant::now(),
            number: 0,
            behind: Duration::ZERO,
        }
    }

    /// When the next one is to be sent, never before the one before.
    pub(super) fn due(&mut self, received_at: SystemTime) -> Instant {
        let now = Instant::now();
        let (began, first) = *self.first.get_or_insert((now, received_at));
        let due = match self.kind {
            Kind::AtOnce => now,
            Kind::Apart(apart) => began + apart * self.number,
            Kind::AsRecorded => began + received_at.duration_since(first).unwrap_or_default(),
        };
        self.number = self.number.saturating_add(1);
        self.last = self.last.max(due);
        self.last
    }

    /// That one was sent that was due then.
    pub(super) fn began(&mut self, due: Instant) {
        if !matches!(self.kind, Kind::AtOnce) {
            self.behind = self.behind.max(due.elapsed());
        }
    }

    /// By how much the latest was late.
    pub(super) fn behind(&self) -> Duration {
        self.behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The times of requests that were received then, in seconds: in milliseconds from the first one's.
    fn times(mut pace: Pace, received: &[u64]) -> Vec<u128> {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let due: Vec<_> = received.iter().map(|it| pace.due(at(*it))).collect();
        due.iter().map(|it| (*it - due[0]).as_millis()).collect()
    }

    #[test]
    fn requests_come_at_a_rate_or_as_they_were_received() {
        assert_eq!(times(Pace::new(Some(4.0), false), &[9; 3]), [0, 250, 500]);
        let as_recorded = Pace::new(None, true);
        assert_eq!(times(as_recorded, &[9, 10, 9, 13]), [0, 1000, 1000, 4000]);
    }
}
