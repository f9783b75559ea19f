//! Links that log a browser in without the token: each once, and not for long. Whoever has the token
//! makes them (`deploy console`). They may stand where the token must not: among a process's arguments,
//! in a terminal's history, in a browser's.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::distr::{Alphanumeric, SampleString as _};
use subtle::ConstantTimeEq as _;

/// How long one can be used.
pub(super) const LIFETIME: Duration = Duration::from_secs(60);
/// Letters and digits of a code: 190 bits.
const LENGTH: usize = 32;
/// How many there are at a time. The oldest goes for another.
const OUTSTANDING: usize = 16;

/// Those that weren't used yet, the oldest first; not `Debug`.
#[derive(Default)]
pub(super) struct Links(Mutex<VecDeque<(String, Instant)>>);

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Links")
    }
}

impl Links {
    /// The code of a new one.
    pub(super) fn issue(&self) -> String {
        let code = Alphanumeric.sample_string(&mut rand::rng(), LENGTH);
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while links.len() >= OUTSTANDING {
            links.pop_front();
        }
        links.push_back((code.clone(), Instant::now()));
        code
    }

    /// Whether the code is one of them; it isn't any more, then.
    pub(super) fn redeem(&self, code: &str) -> bool {
        self.redeem_at(code, Instant::now())
    }

    fn redeem_at(&self, code: &str, now: Instant) -> bool {
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|(_, issued)| now.duration_since(*issued) < LIFETIME);
        let found = links
            .iter()
            .position(|(ours, _)| ours.as_bytes().ct_eq(code.as_bytes()).into());
        found.and_then(|at| links.remove(at)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_and_not_for_long() {
        let links = Links::default();
        let (first, second) = (links.issue(), links.issue());
        assert!(first.len() == 32 && first != second);
        assert!(links.redeem(&first) && !links.redeem(&first));
        assert!(!links.redeem(""));
        let late = Instant::now() + LIFETIME;
        assert!(!links.redeem_at(&second, late) && !links.redeem(&second));
    }

    #[test]
    fn the_oldest_goes_for_another() {
        let links = Links::default();
        let codes: Vec<_> = (0..=OUTSTANDING).map(|_| links.issue()).collect();
        let redeemed = codes.iter().map(|code| links.redeem(code));
        let redeemed: Vec<_> = redeemed.collect();
        assert!(!redeemed[0] && redeemed[1..].iter().all(|it| *it));
    }
}
