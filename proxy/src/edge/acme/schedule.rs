//! When a certificate is to be got, renewed, or tried again. It is all about the time of day, which may
//! jump, so nothing here reads a clock.

use std::time::{Duration, SystemTime};

use instant_acme::SuggestedWindow;
use serde::{Deserialize, Serialize};

use super::certificate::Issued;

/// Wait after the first failure; doubled with each.
const FIRST_WAIT: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
/// What a certificate that hasn't got the usual months may wait for at most, of its lifetime.
const WAITS_IN_A_LIFETIME: u32 = 24;
/// Least time from one certificate to the next, whatever their dates and the directory say: somebody's
/// clock may be wrong.
const LEAST_AGE: Duration = Duration::from_secs(60 * 60);

/// How a name is proved to be ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Proof {
    #[serde(rename = "http-01")]
    Http,
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn,
}

/// What became of the attempts to get a certificate for a name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Attempts {
    /// Who the certificate is from.
    pub(super) directory: Option<String>,
    /// Who was asked last.
    pub(super) asked: Option<String>,
    /// What proved the name to be ours.
    pub(super) proof: Option<Proof>,
    /// Failed attempts since then.
    pub(super) failures: u32,
    pub(super) error: Option<String>,
    /// When the last attempt ended.
    #[serde(with = "seconds")]
    pub(super) ended: Option<SystemTime>,
    /// Before when there is to be no other.
    #[serde(with = "seconds")]
    pub(super) not_before: Option<SystemTime>,
    /// Before when the directory wants no other.
    #[serde(with = "seconds")]
    pub(super) refused_until: Option<SystemTime>,
}

impl Attempts {
    pub(super) fn succeeded(
        &mut self,
        directory: &str,
        proof: Option<Proof>,
        lifetime: Duration,
        now: SystemTime,
    ) {
        *self = Self {
            directory: Some(directory.to_owned()),
            asked: Some(directory.to_owned()),
            // None was asked for where the name is known to be ours.
            proof: proof.or(self.proof),
            ended: Some(now),
            not_before: now.checked_add(LEAST_AGE.min(lifetime / 12)),
            ..Self::default()
        };
    }

    /// Notes a failure; `jitter` is from 0 to 1.
    pub(super) fn failed(
        &mut self,
        directory: &str,
        error: String,
        refused_until: Option<SystemTime>,
        lifetime: Option<Duration>,
        jitter: f64,
        now: SystemTime,
    ) {
        self.asked = Some(directory.to_owned());
        self.failures = self.failures.saturating_add(1);
        self.error = Some(error);
        self.ended = Some(now);
        self.not_before = now.checked_add(wait(self.failures, lifetime, jitter));
        self.refused_until = refused_until;
    }

    /// For a process that begins: somebody may have seen to what was wrong, so that it is worth
    /// another attempt, though not one a second where the process doesn't live long. What one directory
    /// has refused, another may be asked for.
    pub(super) fn resumed(&mut self, directory: &str) {
        if self.asked.as_deref() != Some(directory) {
            (self.failures, self.not_before, self.refused_until) = (0, None, None);
        }
        let soon = self.ended.and_then(|ended| ended.checked_add(FIRST_WAIT));
        self.not_before = self.not_before.min(soon);
    }

    fn may_go_on(&self) -> Option<SystemTime> {
        self.not_before.max(self.refused_until)
    }
}

/// How long to wait after so many failures in a row.
fn wait(failures: u32, lifetime: Option<Duration>, jitter: f64) -> Duration {
    let longest = lifetime.map_or(LONGEST_WAIT, |lifetime| {
        LONGEST_WAIT.min(lifetime / WAITS_IN_A_LIFETIME)
    });
    let doubled = FIRST_WAIT.saturating_mul(1 << failures.saturating_sub(1).min(20));
    doubled.min(longest).mul_f64(1.0 - jitter / 4.0)
}

/// When the next attempt is due; the epoch, where it is now.
pub(super) fn next_attempt(
    certificate: Option<&Issued>,
    suggested: Option<SystemTime>,
    attempts: &Attempts,
    directory: &str,
) -> SystemTime {
    let from_elsewhere = attempts
        .directory
        .as_deref()
        .is_some_and(|from| from != directory);
    let wanted = match certificate {
        Some(certificate) if !from_elsewhere => renewal(certificate, suggested),
        _ => SystemTime::UNIX_EPOCH,
    };
    attempts
        .may_go_on()
        .map_or(wanted, |earliest| earliest.max(wanted))
}

/// When a certificate is to be renewed: at the moment that was chosen from the directory's window, but
/// not when it is nearly too late; else when a third of its lifetime is left.
fn renewal(certificate: &Issued, suggested: Option<SystemTime>) -> SystemTime {
    let after = |part: Duration| certificate.not_before + part;
    let lifetime = certificate.lifetime();
    suggested.map_or(after(lifetime * 2 / 3), |suggested| {
        suggested.min(after(lifetime * 5 / 6))
    })
}

