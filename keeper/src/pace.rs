//! How fast requests go: a little at a time, so that writers hardly notice.
//!
//! Writers lose what the keeper takes of what they are short of. So after each batch it rests: where the
//! machine is busy for so long that MongoDB works for it in one of a hundred seconds, where it is idle as
//! long as the batch has taken. Whoever writes as fast as the machine can is slowed down by no more than
//! that; where others write at their own pace, what is too old goes much faster than it comes in.

use std::fs;
use std::time::{Duration, Instant};

use tokio::time::sleep;

/// Of the time, the keeper has MongoDB work for so much while the machine is busy.
const SHARE: f64 = 0.01;
/// While it isn't, or where there is no time for being considerate.
const LARGEST_SHARE: f64 = 0.5;
/// The machine isn't busy while so much of its processors' time is idle. Waiting for a disk isn't.
const IDLE: f64 = 0.4;
/// A shorter look at the processors than this, in ticks of a hundredth of a second, says nothing.
const TICKS: u64 = 20;
/// Longest rest after a batch: one that took long met a server that is busy, and says little of its own
/// cost.
const LONGEST_REST: Duration = Duration::from_secs(20);

/// Rests between batches.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    processors: Option<Processors>,
    is_idle: bool,
}

impl Pace {
    /// Rests after a batch that began then; hardly, if it has to `hurry`.
    pub(crate) async fn rest(&mut self, begun: Instant, hurry: bool) {
        let took = begun.elapsed();
        self.look(Processors::read());
        let share = if hurry || self.is_idle {
            LARGEST_SHARE
        } else {
            SHARE
        };
        sleep(took.mul_f64((1.0 - share) / share).min(LONGEST_REST)).await;
    }

    /// Without a figure the machine counts as busy.
    fn look(&mut self, now: Option<Processors>) {
        match (self.processors, now) {
            (Some(before), Some(now)) if now.all < before.all + TICKS => {}
            (Some(before), Some(now)) => {
                self.is_idle = now.idle_since(before) >= IDLE;
                self.processors = Some(now);
            }
            (_, now) => self.processors = now,
        }
    }
}

/// The time of all processors of the machine since it started, in ticks.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Processors {
    all: u64,
    idle: u64,
}

impl Processors {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    /// `proc_stat(5)`: user, nice, system, idle, iowait, …
    fn parse(stat: &str) -> Option<Self> {
        let line = stat.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<u64> = line
            .split_whitespace()
            .map_while(|ticks| ticks.parse().ok())
            // What follows is a part of the first two.
            .take(8)
            .collect();
        Some(Self {
            all: ticks.iter().sum(),
            idle: *ticks.get(3)?,
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "a share")]
    fn idle_since(self, before: Self) -> f64 {
        let idle = self.idle.saturating_sub(before.idle);
        idle as f64 / self.all.saturating_sub(before.all).max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(all: u64, idle: u64) -> Processors {
        Processors { all, idle }
    }

    #[test]
    fn the_machine_is_idle_when_its_processors_are() {
        let mut pace = Pace::default();
        for (now, is_idle) in [
            // Nothing is known yet.
            (Some(at(1_000, 900)), false),
            (Some(at(1_100, 990)), true),
            // Too soon to say something else.
            (Some(at(1_110, 990)), true),
            (Some(at(1_200, 1_000)), false),
            (Some(at(1_300, 1_050)), true),
            (None, true),
            (Some(at(1_400, 1_050)), true),
            (Some(at(1_500, 1_060)), false),
        ] {
            pace.look(now);
            assert_eq!(pace.is_idle, is_idle, "{now:?}");
        }
    }

    #[test]
    fn the_kernels_figures_are_read() {
        let stat = "cpu  10 1 5 70 8 1 2 3 4 0\ncpu0 10 1 5 70 8 1 2 3 4 0\n";
        assert_eq!(Processors::parse(stat), Some(at(100, 70)));
        assert_eq!(Processors::parse("intr 1\n"), None);
        assert!(Processors::read().is_some());
    }
}
