//! Times, sizes and counts, as people read them.

use std::fmt::Display;

use bytesize::ByteSize;
use mongodb::bson::DateTime;

/// A time: for programs, and for people where no script shows it in their time zone.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    /// RFC 3339.
    pub(crate) machine: String,
    pub(crate) words: String,
}

impl From<DateTime> for Moment {
    fn from(at: DateTime) -> Self {
        let machine = at.try_to_rfc3339_string().unwrap_or_default();
        let (date, time) = machine.split_once('T').unwrap_or_default();
        let words = format!("{date} {}Z", time.get(..8).unwrap_or_default());
        Self { machine, words }
    }
}

/// As in "1.2 KiB".
pub(crate) fn size(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

/// As in "12,345".
pub(crate) fn grouped(number: impl Display) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (10_001, "10,001"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn times_are_in_utc() {
        let moment = Moment::from(DateTime::from_millis(1_800_000_000_123));
        assert_eq!(moment.machine, "2027-01-15T08:00:00.123Z");
        assert_eq!(moment.words, "2027-01-15 08:00:00Z");
        // As a hostile database may have it.
        assert_eq!(Moment::from(DateTime::MAX).words, "9999-12-31 23:59:59Z");
    }
}
