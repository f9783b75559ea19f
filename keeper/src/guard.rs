//! What may go by its age, by a clock that may be wrong.
//!
//! Requests that are too old go a little at a time: as time passes, so does the moment before which they
//! are too old. Where that moment has moved further than time has passed, it isn't time that makes them
//! old, but a clock that was set forward, or a retention that is new or shorter. Neither is believed at
//! once: nothing goes until it has stood for a while, which is said in the log and by a metric, so that
//! a clock can be corrected, or a slip of the keyboard taken back.
//!
//! - At the start nothing is known of before. What is there says it: where the oldest request is hardly
//!   older than it may be, the keeper was at work until now, and goes on. Otherwise it waits.
//! - While it runs, the time that has passed is known from a clock that nobody can set, and that goes on
//!   while the machine sleeps (`CLOCK_BOOTTIME`).

use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

/// What goes at once at the start, beyond what time has made old: as much as is recorded in so long.
const UNASKED: Duration = Duration::from_secs(60 * 60);
/// How far a clock may be corrected without being set.
const SLACK: Duration = Duration::from_secs(60);
/// A clock that was set while the keeper looked on has to stand for so many times as long.
const TIMES_IF_SET: u32 = 24;

/// What both clocks say.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The time of day, which can be set.
    pub wall: SystemTime,
    /// Since the machine started, which can't.
    pub boot: Duration,
}

impl Now {
    pub fn read() -> Self {
        let boot = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(boot.tv_sec).unwrap_or_default();
        let nanos = u32::try_from(boot.tv_nsec).unwrap_or_default();
        Self {
            wall: SystemTime::now(),
            boot: Duration::new(seconds, nanos),
        }
    }
}

/// Decides before which moment requests may go.
#[derive(Debug)]
pub struct Guard {
    retention: Duration,
    grace: Duration,
    /// The moment that was believed last, and when that was.
    believed: Option<(SystemTime, Duration)>,
    waiting: Option<Waiting>,
}

/// What isn't believed yet.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    now: Now,
    grace: Duration,
}

/// What may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct May {
    /// What was recorded before then; nothing, where the keeper knows of no time that it can believe.
    pub go_before: Option<SystemTime>,
    /// For how long something else that is too old by the time of day has to wait.
    pub wait: Option<Duration>,
}

impl Guard {
    /// `grace`: how long what was set has to stand before it is believed.
    pub fn new(retention: Duration, grace: Duration) -> Self {
        Self {
            retention,
            grace,
            believed: None,
            waiting: None,
        }
    }

    /// What may go now, where `oldest` is when the oldest request was recorded.
    pub fn may(&mut self, now: Now, oldest: Option<SystemTime>) -> May {
        let limit = now.wall.checked_sub(self.retention);
        let limit = limit.unwrap_or(SystemTime::UNIX_EPOCH);
        let go = |before| May {
            go_before: before,
            wait: None,
        };
        let steady = self.steady(now);
        let is_believed = match (steady, oldest) {
            (Some(steady), _) => limit <= steady + SLACK,
            // Nothing can go, and nothing can be told from it.
            (None, None) => return go(Some(limit)),
            (None, Some(oldest)) => limit <= oldest + UNASKED,
        };
        let grace = match steady {
            Some(_) => self.grace * TIMES_IF_SET,
            None => self.grace,
        };
        match self.left_to_wait(now, grace) {
            Some(wait) if !is_believed => May {
                go_before: steady,
                wait: Some(wait),
            },
            _ => {
                self.believed = Some((limit, now.boot));
                self.waiting = None;
                go(Some(limit))
            }
        }
    }

    /// Where time has moved the moment that was believed last.
    fn steady(&self, now: Now) -> Option<SystemTime> {
        let (believed, at) = self.believed?;
        believed.checked_add(now.boot.saturating_sub(at))
    }

