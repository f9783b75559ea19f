//! Compares what clients were told with what the database holds.
//!
//! - Lost: answered 200, and not there.
//! - Duplicated: there more than once, whatever the answer was.
//! - Altered: there, but under another id than the answer said, or with other content than was sent.
//!
//! A request that was *not* answered 200 may be there once: the answer, not the write, may be what
//! got lost, and the client can't tell the two apart.

use std::collections::HashMap;

use serde::Serialize;

use crate::ledger::{Acknowledgement, Entry, Outcome};
use crate::load::request::Request;

/// A stored request, as far as the audit looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Document {
    /// `_id`, in hexadecimal.
    pub(crate) id: String,
    /// The token that it bears.
    pub(crate) token: String,
    /// `method`.
    pub(crate) method: String,
    /// `url`.
    pub(crate) url: String,
    /// `data`.
    pub(crate) data: String,
}

/// What the comparison found; each list holds tokens with what is wrong.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Findings {
    /// Acknowledged and not there.
    pub(crate) lost: Vec<String>,
    /// There more than once.
    pub(crate) duplicated: Vec<String>,
    /// There otherwise than was sent or said.
    pub(crate) altered: Vec<String>,
    /// There once, though the client never got a 200: allowed, and good to know.
    pub(crate) unannounced: usize,
}

impl Findings {
    /// Compares one round's ledger with its documents.
    pub(crate) fn of(entries: &[Entry], documents: &[Document]) -> Self {
        let mut stored: HashMap<&str, Vec<&Document>> = HashMap::new();
        for document in documents {
            stored.entry(&document.token).or_default().push(document);
        }
        let mut findings = Self::default();
        for entry in entries {
            let found = stored.remove(entry.request.token.as_str());
            findings.judge(entry, &found.unwrap_or_default());
        }
        let strangers = stored
            .into_keys()
            .map(|token| format!("{token}: never sent"));
        findings.altered.extend(strangers);
        findings
    }

    fn judge(&mut self, entry: &Entry, found: &[&Document]) {
        let request = &entry.request;
        let token = &request.token;
        let acknowledgement = match &entry.end {
            Some((_, Outcome::Acknowledged(Some(it)))) => Some(it),
            _ => None,
        };
        match (found, acknowledgement) {
            ([], None) => {}
            ([], Some(it)) => self.lost.push(format!("{token}: answered with {}", it.id)),
            ([document], said) => {
                if said.is_none() {
                    self.unannounced += 1;
                }
                if let Some(what) = difference(request, said, document) {
                    self.altered.push(format!("{token}: {what}"));
                }
            }
            (several, _) => {
                let ids: Vec<&str> = several.iter().map(|it| it.id.as_str()).collect();
                self.duplicated
                    .push(format!("{token}: stored as {}", ids.join(", ")));
            }
        }
    }
}

/// How a document differs from what it should be.
fn difference(
    request: &Request,
    said: Option<&Acknowledgement>,
    document: &Document,
) -> Option<String> {
    if let Some(it) = said.filter(|it| it.id != document.id) {
        return Some(format!(
            "answered with {}, stored as {}",
            it.id, document.id
        ));
    }
    if let Some(it) = said.filter(|it| it.request_id != it.id) {
        return Some(format!("X-Request-Id {}, id {}", it.request_id, it.id));
    }
    if !request.is_write() {
        return Some("stored, though only read".to_owned());
    }
    if document.method != request.method() {
        return Some(format!("method {}", document.method));
    }
    if !document.url.ends_with(&request.target()) {
        return Some(format!("url {}", document.url));
    }
    (document.data != request.body()).then(|| {
        format!(
            "a body of {} bytes, {} were sent, or other ones",
            document.data.len(),
            request.length
        )
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::request::Kind;

    const ID: &str = "0123456789abcdef01234567";
    const OTHER: &str = "fedcba9876543210fedcba98";

    fn entry(token: &str, outcome: Outcome) -> Entry {
        Entry {
            request: Request::over_tcp(token, Kind::Post, 5),
            sent: Duration::ZERO,
            end: Some((Duration::ZERO, outcome)),
        }
    }

    fn acknowledged(id: &str) -> Outcome {
        Outcome::Acknowledged(Some(Acknowledgement {
            id: id.to_owned(),
            request_id: id.to_owned(),
        }))
    }

    fn document(token: &str, id: &str) -> Document {
        let sent = entry(token, Outcome::TimedOut).request;
        Document {
            id: id.to_owned(),
            token: token.to_owned(),
            method: "POST".to_owned(),
            url: format!("http://chaos.test{}", sent.target()),
            data: sent.body(),
        }
    }

    #[test]
    fn what_was_acknowledged_and_is_there_is_well() {
        let findings = Findings::of(&[entry("a", acknowledged(ID))], &[document("a", ID)]);
        assert_eq!(findings, Findings::default());
    }

    #[test]
    fn what_was_acknowledged_and_is_missing_is_lost() {
        let findings = Findings::of(&[entry("a", acknowledged(ID))], &[]);
        assert_eq!(findings.lost.len(), 1);
    }

    #[test]
    fn an_unanswered_write_may_be_there_once_or_not_at_all_but_not_twice() {
        let failed = [entry("a", Outcome::Refused(503))];
        assert_eq!(Findings::of(&failed, &[]), Findings::default());
        let once = Findings::of(&failed, &[document("a", ID)]);
        assert_eq!((once.unannounced, once.duplicated.len()), (1, 0));
        let twice = Findings::of(&failed, &[document("a", ID), document("a", OTHER)]);
        assert_eq!(twice.duplicated.len(), 1);
    }

    #[test]
    fn an_acknowledged_write_that_is_there_twice_is_duplicated() {
        let documents = [document("a", ID), document("a", OTHER)];
        let findings = Findings::of(&[entry("a", acknowledged(ID))], &documents);
        assert_eq!((findings.duplicated.len(), findings.lost.len()), (1, 0));
    }

    #[test]
    fn another_id_or_other_content_is_altered() {
        let sent = [entry("a", acknowledged(ID))];
        let altered = |change: fn(&mut Document)| {
            let mut document = document("a", ID);
            change(&mut document);
            Findings::of(&sent, &[document]).altered.len()
        };
        assert_eq!(altered(|_| {}), 0);
        assert_eq!(altered(|it| OTHER.clone_into(&mut it.id)), 1);
        assert_eq!(altered(|it| it.data.truncate(2)), 1);
        assert_eq!(altered(|it| it.method.push('S')), 1);
        assert_eq!(altered(|it| it.url.clear()), 1);
    }

    #[test]
    fn an_answer_has_one_id_not_two() {
        let mut sent = entry("a", acknowledged(ID));
        if let Some((_, Outcome::Acknowledged(Some(it)))) = &mut sent.end {
            OTHER.clone_into(&mut it.request_id);
        }
        let findings = Findings::of(&[sent], &[document("a", ID)]);
        assert_eq!(findings.altered.len(), 1);
    }

    #[test]
    fn a_document_that_nobody_sent_is_altered_and_so_is_a_stored_read() {
        assert_eq!(Findings::of(&[], &[document("x", ID)]).altered.len(), 1);
        let mut read = entry("a", Outcome::Acknowledged(None));
        read.request.kind = Kind::Hello;
        let findings = Findings::of(&[read], &[document("a", ID)]);
        assert_eq!(findings.altered.len(), 1);
    }
}
