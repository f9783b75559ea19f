//! Chance that can be repeated.
//!
//! `SplitMix64` (Steele, Lea, Flood 2014) rather than a library's generator: a seed that stands in a
//! committed report must mean the same rounds after any update of a dependency.

use std::time::Duration;

/// A stream of numbers that its seed and its name fix.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The stream for one purpose. Each purpose has a stream of its own, so that leaving one fault
    /// out (`--only`) doesn't change the timings of another.
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        // FNV-1a: tells the purposes apart, no more is asked of it.
        let hash = purpose
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        Self(seed ^ hash)
    }

    /// Any number.
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 if there is none. The bias of the remainder is far below anything
    /// that a fault's timing could show.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.roll().checked_rem(end).unwrap_or(0)
    }

    /// A duration from `shortest` up to, not including, `longest`, in whole milliseconds.
    pub(crate) fn between(&mut self, shortest: Duration, longest: Duration) -> Duration {
        let room = longest.saturating_sub(shortest).as_millis();
        let extra = self.below(u64::try_from(room).unwrap_or(u64::MAX));
        shortest + Duration::from_millis(extra)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_for_ever() {
        // The first outputs of SplitMix64 for the state 1234567, as its authors' code gives them.
        let mut dice = Dice(1_234_567);
        assert_eq!(dice.roll(), 6_457_827_717_110_365_317);
        assert_eq!(dice.roll(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn purposes_have_streams_of_their_own() {
        assert_ne!(Dice::new(1, "a").roll(), Dice::new(1, "b").roll());
        assert_ne!(Dice::new(1, "a").roll(), Dice::new(2, "a").roll());
        assert_eq!(Dice::new(1, "a").roll(), Dice::new(1, "a").roll());
    }

    #[test]
    fn ranges_are_kept() {
        let (shortest, longest) = (Duration::from_millis(10), Duration::from_millis(13));
        let mut dice = Dice::new(7, "ranges");
        for _ in 0..100 {
            let drawn = dice.between(shortest, longest);
            assert!((shortest..longest).contains(&drawn), "{drawn:?}");
        }
        assert_eq!(dice.between(longest, longest), longest);
        assert_eq!(dice.below(0), 0);
    }
}
