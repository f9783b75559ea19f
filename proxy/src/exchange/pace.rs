//! How slowly a client may send a body (Apache calls it `RequestReadTimeout`).
//!
//! Silence has its own limit; this one is for those who send a byte before it ends, again and again.
//! Only the time counts in which the client is waited for: an upstream that takes nothing is not the
//! client's fault.

use std::time::Duration;

use tokio::time::Instant;

/// What a client has had of its time.
#[derive(Debug)]
pub(crate) struct Pace {
    /// The time that everybody has.
    grace: Duration,
    /// Bytes that earn another second; 0 for no limit.
    rate: u64,
    waited: Duration,
    waiting_since: Option<Instant>,
}

impl Pace {
    /// The client has `grace`, and a second more for each `rate` bytes.
    pub(crate) const fn new(grace: Duration, rate: u64) -> Self {
        Self {
            grace,
            rate,
            waited: Duration::ZERO,
            waiting_since: None,
        }
    }

    /// Notes that the client is waited for.
    pub(crate) fn wait(&mut self) {
        self.waiting_since.get_or_insert_with(Instant::now);
    }

    /// Notes that it isn't any more.
    pub(crate) fn go_on(&mut self) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
    }

    /// Forgets what has passed.
    pub(crate) fn restart(&mut self) {
        self.waited = Duration::ZERO;
        self.waiting_since = None;
    }

    /// The time that is left for a client that has sent `bytes`.
    pub(crate) fn left(&self, bytes: u64) -> Duration {
        let Some(earned) = bytes.checked_div(self.rate) else {
            return Duration::MAX;
        };
        let waiting = self
            .waiting_since
            .map_or(Duration::ZERO, |since| since.elapsed());
        (self.grace + Duration::from_secs(earned)).saturating_sub(self.waited + waiting)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_earn_time_and_waiting_takes_it() {
        let mut pace = Pace::new(Duration::from_secs(10), 1000);
        assert_eq!(pace.left(0), Duration::from_secs(10));
        pace.wait();
        advance(Duration::from_secs(4)).await;
        assert_eq!(pace.left(0), Duration::from_secs(6));
        pace.go_on();
        advance(Duration::from_secs(100)).await;
        assert_eq!(pace.left(5000), Duration::from_secs(11));
        pace.wait();
        advance(Duration::from_secs(12)).await;
        assert_eq!(pace.left(5000), Duration::ZERO);
        assert_eq!(Pace::new(Duration::ZERO, 0).left(0), Duration::MAX);
    }
}