/// A moment in the window (RFC 9773 §4.2); `at` is from 0 to 1.
pub(super) fn choose(window: &SuggestedWindow, at: f64) -> SystemTime {
    let (start, end) = (SystemTime::from(window.start), SystemTime::from(window.end));
    start + end.duration_since(start).unwrap_or_default().mul_f64(at)
}

/// Times as whole seconds since the epoch.
mod seconds {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(
        time: &Option<SystemTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let since_epoch = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        since_epoch.map(|time| time.as_secs()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        let seconds = Option::<u64>::deserialize(deserializer)?;
        Ok(seconds.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const HOUR: Duration = Duration::from_secs(60 * 60);

    fn certificate(lifetime: Duration) -> Issued {
        Issued {
            not_before: day(1000),
            not_after: day(1000) + lifetime,
            id: None,
        }
    }

    fn day(number: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + DAY * number
    }

    fn next(lifetime: Duration, suggested: Option<SystemTime>, attempts: &Attempts) -> SystemTime {
        next_attempt(Some(&certificate(lifetime)), suggested, attempts, "here")
    }

    #[test]
    fn a_name_without_a_certificate_or_with_one_from_elsewhere_is_due() {
        let mut attempts = Attempts::default();
        let none = next_attempt(None, None, &attempts, "here");
        assert_eq!(none, SystemTime::UNIX_EPOCH);
        attempts.succeeded("elsewhere", None, DAY * 90, day(900));
        assert!(next(DAY * 90, None, &attempts) < day(901));
        attempts.succeeded("here", None, DAY * 90, day(1000));
        assert!(next(DAY * 90, None, &attempts) > day(1000));
    }

    #[test]
    fn renewal_is_when_a_third_is_left_or_the_directory_says() {
        let mut attempts = Attempts::default();
        attempts.succeeded("here", None, DAY * 90, day(1000));
        assert_eq!(next(DAY * 90, None, &attempts), day(1060));
        assert_eq!(next(DAY * 6, None, &attempts), day(1004));
        for (suggested, chosen) in [
            (day(1040), day(1040)),
            (day(1070), day(1070)),
            // At once is after an hour: nobody's mistake becomes an endless loop.
            (day(900), day(1000) + HOUR),
            // Too late is no suggestion to follow.
            (day(1090), day(1075)),
        ] {
            assert_eq!(next(DAY * 90, Some(suggested), &attempts), chosen);
        }
        let minute = Duration::from_secs(60);
        attempts.succeeded("here", None, minute, day(1000));
        let soon = next(minute, Some(day(900)), &attempts);
        assert_eq!(soon, day(1000) + minute / 12);
    }

    #[test]
    fn waits_double_from_a_minute_to_a_day() {
        let waits = |lifetime| [1, 2, 3, 11, 12, 50].map(|failures| wait(failures, lifetime, 0.0));
        let minutes = |minutes: u32| Duration::from_secs(60) * minutes;
        let months = [minutes(1), minutes(2), minutes(4), minutes(1024), DAY, DAY];
        assert_eq!(waits(None), months);
        assert_eq!(waits(Some(DAY * 90)), months);
        // A day is too much for a certificate of six.
        assert_eq!(waits(Some(DAY * 6))[3..], [HOUR * 6; 3]);
        assert_eq!(wait(1, None, 1.0), Duration::from_secs(45));
    }

    #[test]
    fn a_failure_is_followed_by_a_wait_that_a_restart_cuts_and_the_directory_may_lengthen() {
        let mut attempts = Attempts::default();
        let minute = Duration::from_secs(60);
        for _ in 0..5 {
            attempts.failed("here", "away".to_owned(), None, None, 0.0, day(1065));
        }
        assert_eq!(next(DAY * 90, None, &attempts), day(1065) + minute * 16);
        let stored = serde_json::to_string(&attempts).unwrap();
        let mut restored: Attempts = serde_json::from_str(&stored).unwrap();
        assert_eq!(restored, attempts);
        restored.resumed("here");
        assert_eq!(next(DAY * 90, None, &restored), day(1065) + minute);
        attempts.failed(
            "here",
            "limit".to_owned(),
            Some(day(1066)),
            None,
            0.0,
            day(1065),
        );
        attempts.resumed("here");
        assert_eq!(next(DAY * 90, None, &attempts), day(1066));
        let mut elsewhere = attempts.clone();
        elsewhere.resumed("elsewhere");
        assert_eq!(next(DAY * 90, None, &elsewhere), day(1060));
        attempts.succeeded("here", Some(Proof::Http), DAY * 90, day(1066));
        assert_eq!((attempts.failures, &attempts.error), (0, &None));
    }

    #[test]
    fn the_moment_is_within_the_window() {
        let window = SuggestedWindow {
            start: day(1059).into(),
            end: day(1061).into(),
        };
        assert_eq!(choose(&window, 0.0), day(1059));
        assert_eq!(choose(&window, 0.5), day(1060));
        let reversed = SuggestedWindow {
            start: window.end,
            end: window.start,
        };
        assert_eq!(choose(&reversed, 0.5), day(1061));
    }
}
