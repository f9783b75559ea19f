//! What came out of a run, for people at a terminal, as a document, for machines.

pub mod lines;
pub mod markdown;

use std::time::Duration;

use engine::error::Error;
use serde::{Serialize, Serializer};

use super::lesson::{Lesson, Step, Verdict};
use super::needs::Facts;

/// A run of some lessons; as JSON, what `deploy lab run --json` prints.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Marks the containers and networks that the run made, in their names and labels.
    pub run: String,
    /// What the engine is.
    pub engine: Facts,
    /// In the order of the lessons.
    pub lessons: Vec<LessonReport>,
    /// How long the run took.
    #[serde(serialize_with = "rounded")]
    pub seconds: f64,
}

/// How one lesson went.
#[derive(Debug, Serialize)]
pub struct LessonReport {
    /// The lesson's name.
    pub name: &'static str,
    /// The lesson's title.
    pub title: &'static str,
    /// What it is about.
    pub story: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// Why it was skipped, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// What came between, if something did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
    /// The questions, as far as it came.
    pub steps: Vec<Step>,
    /// How a learner removes what the commands made.
    pub tidy: &'static [&'static str],
    /// How long it took.
    #[serde(serialize_with = "rounded")]
    pub seconds: f64,
}

/// Lessons by their end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Every check of theirs holds.
    pub passed: usize,
    /// A check doesn't hold, or an error came between.
    pub failed: usize,
    /// The engine can't serve them.
    pub skipped: usize,
}

impl LessonReport {
    pub(super) fn new(
        lesson: &Lesson,
        steps: Vec<Step>,
        skipped: Option<String>,
        error: Option<Error>,
        elapsed: Duration,
    ) -> Self {
        let verdict = if skipped.is_some() {
            Verdict::Skipped
        } else if error.is_some() {
            Verdict::Failed
        } else {
            overall(&steps)
        };
        Self {
            name: lesson.name,
            title: lesson.title,
            story: lesson.story,
            verdict,
            skipped,
            error,
            steps,
            tidy: lesson.tidy,
            seconds: elapsed.as_secs_f64(),
        }
    }

    /// How many of its questions ended so.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.steps
            .iter()
            .filter(|step| step.verdict() == verdict)
            .count()
    }

    /// `11 questions`, `5 questions, 1 of them skipped`.
    pub fn questions(&self) -> String {
        let mut parts = vec![match self.steps.len() {
            1 => "1 question".to_owned(),
            count => format!("{count} questions"),
        }];
        for (verdict, word) in [(Verdict::Failed, "failed"), (Verdict::Skipped, "skipped")] {
            match self.count(verdict) {
                0 => {}
                count => parts.push(format!("{count} of them {word}")),
            }
        }
        parts.join(", ")
    }
}

/// A lesson passes when at least one of its steps did and none failed.
fn overall(steps: &[Step]) -> Verdict {
    let any = |verdict| steps.iter().any(|step| step.verdict() == verdict);
    if any(Verdict::Failed) {
        Verdict::Failed
    } else if any(Verdict::Passed) {
        Verdict::Passed
    } else {
        Verdict::Skipped
    }
}

impl Report {
    /// Lessons by their end.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for lesson in &self.lessons {
            *match lesson.verdict {
                Verdict::Passed => &mut tally.passed,
                Verdict::Failed => &mut tally.failed,
                Verdict::Skipped => &mut tally.skipped,
            } += 1;
        }
        tally
    }

    /// `9 lessons passed, 1 skipped`.
    pub fn summary(&self) -> String {
        let Tally {
            passed,
            failed,
            skipped,
        } = self.tally();
        let mut parts = vec![match passed {
            1 => "1 lesson passed".to_owned(),
            passed => format!("{passed} lessons passed"),
        }];
        for (count, word) in [(failed, "failed"), (skipped, "skipped")] {
            if count > 0 {
                parts.push(format!("{count} {word}"));
            }
        }
        parts.join(", ")
    }
}

/// Milliseconds are precise enough.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
fn rounded<S: Serializer>(seconds: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((seconds * 1000.0).round() / 1000.0)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::lessons;

    /// A report with a passed, a failed, a skipped and a broken lesson.
    pub(crate) fn sample() -> Report {
        let good = Step::asks("Who is there?")
            .by_hand(&["docker exec lab-plain ip addr"])
            .saw("inside plain", ["eth0 | 172.17.0.2"])
            .answer("`eth0`, the *only* one.")
            .same("interface", "eth0", "eth0")
            .means("A veth is a cable with two plugs.");
        let bad = Step::asks("Is it open?")
            .answer("No.")
            .check("closed", "open", false);
        let absent = Step::asks("Does it answer?").skip("no ICMP here");
        let [a, b, c, d, ..] = lessons::ALL;
        let second = Duration::from_secs(1);
        let lessons = vec![
            LessonReport::new(&a, vec![good.clone(), absent], None, None, second),
            LessonReport::new(&b, vec![good.clone(), bad], None, None, second),
            LessonReport::new(&c, Vec::new(), Some("rootless".into()), None, second),
            LessonReport::new(
                &d,
                vec![good],
                None,
                Some(Error::failed("no free pool", "remove a network")),
                second,
            ),
        ];
        let engine = Facts {
            version: "20.10.24".into(),
            system: "Debian GNU/Linux 12".into(),
            linux: true,
            rootless: false,
            desktop: false,
            default_bridge: true,
            inter_container: true,
        };
        Report {
            run: "k3x9q".into(),
            engine,
            lessons,
            seconds: 4.25,
        }
    }

    #[test]
    fn lessons_are_counted_by_their_end() {
        let report = sample();
        assert_eq!(
            report.tally(),
            Tally {
                passed: 1,
                failed: 2,
                skipped: 1
            }
        );
        assert_eq!(report.summary(), "1 lesson passed, 2 failed, 1 skipped");
        assert_eq!(
            report.lessons[0].questions(),
            "2 questions, 1 of them skipped"
        );
    }

    #[test]
    fn a_lesson_whose_every_step_was_skipped_is_not_passed() {
        assert_eq!(
            overall(&[Step::asks("?").skip("no ICMP")]),
            Verdict::Skipped
        );
        assert_eq!(overall(&[]), Verdict::Skipped);
    }
}
