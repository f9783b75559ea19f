//! What a round counted, and which promises it broke.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::audit::Findings;
use crate::ledger::Entry;
use crate::memory::Levels;
use crate::recovery;

/// One line of the report.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Verdict {
    /// The fault.
    pub(crate) fault: &'static str,
    /// The container or containers that it hit.
    pub(crate) victim: String,
    /// From the fault's beginning to its end.
    #[serde(serialize_with = "seconds")]
    pub(crate) lasted: Duration,
    /// Requests sent.
    pub(crate) sent: usize,
    /// Answered 200.
    pub(crate) answered: usize,
    /// All others, by how they ended.
    pub(crate) otherwise: BTreeMap<String, usize>,
    /// What the database says.
    pub(crate) findings: Findings,
    /// Until all was answered again; `None`: it wasn't.
    #[serde(serialize_with = "optional_seconds")]
    pub(crate) recovery: Option<Duration>,
    /// Second by second, from the first request on.
    pub(crate) timeline: Vec<Second>,
    /// Bytes by container, before.
    pub(crate) memory_before: Levels,
    /// Bytes by container, after.
    pub(crate) memory_after: Levels,
    /// Promises that were broken; empty: none.
    pub(crate) broken: Vec<String>,
}

/// What became of the requests that were sent within one second.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Second {
    /// Requests sent.
    pub(crate) sent: usize,
    /// Those that were answered 200, whenever that was.
    pub(crate) answered: usize,
    /// The longest wait for an end of any kind, in milliseconds.
    pub(crate) longest_ms: u128,
}

/// What a round knows, before it is judged.
#[derive(Debug)]
pub(crate) struct Evidence<'a> {
    /// The client's side.
    pub(crate) entries: &'a [Entry],
    /// The database's side, compared.
    pub(crate) findings: Findings,
    /// When the fault was over, on the ledger's clock.
    pub(crate) healed: Duration,
    /// Bytes by container, before.
    pub(crate) memory_before: Levels,
    /// Bytes by container, after.
    pub(crate) memory_after: Levels,
    /// Containers that aren't as they should be after all.
    pub(crate) unwell: Vec<String>,
    /// Whether this fault may cost no request at all.
    pub(crate) costs_nothing: bool,
}

impl Verdict {
    /// Judges the evidence.
    pub(crate) fn of(
        fault: &'static str,
        victim: String,
        lasted: Duration,
        evidence: Evidence<'_>,
    ) -> Self {
        let otherwise = otherwise(evidence.entries);
        let sent = evidence.entries.len();
        let failed: usize = otherwise.values().sum();
        let recovery = recovery::time(evidence.entries, evidence.healed);
        let broken = broken(&evidence, failed, recovery);
        Self {
            fault,
            victim,
            lasted,
            sent,
            answered: sent - failed,
            otherwise,
            findings: evidence.findings,
            recovery,
            timeline: timeline(evidence.entries),
            memory_before: evidence.memory_before,
            memory_after: evidence.memory_after,
            broken,
        }
    }

    /// `503 ×12, cut ×1`.
    pub(crate) fn otherwise_text(&self) -> String {
        counts(&self.otherwise)
    }
}

/// Requests that weren't answered 200, by how they ended.
pub(crate) fn otherwise(entries: &[Entry]) -> BTreeMap<String, usize> {
    let mut otherwise = BTreeMap::new();
    for entry in entries {
        let kind = match &entry.end {
            Some((_, outcome)) if outcome.is_acknowledged() => continue,
            Some((_, outcome)) => outcome.kind(),
            None => "open".to_owned(),
        };
        *otherwise.entry(kind).or_default() += 1;
    }
    otherwise
}

/// `503 ×12, cut ×1`.
pub(crate) fn counts<K: Display>(counts: &BTreeMap<K, usize>) -> String {
    let kinds: Vec<String> = counts
        .iter()
        .map(|(kind, count)| format!("{kind} ×{count}"))
        .collect();
    kinds.join(", ")
}

