//! How long the stack took to answer everything again, once the fault was over.

use std::time::Duration;

use crate::ledger::Entry;

/// The promise (issue of the whole suite): recovered within this.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
/// So long everything must have been answered 200 before a round ends.
pub(crate) const CALM: Duration = Duration::from_secs(2);
/// A round that isn't calm by then ends all the same, as not recovered.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The time from `healed` until whatever is sent is answered 200: to the first answer among the
/// requests sent after the last one that failed. `None`: there is no such answer.
///
/// When a request was *sent* decides. Those from before the fault's end met the fault; and one that
/// waits in vain for seconds is one failure, not an outage for as long as it waits.
pub(crate) fn time(entries: &[Entry], healed: Duration) -> Option<Duration> {
    let since = || entries.iter().filter(|entry| entry.sent >= healed);
    let last_failed = since()
        .filter(|entry| !entry.is_acknowledged())
        .map(|entry| entry.sent)
        .max();
    since()
        .filter(|entry| last_failed.is_none_or(|failed| entry.sent > failed))
        .filter_map(|entry| Some(entry.end.as_ref()?.0))
        .min()
        .map(|end| end.saturating_sub(healed))
}

/// Whether, at `now`, all has been well for a while: in the last [`CALM`] nothing failed that was
/// sent since `healed`, nothing is overdue, and there were answers.
pub(crate) fn is_calm(entries: &[Entry], healed: Duration, now: Duration) -> bool {
    let Some(begin) = now.checked_sub(CALM).filter(|begin| *begin >= healed) else {
        return false;
    };
    let mut answered = 0_u32;
    for entry in entries.iter().filter(|entry| entry.sent >= healed) {
        match &entry.end {
            Some((end, outcome)) if *end >= begin => {
                if !outcome.is_acknowledged() {
                    return false;
                }
                answered += 1;
            }
            // Half of the window is more than an answer takes on a stack that is well.
            None if entry.sent + CALM / 2 < now => return false,
            _ => {}
        }
    }
    answered > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Outcome;
    use crate::load::request::{Kind, Request};

    const OK: Outcome = Outcome::Acknowledged(None);

    fn at(sent: u64, end: Option<(u64, Outcome)>) -> Entry {
        Entry {
            request: Request::over_tcp("t", Kind::Hello, 0),
            sent: Duration::from_millis(sent),
            end: end.map(|(end, outcome)| (Duration::from_millis(end), outcome)),
        }
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn recovery_ends_with_the_first_answer_after_the_last_request_that_failed() {
        let entries = [
            // Met the fault, ends long after it.
            at(900, Some((9_000, Outcome::TimedOut))),
            at(1_100, Some((1_200, OK))),
            at(1_300, Some((8_000, Outcome::Refused(503)))),
            at(1_300, Some((1_350, OK))),
            at(1_400, Some((1_500, OK))),
            at(2_600, Some((2_700, OK))),
        ];
        assert_eq!(time(&entries, ms(1_000)), Some(ms(500)));
    }

    #[test]
    fn without_failures_it_is_the_first_answer() {
        let entries = [at(1_100, Some((1_300, OK))), at(1_200, Some((1_250, OK)))];
        assert_eq!(time(&entries, ms(1_000)), Some(ms(250)));
    }

    #[test]
    fn without_an_answer_after_the_last_failure_there_is_no_recovery() {
        let entries = [
            at(1_100, Some((1_300, OK))),
            at(1_200, Some((1_400, Outcome::Cut))),
        ];
        assert_eq!(time(&entries, ms(1_000)), None);
        assert_eq!(time(&[], ms(1_000)), None);
    }

    #[test]
    fn calm_needs_answers_and_no_failure_for_the_whole_window() {
        let well = at(4_000, Some((4_100, OK)));
        assert!(is_calm(std::slice::from_ref(&well), ms(1_000), ms(5_000)));
        assert!(!is_calm(std::slice::from_ref(&well), ms(3_500), ms(5_000)));
        assert!(!is_calm(&[], ms(1_000), ms(5_000)));
        let failed = at(3_000, Some((3_500, Outcome::Refused(502))));
        assert!(!is_calm(
            &[well.clone(), failed.clone()],
            ms(1_000),
            ms(5_000)
        ));
        let later = at(5_600, Some((5_700, OK)));
        assert!(is_calm(&[failed, later], ms(1_000), ms(6_000)));
        let overdue = at(3_900, None);
        assert!(!is_calm(&[well, overdue], ms(1_000), ms(5_000)));
    }
}