    /// How long what isn't believed has to stand yet: the same clock all the time. None: no longer.
    fn left_to_wait(&mut self, now: Now, grace: Duration) -> Option<Duration> {
        let passed = |since: Now| now.boot.saturating_sub(since.boot);
        let is_same = |since: &Waiting| {
            let told = now.wall.duration_since(since.now.wall);
            told.unwrap_or_default().abs_diff(passed(since.now)) <= SLACK
        };
        let waiting = self.waiting.filter(is_same);
        let waiting = waiting.unwrap_or(Waiting { now, grace });
        self.waiting = Some(waiting);
        let left = waiting.grace.checked_sub(passed(waiting.now));
        left.filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    const RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

    /// So long after the keeper started, by a clock that is wrong by so much.
    fn at(passed: Duration, wrong: Duration) -> Now {
        let start = SystemTime::UNIX_EPOCH + 20_000 * DAY;
        Now {
            wall: start + passed + wrong,
            boot: HOUR + passed,
        }
    }

    fn right(passed: Duration) -> Now {
        at(passed, Duration::ZERO)
    }

    /// When requests were recorded that were so old when the keeper started.
    fn old(age: Duration) -> SystemTime {
        right(Duration::ZERO).wall - age
    }

    fn guard() -> Guard {
        Guard::new(RETENTION, HOUR)
    }

    /// All that is too old at that time.
    fn all(now: Now) -> May {
        May {
            go_before: Some(now.wall - RETENTION),
            wait: None,
        }
    }

    fn none_for(wait: Duration) -> May {
        May {
            go_before: None,
            wait: Some(wait),
        }
    }

    #[test]
    fn a_keeper_that_is_replaced_goes_on_at_once() {
        let mut guard = guard();
        let oldest = Some(old(RETENTION + HOUR / 2));
        for passed in [Duration::ZERO, HOUR, 5 * HOUR] {
            assert_eq!(guard.may(right(passed), oldest), all(right(passed)));
        }
    }

    #[test]
    fn what_is_much_older_at_the_start_waits_for_the_grace() {
        let mut guard = guard();
        let oldest = Some(old(RETENTION + DAY));
        for (passed, left) in [(Duration::ZERO, HOUR), (HOUR / 2, HOUR / 2)] {
            assert_eq!(guard.may(right(passed), oldest), none_for(left));
        }
        for passed in [HOUR, 9 * HOUR] {
            assert_eq!(guard.may(right(passed), oldest), all(right(passed)));
        }
    }

    #[test]
    fn a_clock_that_is_set_forward_takes_nothing_with_it() {
        let mut guard = guard();
        let young = Some(old(DAY));
        let start = right(Duration::ZERO);
        assert_eq!(guard.may(start, young), all(start));
        // By the time that has really passed, retention goes on.
        let but_time = |passed, wait| May {
            wait: Some(wait),
            ..all(right(passed))
        };
        let may = guard.may(at(HOUR, YEAR), young);
        assert_eq!(may, but_time(HOUR, 24 * HOUR));
        let may = guard.may(at(20 * HOUR, YEAR), young);
        assert_eq!(may, but_time(20 * HOUR, 5 * HOUR));
        // It is set back.
        let now = right(21 * HOUR);
        assert_eq!(guard.may(now, young), all(now));
        // Set again, and now it stays.
        let may = guard.may(at(22 * HOUR, YEAR), young);
        assert_eq!(may, but_time(22 * HOUR, 24 * HOUR));
        let now = at(46 * HOUR, YEAR);
        assert_eq!(guard.may(now, young), all(now));
    }

    #[test]
    fn a_clock_that_is_set_while_it_waits_waits_from_then_on() {
        let mut guard = guard();
        let young = Some(old(DAY));
        let may = guard.may(at(Duration::ZERO, YEAR), young);
        assert_eq!(may, none_for(HOUR));
        let may = guard.may(at(HOUR / 2, 2 * YEAR), young);
        assert_eq!(may, none_for(HOUR));
        assert_eq!(guard.may(right(HOUR), young), all(right(HOUR)));
    }

    #[test]
    fn with_nothing_there_a_wrong_clock_is_not_taken_for_the_right_one() {
        let mut guard = guard();
        let now = at(Duration::ZERO, YEAR);
        assert_eq!(guard.may(now, None), all(now));
        let may = guard.may(at(HOUR, YEAR), Some(old(Duration::ZERO)));
        assert_eq!(may, none_for(HOUR));
    }

    #[test]
    fn a_retention_from_before_there_was_time_lets_nothing_go() {
        let mut guard = Guard::new(400 * YEAR, HOUR);
        let may = guard.may(right(Duration::ZERO), Some(old(DAY)));
        assert!(may.go_before.unwrap() <= SystemTime::UNIX_EPOCH);
        assert_eq!(may.wait, None);
    }
}
