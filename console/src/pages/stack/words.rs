//! Figures and states as people read them.

use std::time::{Duration, SystemTime};

use crate::pages::figures::grouped;
use crate::stack::replica::State;

/// What isn't known.
const UNKNOWN: &str = "–";

/// `1,234`; `0.4`, where there is less than ten.
pub(crate) fn number(value: Option<f64>) -> String {
    match value {
        None => UNKNOWN.to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(value) if value < 0.05 => "< 0.1".to_owned(),
        Some(value) if value < 9.95 => format!("{value:.1}").replace(".0", ""),
        Some(value) => grouped(format_args!("{value:.0}")),
    }
}

/// `14 MiB`.
pub(crate) fn bytes(value: Option<f64>) -> String {
    let Some(mut value) = value else {
        return UNKNOWN.to_owned();
    };
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB"] {
        if value < 1000.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    format!("{} {unit}", number(Some(value)))
}

/// `3.5 ms`.
pub(crate) fn seconds(value: Option<f64>) -> String {
    match value {
        None => UNKNOWN.to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(value) if value < 0.001 => format!("{} µs", number(Some(value * 1e6))),
        Some(value) if value < 1.0 => format!("{} ms", number(Some(value * 1e3))),
        Some(value) => format!("{} s", number(Some(value))),
    }
}

/// `3 %`.
pub(crate) fn percent(value: Option<f64>) -> String {
    value.map_or(UNKNOWN.to_owned(), |value| {
        format!("{} %", number(Some(value * 100.0)))
    })
}

/// How long ago it was: `12 s`, `3 min`, `5 h`, `2 d`.
pub(crate) fn ago(then: SystemTime) -> String {
    let seconds = then.elapsed().unwrap_or(Duration::ZERO).as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `16:40:05`, in UTC.
pub(crate) fn clock(at: SystemTime) -> String {
    let at = humantime::format_rfc3339_seconds(at).to_string();
    at.get(11..19).unwrap_or_default().to_owned()
}

/// How a part is: in a word, as a sign for those who don't see colours, and as a class of the style
/// sheet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(crate) word: &'static str,
    pub(crate) sign: &'static str,
    pub(crate) class: &'static str,
}

/// How `part` is.
pub(crate) fn told(part: &str, state: State) -> Told {
    let (word, sign, class) = match state {
        // Whether it is ready, nobody but the proxies can ask.
        State::Ready if part == "listener" => ("running", "✓", "ready"),
        State::Ready => ("ready", "✓", "ready"),
        State::NotReady => ("not ready", "!", "not-ready"),
        State::NotUnderstood => ("not understood", "?", "not-ready"),
        State::Away => ("no answer", "✕", "away"),
        State::Gone => ("gone", "–", "gone"),
    };
    Told { word, sign, class }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_two_or_three_digits_and_a_unit() {
        let numbers = [0.0, 0.01, 0.44, 2.0, 9.94, 9.96, 123.4, 1_234_567.0];
        let numbers = numbers.map(|value| number(Some(value)));
        assert_eq!(
            numbers,
            ["0", "< 0.1", "0.4", "2", "9.9", "10", "123", "1,234,567"]
        );
        let sizes = [0.0, 999.0, 1536.0, 15_000_000.0, 3e12].map(|value| bytes(Some(value)));
        assert_eq!(sizes, ["0 B", "999 B", "1.5 KiB", "14 MiB", "2,794 GiB"]);
        let times = [0.0, 0.000_25, 0.0021, 0.13, 1.5].map(|value| seconds(Some(value)));
        assert_eq!(times, ["0", "250 µs", "2.1 ms", "130 ms", "1.5 s"]);
        assert_eq!(percent(Some(0.034)), "3.4 %");
        assert_eq!(
            [number(None), bytes(None), seconds(None), percent(None)],
            ["–"; 4]
        );
    }
}
