//! One thing that was looked at, and what is said of it.

use serde::{Serialize, Serializer};

use super::link::Verdict;

/// One thing that was looked at beside the links between containers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// Where it was looked from.
    pub(super) from: String,
    /// What was looked at.
    pub(super) to: String,
    /// By which means: `http`, `document`, `gateway`, `resolver`, ….
    pub(super) by: &'static str,
    /// What the file implies.
    pub(super) expected: String,
    /// What was seen.
    pub(super) observed: String,
    /// Whether they agree.
    pub(super) verdict: Verdict,
    /// If not: the likely cause, for the sentence.
    pub(super) cause: String,
}

impl Check {
    /// In one sentence what isn't as expected, or why nobody can tell.
    pub(super) fn finding(&self) -> Finding {
        let Self {
            from,
            to,
            by,
            expected,
            observed,
            cause,
            ..
        } = self;
        let subject = format!("{from} → {to} ({by})");
        let mut sentence = match self.verdict {
            Verdict::Unjudged => format!("{subject}: {observed}"),
            _ => format!("{subject}: expected {expected}, saw {observed}"),
        };
        if !cause.is_empty() {
            sentence.push_str("; likely cause: ");
            sentence.push_str(cause);
        }
        Finding { subject, sentence }
    }
}

/// Something that isn't as the file draws it, or that couldn't be judged; as JSON, its sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// What it is about: the same as long as it lasts.
    pub(super) subject: String,
    pub(super) sentence: String,
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.sentence)
    }
}

/// What came of looking: what was seen, and where it isn't as expected, the likely cause too.
pub(super) fn check(
    (from, to, by): (&str, &str, &'static str),
    expected: impl Into<String>,
    result: Result<String, (String, String)>,
) -> Check {
    let (verdict, (observed, cause)) = match result {
        Ok(observed) => (Verdict::Pass, (observed, String::new())),
        Err(failure) => (Verdict::Fail, failure),
    };
    Check {
        from: from.to_owned(),
        to: to.to_owned(),
        by,
        expected: expected.into(),
        observed,
        verdict,
        cause,
    }
}
