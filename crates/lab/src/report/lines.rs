//! A lesson as calm text for a terminal.

use terminal::style::{Style, Tone};
use terminal::text::escape;

use super::LessonReport;
use crate::lesson::{Step, Verdict};

/// Longer lines are hard to read.
const WIDTH: usize = 96;

/// A lesson's result in a line: `✔ dns  6 questions  (2.3s)`.
pub fn headline(report: &LessonReport, style: Style) -> String {
    let (mark, tone) = mark(report.verdict);
    let mut line = format!(
        "{} {}  {}",
        style.paint(tone, mark),
        style.paint(Tone::Strong, report.name),
        report.title
    );
    let rest = match (&report.skipped, &report.error) {
        (Some(_), _) => "skipped".to_owned(),
        (None, Some(error)) => format!("{}: {error}", report.questions()),
        (None, None) => report.questions(),
    };
    line.push_str(&style.paint(Tone::Faint, &format!("  ({rest}, {:.1}s)", report.seconds)));
    line
}

/// The whole lesson, line by line.
pub fn lesson(report: &LessonReport, style: Style) -> Vec<String> {
    let mut lines = vec![headline(report, style)];
    lines.push(String::new());
    lines.extend(wrap(report.story, "  "));
    if let Some(reason) = &report.skipped {
        lines.push(String::new());
        lines.extend(wrap(&format!("Skipped here: {reason}."), "  "));
        lines.push(String::new());
        return lines;
    }
    for (index, step) in report.steps.iter().enumerate() {
        lines.push(String::new());
        lines.extend(self::step(step, index + 1, style));
    }
    if let Some(error) = &report.error {
        lines.push(String::new());
        lines.push(format!(
            "  {} {}",
            style.paint(Tone::Bad, "✘"),
            escape(&error.message)
        ));
        lines.extend(
            error
                .details
                .iter()
                .map(|detail| format!("      {}", escape(detail))),
        );
        lines.push(format!("    next: {}", error.next));
    }
    lines.push(String::new());
    lines.push("  Tidy up what the commands made:".to_owned());
    lines.extend(report.tidy.iter().map(|command| typed(command, style)));
    lines.push(String::new());
    lines
}

/// Which lessons were skipped and why, for the end: what was said of them has scrolled by.
pub fn skips(reports: &[LessonReport]) -> Vec<String> {
    let skipped = reports
        .iter()
        .filter_map(|report| Some((report.name, report.skipped.as_ref()?)));
    skipped
        .flat_map(|(name, reason)| wrap(&format!("{name} was skipped: {reason}."), ""))
        .collect()
}

/// A command as it is typed.
fn typed(command: &str, style: Style) -> String {
    format!("     {} {command}", style.paint(Tone::Faint, "$"))
}

fn step(step: &Step, number: usize, style: Style) -> Vec<String> {
    let mut lines: Vec<String> = wrap(&format!("{number}. {}", step.question), "  ")
        .map(|line| style.paint(Tone::Strong, &line))
        .collect();
    for command in &step.commands {
        lines.push(typed(command, style));
    }
    for evidence in step
        .evidence
        .iter()
        .filter(|evidence| !evidence.lines.is_empty())
    {
        lines.push(style.paint(Tone::Faint, &format!("     {}:", evidence.source)));
        lines.extend(
            evidence
                .lines
                .iter()
                .map(|line| format!("       {}", escape(line))),
        );
    }
    let verdict = step.verdict();
    let (mark, tone) = self::mark(verdict);
    let answer = match &step.skipped {
        Some(reason) => format!("skipped: {reason}"),
        None if verdict == Verdict::Failed => {
            format!("should be: {}", step.answer.replace('`', ""))
        }
        None => step.answer.replace('`', ""),
    };
    let mut answer = wrap(&answer, "       ").map(|line| line.trim_start().to_owned());
    lines.push(format!(
        "     {} {}",
        style.paint(tone, mark),
        answer.next().unwrap_or_default()
    ));
    lines.extend(answer.map(|line| format!("       {line}")));
    if verdict == Verdict::Failed {
        for check in step.checks.iter().filter(|check| !check.passed) {
            let text = format!("expected {}; saw {}", check.expected, escape(&check.seen));
            lines.push(format!("       {}", style.paint(Tone::Bad, &text)));
        }
    }
    lines.extend(wrap(&step.meaning, "       ").map(|line| style.paint(Tone::Faint, &line)));
    lines
}

fn mark(verdict: Verdict) -> (&'static str, Tone) {
    match verdict {
        Verdict::Passed => ("✔", Tone::Good),
        Verdict::Failed => ("✘", Tone::Bad),
        Verdict::Skipped => ("–", Tone::Notice),
    }
}

/// Lines of at most [`WIDTH`] columns, each behind `indent`.
fn wrap(text: &str, indent: &str) -> impl Iterator<Item = String> + use<> {
    let mut lines: Vec<String> = Vec::new();
    for word in words(text) {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(format!("{indent}{word}")),
        }
    }
    lines.into_iter()
}

/// Words, of which what stands in backquotes is one: a command is copied in one piece.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for part in text.split_whitespace() {
        match words.last_mut() {
            Some(open) if open.matches('`').count() % 2 == 1 => {
                open.push(' ');
                open.push_str(part);
            }
            _ => words.push(part.to_owned()),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::super::tests::sample;
    use super::*;

    fn text(index: usize) -> String {
        lesson(&sample().lessons[index], Style::PLAIN).join("\n")
    }

    #[test]
    fn a_failed_check_says_what_was_expected_and_seen() {
        assert!(text(1).contains("expected closed; saw open"));
        assert!(
            !text(0).contains("expected"),
            "what holds needs no explanation"
        );
    }

    #[test]
    fn skips_and_errors_say_why() {
        assert!(text(0).contains("– skipped: no ICMP here"));
        assert!(text(2).contains("Skipped here: rootless."));
        let name = sample().lessons[2].name;
        let at_the_end = skips(&sample().lessons);
        assert_eq!(at_the_end, [format!("{name} was skipped: rootless.")]);
        assert!(text(3).contains("✘ no free pool"));
        assert!(text(3).contains("next: remove a network"));
    }

    #[test]
    fn a_lesson_ends_with_the_commands_that_tidy_up() {
        for lesson in [0, 1, 3] {
            let tidy = sample().lessons[lesson].tidy;
            let typed = tidy.iter().map(|command| typed(command, Style::PLAIN));
            let end: Vec<String> = ["  Tidy up what the commands made:".to_owned()]
                .into_iter()
                .chain(typed)
                .collect();
            let shown = text(lesson);
            assert!(shown.trim_end().ends_with(&end.join("\n")), "{shown}");
        }
        assert!(!text(2).contains("Tidy up"), "nothing was to be typed");
    }

    #[test]
    fn lines_are_wrapped_at_words_and_not_within_commands() {
        let commands = "see `make lab SWARM=1` ".repeat(20);
        assert!(wrap(&commands, "").all(|line| line.matches("`make lab SWARM=1`").count() >= 1));
        assert!(wrap(&commands, "").all(|line| line.matches('`').count() % 2 == 0));
        let long = "word ".repeat(100);
        let lines: Vec<String> = wrap(&long, "  ").collect();
        assert!(
            lines
                .iter()
                .all(|line| line.len() <= WIDTH && line.ends_with("word"))
        );
        assert_eq!(
            lines
                .iter()
                .map(|line| line.matches("word").count())
                .sum::<usize>(),
            100
        );
    }
}
