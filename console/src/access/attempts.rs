//! Wrong tokens. All who connect come from the gateway's address, so they can't be told apart, and a limit
//! that also held for the right token would let anybody keep the owner out. What makes guessing hopeless
//! is the token's length (16 characters at least, 40 of 62 kinds where `deploy` generates it); the limit
//! makes it cheap to refuse, and seen in the log.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many are looked at, and in which time.
const LIMIT: usize = 10;
const WINDOW: Duration = Duration::from_secs(60);

/// When the last ones came, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<VecDeque<Instant>>);

impl Attempts {
    /// Another one. An error, where there were too many, says when there may be one again.
    pub(super) fn failed(&self) -> Result<(), Duration> {
        let verdict = self.failed_at(Instant::now());
        if let Ok(left) = verdict {
            tracing::warn!(left, "somebody tried to log in with a wrong token");
        } else {
            tracing::debug!(refused = "attempt", "too many wrong tokens");
        }
        verdict.map(|_| ())
    }

    /// How many more there may be.
    fn failed_at(&self, now: Instant) -> Result<usize, Duration> {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while times
            .front()
            .is_some_and(|first| now.duration_since(*first) >= WINDOW)
        {
            times.pop_front();
        }
        match times.front() {
            Some(first) if times.len() >= LIMIT => Err((*first + WINDOW).duration_since(now)),
            _ => {
                times.push_back(now);
                Ok(LIMIT - times.len())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_a_minute() {
        let attempts = Attempts::default();
        let start = Instant::now();
        for n in 0..10 {
            let at = start + Duration::from_secs(n);
            assert!(attempts.failed_at(at).is_ok(), "{n}");
        }
        let later = start + Duration::from_secs(20);
        assert_eq!(attempts.failed_at(later), Err(Duration::from_secs(40)));
        assert_eq!(attempts.failed_at(start + WINDOW), Ok(0));
        assert!(attempts.failed_at(start + WINDOW).is_err());
    }
}
