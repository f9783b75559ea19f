//! The table on the terminal.

use terminal::style::Tone;
use terminal::table::Cell;

use crate::verdict::Verdict;

/// Its columns.
pub(crate) const HEADING: [&str; 10] = [
    "fault",
    "victim",
    "lasted",
    "sent",
    "200",
    "otherwise",
    "lost",
    "twice",
    "recovery",
    "verdict",
];

/// One line of it.
pub(crate) fn cells(verdict: &Verdict) -> Vec<Cell> {
    let zero_is_good = |count: usize| {
        let tone = if count == 0 { Tone::Plain } else { Tone::Bad };
        (count.to_string(), tone)
    };
    let plain = |text: String| (text, Tone::Plain);
    vec![
        (verdict.fault.to_owned(), Tone::Strong),
        plain(verdict.victim.clone()),
        plain(seconds(Some(verdict.lasted))),
        plain(verdict.sent.to_string()),
        plain(verdict.answered.to_string()),
        plain(or_dash(verdict.otherwise_text())),
        zero_is_good(verdict.findings.lost.len()),
        zero_is_good(verdict.findings.duplicated.len()),
        plain(seconds(verdict.recovery)),
        if verdict.broken.is_empty() {
            ("held".to_owned(), Tone::Good)
        } else {
            ("broken".to_owned(), Tone::Bad)
        },
    ]
}

/// What is said when a round ends.
pub(crate) fn one_line(verdict: &Verdict) -> String {
    format!(
        "{}; {} sent, {} answered 200, otherwise {}; recovered in {}",
        if verdict.broken.is_empty() {
            "held".to_owned()
        } else {
            format!("BROKEN: {}", verdict.broken.join("; "))
        },
        verdict.sent,
        verdict.answered,
        or_dash(verdict.otherwise_text()),
        seconds(verdict.recovery),
    )
}

pub(crate) fn or_dash(text: String) -> String {
    if text.is_empty() {
        "–".to_owned()
    } else {
        text
    }
}

pub(crate) fn seconds(duration: Option<std::time::Duration>) -> String {
    duration.map_or_else(
        || "never".to_owned(),
        |duration| format!("{:.2} s", duration.as_secs_f64()),
    )
}
