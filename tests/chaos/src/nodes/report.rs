//! What rounds over nodes counted, as the table of docs/swarm.md and for machines.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use engine::error::{Error, Result};
use serde::Serialize;

use crate::audit::Findings;
use crate::cli::{Options, Pace};
use crate::ledger::Entry;
use crate::recovery;
use crate::verdict::{counts, optional_seconds, otherwise, seconds};

/// One line of it.
#[derive(Debug, Default, Clone, Serialize)]
pub(super) struct Line {
    pub(super) name: String,
    #[serde(skip)]
    pub(super) about: &'static str,
    /// The node.
    pub(super) victim: String,
    sent: usize,
    answered: usize,
    /// All others, by how they ended.
    otherwise: BTreeMap<String, usize>,
    /// Each of those.
    failures: Vec<Failure>,
    lost: Vec<String>,
    doubled: Vec<String>,
    altered: Vec<String>,
    /// From the fault's beginning until whatever is sent is answered 200; `None`: it never was.
    #[serde(serialize_with = "optional_seconds")]
    again: Option<Duration>,
    /// The longest wait for a 200.
    #[serde(serialize_with = "seconds")]
    slowest: Duration,
}

/// A request that wasn't answered 200.
#[derive(Debug, Clone, Serialize)]
struct Failure {
    /// The node that it was sent to.
    node: String,
    how: String,
    /// Since the fault's beginning.
    #[serde(serialize_with = "seconds")]
    sent: Duration,
    /// Until it had failed.
    #[serde(serialize_with = "optional_seconds")]
    waited: Option<Duration>,
}

impl Line {
    /// What the load on one node saw.
    pub(super) fn of(
        node: &str,
        entries: &[Entry],
        began: Duration,
        findings: Findings,
        calm: bool,
    ) -> Self {
        let failed = entries.iter().filter(|it| !it.is_acknowledged());
        let failures = failed.map(|it| Failure {
            node: node.to_owned(),
            how: it
                .end
                .as_ref()
                .map_or_else(|| "open".to_owned(), |(_, how)| how.kind()),
            sent: it.sent.saturating_sub(began),
            waited: it.end.as_ref().map(|(end, _)| end.saturating_sub(it.sent)),
        });
        let otherwise = otherwise(entries);
        let waits = entries.iter().filter(|it| it.is_acknowledged());
        let waits = waits.filter_map(|it| Some(it.end.as_ref()?.0.saturating_sub(it.sent)));
        Self {
            sent: entries.len(),
            answered: entries.len() - otherwise.values().sum::<usize>(),
            otherwise,
            failures: failures.collect(),
            lost: findings.lost,
            doubled: findings.duplicated,
            altered: findings.altered,
            again: recovery::time(entries, began).filter(|_| calm),
            slowest: waits.max().unwrap_or_default(),
            ..Self::default()
        }
    }

    /// And what another one saw of the same fault.
    pub(super) fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.answered += other.answered;
        for (kind, count) in other.otherwise {
            *self.otherwise.entry(kind).or_default() += count;
        }
        self.failures.extend(other.failures);
        self.lost.extend(other.lost);
        self.doubled.extend(other.doubled);
        self.altered.extend(other.altered);
        self.again = self.again.zip(other.again).map(|(a, b)| a.max(b));
        self.slowest = self.slowest.max(other.slowest);
    }

    /// What is promised: nothing lost, doubled or altered, and all answered again in the end.
    fn holds(&self) -> bool {
        self.again.is_some()
            && [&self.lost, &self.doubled, &self.altered]
                .iter()
                .all(|it| it.is_empty())
    }

    fn otherwise(&self) -> String {
        let text = counts(&self.otherwise);
        if text.is_empty() {
            "–".to_owned()
        } else {
            text
        }
    }

    /// Without failures, there is nothing to come back from.
    fn again(&self) -> String {
        match self.again {
            None => "**never**".to_owned(),
            Some(_) if self.otherwise.is_empty() => "–".to_owned(),
            Some(again) => format!("{:.1} s", again.as_secs_f64()),
        }
    }

    /// For people who wait.
    pub(super) fn told(&self) -> String {
        format!(
            "{}: {} sent, {} answered 200, otherwise {}",
            self.name,
            self.sent,
            self.answered,
            self.otherwise()
        )
    }
}

