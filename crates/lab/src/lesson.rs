//! What a lesson is: questions, each with the commands a learner would type, the
//! evidence gathered live, the answer that follows from it and the checks of it.

use std::fmt::Display;

use engine::error::Result;
use futures_util::future::LocalBoxFuture;
use serde::Serialize;

use super::bench::Bench;
use super::needs::Need;

/// One lesson: fixed text around a function that gathers evidence and answers.
#[derive(Debug, Clone, Copy)]
pub struct Lesson {
    /// What `deploy lab run NAME` calls it.
    pub name: &'static str,
    /// A line for headings and for `deploy lab list`.
    pub title: &'static str,
    /// A paragraph for somebody new to the subject.
    pub story: &'static str,
    /// What the engine must offer; otherwise the lesson is skipped.
    pub needs: &'static [Need],
    /// How a learner removes what the commands made.
    pub tidy: &'static [&'static str],
    /// Works through the questions. Steps done before an error are kept.
    pub(super) teach:
        for<'a> fn(&'a Bench<'a>, &'a mut Vec<Step>) -> LocalBoxFuture<'a, Result<()>>,
}

/// One question and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What is asked.
    pub question: String,
    /// What a learner types to find out; plain shell.
    pub commands: Vec<String>,
    /// What the live engine and kernel said.
    pub evidence: Vec<Evidence>,
    /// The answer that follows from the evidence.
    pub answer: String,
    /// What must hold for the answer to be right.
    pub checks: Vec<Check>,
    /// Why it could not be asked here, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// What the answer means, in words that need no background.
    pub meaning: String,
}

/// Lines seen at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// Where the lines come from: "the engine", "inside lab-plain", "the host".
    pub source: String,
    /// The lines, trimmed to what matters.
    pub lines: Vec<String>,
}

/// One comparison of what the answer claims with what was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What must be so.
    pub expected: String,
    /// What was so.
    pub seen: String,
    /// Whether both agree.
    pub passed: bool,
}

/// How a step or a lesson ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every check holds.
    Passed,
    /// A check doesn't hold, or an error came between.
    Failed,
    /// It could not be asked of this engine.
    Skipped,
}

impl Step {
    /// A step that still lacks evidence and checks.
    pub(super) fn asks(question: impl Into<String>) -> Self {
        Self {
            question: question.into(),
            commands: Vec::new(),
            evidence: Vec::new(),
            answer: String::new(),
            checks: Vec::new(),
            skipped: None,
            meaning: String::new(),
        }
    }

    /// Adds the commands a learner types.
    pub(super) fn by_hand(mut self, commands: &[&str]) -> Self {
        self.commands
            .extend(commands.iter().map(|&command| command.to_owned()));
        self
    }

    /// Adds what was seen at `source`, below what was seen there just before.
    pub(super) fn saw<L: Into<String>>(
        mut self,
        source: impl Into<String>,
        lines: impl IntoIterator<Item = L>,
    ) -> Self {
        let (source, lines) = (source.into(), lines.into_iter().map(Into::into));
        match self.evidence.last_mut() {
            Some(last) if last.source == source => last.lines.extend(lines),
            _ => self.evidence.push(Evidence {
                source,
                lines: lines.collect(),
            }),
        }
        self
    }

    /// Sets the answer.
    pub(super) fn answer(mut self, answer: impl Into<String>) -> Self {
        self.answer = answer.into();
        self
    }

    /// Adds a comparison of two values that must read the same.
    pub(super) fn same(self, what: &str, expected: impl Display, seen: impl Display) -> Self {
        let (expected, seen) = (expected.to_string(), seen.to_string());
        let passed = expected == seen;
        self.check(format!("{what}: {expected}"), seen, passed)
    }

    /// Adds a comparison that is more than equality.
    pub(super) fn check(
        mut self,
        expected: impl Into<String>,
        seen: impl Into<String>,
        passed: bool,
    ) -> Self {
        self.checks.push(Check {
            expected: expected.into(),
            seen: seen.into(),
            passed,
        });
        self
    }

    /// Sets what the answer means.
    pub(super) fn means(mut self, meaning: &str) -> Self {
        meaning.clone_into(&mut self.meaning);
        self
    }

    /// Takes the step out: it can't be answered here, for `reason`.
    pub(super) fn skip(mut self, reason: impl Into<String>) -> Self {
        self.skipped = Some(reason.into());
        self
    }

    /// How the step ended. A step that checked nothing has proven nothing.
    pub fn verdict(&self) -> Verdict {
        if self.skipped.is_some() {
            Verdict::Skipped
        } else if !self.checks.is_empty() && self.checks.iter().all(|check| check.passed) {
            Verdict::Passed
        } else {
            Verdict::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_passes_only_when_every_check_holds() {
        let step = Step::asks("?");
        assert_eq!(step.verdict(), Verdict::Failed, "nothing checked");
        let step = step.same("address", "172.17.0.2", "172.17.0.2");
        assert_eq!(step.verdict(), Verdict::Passed);
        let step = step.check("open", "refused", false);
        assert_eq!(step.verdict(), Verdict::Failed);
    }

    #[test]
    fn a_skipped_step_is_not_passed() {
        let step = Step::asks("?").check("open", "open", true).skip("no ICMP");
        assert_eq!(step.verdict(), Verdict::Skipped);
    }
}
