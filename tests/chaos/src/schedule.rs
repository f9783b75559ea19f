//! Which fault comes when, for how long, and whom it hits: all of it follows from the seed.

use std::time::Duration;

use crate::faults::Entry;
use crate::seed::Dice;

/// Load without a fault before one: enough to see that all is well.
const LEAD: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(2));
/// How much the length of a fault varies around what `--seconds` says.
const SPREAD: Duration = Duration::from_secs(1);

/// One fault to come.
#[derive(Debug, Clone)]
pub(crate) struct Round {
    /// What is done to the stack.
    pub(crate) entry: &'static Entry,
    /// How long the load runs before.
    pub(crate) lead: Duration,
    /// How long it lasts.
    pub(crate) hold: Duration,
    /// Chooses among the containers that it could hit.
    pub(crate) pick: u64,
}

/// The rounds for `seed`: the given faults in an order of its own. The control without a fault
/// stays first, so that a stack that isn't well to begin with is found at once.
pub(crate) fn rounds(
    seed: u64,
    faults: impl IntoIterator<Item = &'static Entry>,
    hold: Duration,
) -> Vec<Round> {
    let mut rounds: Vec<Round> = faults
        .into_iter()
        .map(|entry| {
            let mut dice = Dice::new(seed, entry.name);
            Round {
                entry,
                lead: dice.between(LEAD.0, LEAD.1),
                hold: dice.between(hold.saturating_sub(SPREAD), hold + SPREAD),
                pick: dice.roll(),
            }
        })
        .collect();
    // Keyed by the fault's own stream rather than shuffled: with `--only`, those that are left keep
    // their order among each other.
    rounds.sort_by_key(|round| (!round.entry.is_control(), round.pick, round.entry.name));
    rounds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::ALL;

    const HOLD: Duration = Duration::from_secs(3);

    fn described(rounds: &[Round]) -> Vec<String> {
        rounds.iter().map(|round| format!("{round:?}")).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_rounds() {
        let first = described(&rounds(42, ALL, HOLD));
        assert_eq!(first, described(&rounds(42, ALL, HOLD)));
        assert_ne!(first, described(&rounds(43, ALL, HOLD)));
        assert_eq!(first.len(), ALL.len());
    }

    #[test]
    fn leaving_faults_out_changes_nothing_about_the_others() {
        let some = |entry: &&'static Entry| entry.name.starts_with("kill-");
        let all = rounds(42, ALL, HOLD);
        let kept: Vec<Round> = all.into_iter().filter(|round| some(&round.entry)).collect();
        let only = rounds(42, ALL.iter().filter(some), HOLD);
        assert!(only.len() > 2);
        assert_eq!(described(&kept), described(&only));
    }

    #[test]
    fn the_control_comes_first() {
        for seed in 0..20 {
            let first = rounds(seed, ALL, HOLD).into_iter().next();
            assert!(first.is_some_and(|round| round.entry.is_control()));
        }
    }
}