/// What is said when a round ends.
pub(super) fn summary(lines: &[Line]) -> String {
    let told: Vec<String> = lines.iter().map(Line::told).collect();
    let held = lines.iter().all(Line::holds);
    let verdict = if held { "held" } else { "BROKEN" };
    format!("{verdict}; {}", told.join("; "))
}

/// A run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    seed: u64,
    rate: u32,
    seconds: u64,
    pub(super) lines: Vec<Line>,
}

impl Report {
    pub(super) fn new(options: &Options, pace: Pace) -> Self {
        Self {
            seed: options.seed,
            rate: pace.rate,
            seconds: pace.seconds,
            lines: Vec::new(),
        }
    }

    /// Whether every promise held.
    pub(super) fn holds(&self) -> bool {
        self.lines.iter().all(Line::holds)
    }

    /// As it stands in the docs.
    pub(super) fn table(&self) -> String {
        let mut table = String::from(
            "| fault | what is done | node | sent | 200 | otherwise | lost | twice | all answered again after | slowest 200 |\n\
             |---|---|---|--:|--:|---|--:|--:|--:|--:|\n",
        );
        for line in &self.lines {
            // Writing to a string can't fail.
            _ = writeln!(
                table,
                "| `{}` | {} | {} | {} | {} | {} | {} | {} | {} | {:.1} s |",
                line.name,
                line.about,
                line.victim,
                line.sent,
                line.answered,
                line.otherwise(),
                line.lost.len(),
                line.doubled.len(),
                line.again(),
                line.slowest.as_secs_f64(),
            );
        }
        table
    }

    /// Writes both into `folder`.
    pub(super) async fn write(&self, folder: &Path) -> Result<()> {
        let json = serde_json::to_string_pretty(self).unwrap_or_default();
        for (name, text) in [("nodes.json", json), ("nodes.md", self.table())] {
            let path = folder.join(name);
            let written = async {
                tokio::fs::create_dir_all(folder).await?;
                tokio::fs::write(&path, text).await
            };
            written.await.map_err(|error| {
                Error::failed(
                    format!("can't write {}: {error}", path.display()),
                    "name a folder with --out that this user may write to",
                )
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Outcome;
    use crate::load::request::{Kind, Request};

    fn entry(sent: u64, end: u64, outcome: Outcome) -> Entry {
        Entry {
            request: Request::over_tcp(&format!("t{sent}"), Kind::Hello, 0),
            sent: Duration::from_secs(sent),
            end: Some((Duration::from_secs(end), outcome)),
        }
    }

    #[test]
    fn the_slower_of_two_nodes_says_when_all_are_answered_again() {
        let ok = || Outcome::Acknowledged(None);
        let began = Duration::from_secs(4);
        let fast = [entry(1, 1, ok()), entry(5, 6, ok())];
        let slow = [
            entry(5, 6, Outcome::Refused(503)),
            entry(7, 9, ok()),
            entry(9, 10, ok()),
        ];
        let mut line = Line::of("n1", &fast, began, Findings::default(), true);
        assert_eq!((line.again(), line.holds()), ("–".to_owned(), true));
        line.add(Line::of("n2", &slow, began, Findings::default(), true));
        assert_eq!((line.sent, line.answered), (5, 4));
        assert_eq!(line.otherwise(), "503 ×1");
        assert_eq!(line.again(), "5.0 s");
        assert_eq!(line.slowest, Duration::from_secs(2));
    }

    #[test]
    fn one_that_was_lost_or_never_came_back_breaks_the_promise() {
        let findings = Findings {
            lost: vec!["a".to_owned()],
            ..Findings::default()
        };
        let entries = [entry(5, 6, Outcome::Acknowledged(None))];
        let lost = Line::of("n1", &entries, Duration::ZERO, findings, true);
        assert!(!lost.holds());
        let never = Line::of("n1", &entries, Duration::ZERO, Findings::default(), false);
        assert!(!never.holds());
    }
}