fn timeline(entries: &[Entry]) -> Vec<Second> {
    let mut seconds = Vec::new();
    for entry in entries {
        let index = usize::try_from(entry.sent.as_secs()).unwrap_or_default();
        if seconds.len() <= index {
            seconds.resize_with(index + 1, Second::default);
        }
        if let Some(second) = seconds.get_mut(index) {
            second.sent += 1;
            second.answered += usize::from(entry.is_acknowledged());
            let waited = entry
                .end
                .as_ref()
                .map_or(Duration::ZERO, |(end, _)| end.saturating_sub(entry.sent));
            second.longest_ms = second.longest_ms.max(waited.as_millis());
        }
    }
    seconds
}

fn broken(evidence: &Evidence<'_>, failed: usize, recovery: Option<Duration>) -> Vec<String> {
    let mut broken = Vec::new();
    let mut count = |what: &[String], promise: &str| {
        if let Some(first) = what.first() {
            broken.push(format!("{} {promise} (such as {first})", what.len()));
        }
    };
    count(&evidence.findings.lost, "acknowledged and lost");
    count(&evidence.findings.duplicated, "stored more than once");
    count(&evidence.findings.altered, "not stored as sent and said");
    match recovery {
        None => broken.push("not recovered".to_owned()),
        Some(time) if time >= recovery::LIMIT => broken.push(format!(
            "recovered after {:.1} s only, {} s are promised",
            time.as_secs_f64(),
            recovery::LIMIT.as_secs()
        )),
        Some(_) => {}
    }
    if evidence.costs_nothing && failed > 0 {
        broken.push(format!("{failed} failed where none may"));
    }
    for container in crate::memory::excess(&evidence.memory_before, &evidence.memory_after) {
        broken.push(format!("memory stays up: {container}"));
    }
    broken.extend(evidence.unwell.iter().cloned());
    broken
}

pub(crate) fn seconds<S: Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

#[expect(clippy::ref_option, reason = "serde hands the field over by reference")]
pub(crate) fn optional_seconds<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => seconds(duration, serializer),
        None => serializer.serialize_none(),
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

    fn evidence(entries: &[Entry]) -> Evidence<'_> {
        Evidence {
            entries,
            findings: Findings::default(),
            healed: Duration::from_secs(2),
            memory_before: Levels::new(),
            memory_after: Levels::new(),
            unwell: Vec::new(),
            costs_nothing: false,
        }
    }

    fn judged(evidence: Evidence<'_>) -> Verdict {
        Verdict::of("kill-api", "api-1".to_owned(), Duration::ZERO, evidence)
    }

    const OK: Outcome = Outcome::Acknowledged(None);

    #[test]
    fn failures_are_counted_and_allowed_unless_the_fault_may_cost_nothing() {
        let entries = [
            entry(1, 2, Outcome::Refused(503)),
            entry(1, 2, Outcome::Cut),
            entry(3, 3, OK),
        ];
        let verdict = judged(evidence(&entries));
        assert_eq!((verdict.sent, verdict.answered), (3, 1));
        assert_eq!(verdict.otherwise_text(), "503 ×1, cut ×1");
        assert!(verdict.broken.is_empty(), "{:?}", verdict.broken);
        let strict = judged(Evidence {
            costs_nothing: true,
            ..evidence(&entries)
        });
        assert_eq!(strict.broken, ["2 failed where none may"]);
    }

    #[test]
    fn slow_or_missing_recovery_breaks_the_promise() {
        let slow = [entry(3, 12, Outcome::TimedOut), entry(12, 13, OK)];
        assert_eq!(judged(evidence(&slow)).broken.len(), 1);
        let never = [entry(3, 4, Outcome::Refused(502))];
        assert_eq!(judged(evidence(&never)).broken, ["not recovered"]);
    }

    #[test]
    fn each_finding_of_the_audit_breaks_a_promise() {
        let entries = [entry(3, 3, OK)];
        let findings = Findings {
            lost: vec!["a".to_owned()],
            duplicated: vec!["b".to_owned()],
            altered: vec!["c".to_owned()],
            unannounced: 5,
        };
        let verdict = judged(Evidence {
            findings,
            ..evidence(&entries)
        });
        assert_eq!(verdict.broken.len(), 3, "{:?}", verdict.broken);
    }
}
