//! Shows a verification to people: sources as rows, targets as columns, failures in words below.

use std::env;
use std::time::Duration;

use terminal::style::Tone;
use terminal::{Output, table, text};

use super::Verification;
use super::check::Check;
use super::link::{By, Link, Verdict};

/// What fits on a terminal beside the kind, in characters.
const LONGEST_LINE: usize = 110;

/// The marks, in the order name, TCP, ping within a cell.
struct Marks {
    open: char,
    closed: char,
    wrong: char,
    remains: char,
    unknown: char,
    dash: char,
}

const UNICODE: Marks = Marks {
    open: '✓',
    closed: '·',
    wrong: '✗',
    remains: '!',
    unknown: '?',
    dash: ' ',
};
const ASCII: Marks = Marks {
    open: '+',
    closed: '.',
    wrong: 'X',
    remains: '!',
    unknown: '?',
    dash: ' ',
};

pub(super) fn show(output: &Output, verification: &Verification) {
    let marks = if plain_terminal() { ASCII } else { UNICODE };
    let mut heading = vec!["from \\ to"];
    heading.extend(verification.targets.iter().map(String::as_str));
    let rows: Vec<Vec<table::Cell>> = verification
        .sources
        .iter()
        .map(|source| {
            let mut row = vec![(source.clone(), Tone::Strong)];
            row.extend(verification.targets.iter().map(|target| {
                let between = |link: &&Link| link.from == *source && link.column == *target;
                cell(
                    &verification
                        .links
                        .iter()
                        .filter(between)
                        .collect::<Vec<_>>(),
                    &marks,
                )
            }));
            row
        })
        .collect();
    output.table(&heading, &rows);
    let mut legend = vec![
        format!("{} open as drawn", marks.open),
        format!("{} closed as drawn", marks.closed),
        format!("{} not as drawn", marks.wrong),
        format!("{} not judged", marks.unknown),
    ];
    if !verification.remaining.is_empty() {
        legend.push(format!("{} open, as the file leaves it", marks.remains));
    }
    let legend = format!("each cell: name tcp ping   {}", legend.join("   "));
    output.line(&output.style().paint(Tone::Faint, &legend));
    for line in kinds(output, &verification.checks, &marks) {
        output.line(&line);
    }
    for note in &verification.notes {
        output.note(note);
    }
    for way in &verification.remaining {
        output.note(&way.sentence);
    }
    if verification.ok {
        let seconds = text::duration(Duration::from_millis(verification.elapsed_ms));
        let done = format!("verified: {} ({seconds})", verification.tally());
        output.line(&output.style().paint(Tone::Good, &done));
    }
}

/// One line for each kind of check: what was found, or only how many where that gets long. The
/// failures are told in sentences by whoever shows the error.
fn kinds(output: &Output, checks: &[Check], marks: &Marks) -> Vec<String> {
    let mut kinds: Vec<&'static str> = Vec::new();
    for check in checks {
        if !kinds.contains(&check.by) {
            kinds.push(check.by);
        }
    }
    let width = kinds
        .iter()
        .map(|kind| kind.chars().count())
        .max()
        .unwrap_or(0);
    let line = |kind: &'static str| {
        let of_kind: Vec<&Check> = checks.iter().filter(|check| check.by == kind).collect();
        let count = |verdict| of_kind.iter().filter(|it| it.verdict == verdict).count();
        let good = count(Verdict::Pass);
        let (mark, tone) = if good == of_kind.len() {
            (marks.open, Tone::Good)
        } else if count(Verdict::Fail) > 0 {
            (marks.wrong, Tone::Bad)
        } else {
            (marks.unknown, Tone::Notice)
        };
        let each: Vec<String> = of_kind
            .iter()
            .map(|check| format!("{} {}", check.to, text::escape(&check.observed)))
            .collect();
        let mut seen = each.join(", ");
        if seen.chars().count() > LONGEST_LINE {
            seen = format!("{good} of {} as drawn", of_kind.len());
        }
        format!(
            "{} {kind:<width$}  {seen}",
            output.style().paint(tone, &mark.to_string())
        )
    };
    kinds.iter().map(|kind| line(kind)).collect()
}

/// Colour is the output's concern; whether a terminal draws more than ASCII is asked here.
fn plain_terminal() -> bool {
    env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || env::var_os("TERM").is_some_and(|term| term == "dumb")
}

fn cell(links: &[&Link], marks: &Marks) -> table::Cell {
    let kinds: [fn(&By) -> bool; 3] = [
        |by| matches!(by, By::Name { .. }),
        |by| matches!(by, By::Tcp { .. }),
        |by| matches!(by, By::Ping { .. }),
    ];
    let mut text = String::new();
    for kind in kinds {
        let of_kind: Vec<&&Link> = links.iter().filter(|link| kind(&link.by)).collect();
        text.push(mark(&of_kind, marks));
    }
    let failed = links.iter().any(|link| link.verdict == Verdict::Fail);
    let open = links.iter().any(|link| link.open);
    let unsettled = |link: &&Link| matches!(link.verdict, Verdict::Remains | Verdict::Unjudged);
    let tone = if failed {
        Tone::Bad
    } else if links.iter().any(unsettled) {
        Tone::Notice
    } else if open {
        Tone::Good
    } else {
        Tone::Faint
    };
    (text, tone)
}

fn mark(links: &[&&Link], marks: &Marks) -> char {
    let any = |verdict| links.iter().any(|link| link.verdict == verdict);
    if any(Verdict::Fail) {
        marks.wrong
    } else if links.is_empty() {
        marks.dash
    } else if any(Verdict::Unjudged) {
        marks.unknown
    } else if any(Verdict::Remains) {
        marks.remains
    } else if links.iter().any(|link| link.open) {
        marks.open
    } else {
        marks.closed
    }
}
