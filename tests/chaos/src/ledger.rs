//! What was sent and what came back, request by request: the client's side of the truth.
//!
//! An entry is made before the first byte leaves, so that a request whose fate is unknown is on
//! record too.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::load::request::Request;

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// 200. A write says under which id it is stored.
    Acknowledged(Option<Acknowledgement>),
    /// Another status.
    Refused(u16),
    /// No connection: not a byte of the request was sent.
    Unreachable,
    /// The connection ended before a byte of the response.
    Cut,
    /// The connection ended in the middle of the response.
    Truncated,
    /// No answer in time.
    TimedOut,
    /// Something that is no answer of ours.
    Malformed(String),
}

/// What a write's answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Acknowledgement {
    /// The id in the body.
    pub(crate) id: String,
    /// `X-Request-Id`.
    pub(crate) request_id: String,
}

impl Outcome {
    /// Whether it was answered 200.
    pub(crate) const fn is_acknowledged(&self) -> bool {
        matches!(self, Self::Acknowledged(_))
    }

    /// The column it is counted in.
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::Acknowledged(_) => "200".to_owned(),
            Self::Refused(status) => status.to_string(),
            Self::Unreachable => "unreachable".to_owned(),
            Self::Cut => "cut".to_owned(),
            Self::Truncated => "truncated".to_owned(),
            Self::TimedOut => "timeout".to_owned(),
            Self::Malformed(_) => "malformed".to_owned(),
        }
    }
}

/// One request. Times are counted from the ledger's start.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// What was sent.
    pub(crate) request: Request,
    /// When sending began.
    pub(crate) sent: Duration,
    /// When and how it ended; `None` while it is under way.
    pub(crate) end: Option<(Duration, Outcome)>,
}

impl Entry {
    /// Whether it was answered 200.
    pub(crate) fn is_acknowledged(&self) -> bool {
        matches!(&self.end, Some((_, outcome)) if outcome.is_acknowledged())
    }
}

/// The entries of one round.
#[derive(Debug)]
pub(crate) struct Ledger {
    start: Instant,
    entries: Mutex<Vec<Entry>>,
}

/// An entry's place in its ledger.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place(usize);

impl Default for Ledger {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            entries: Mutex::default(),
        }
    }
}

impl Ledger {
    /// The time on this ledger's clock.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Notes that `request` is about to be sent.
    pub(crate) fn open(&self, request: Request) -> Place {
        let mut entries = self.lock();
        entries.push(Entry {
            request,
            sent: self.now(),
            end: None,
        });
        Place(entries.len() - 1)
    }

    /// Notes how it ended.
    pub(crate) fn close(&self, place: Place, outcome: Outcome) {
        let now = self.now();
        if let Some(entry) = self.lock().get_mut(place.0) {
            entry.end = Some((now, outcome));
        }
    }

    /// Looks at the entries so far.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&[Entry]) -> T) -> T {
        look(&self.lock())
    }

    /// How many are under way.
    pub(crate) fn open_entries(&self) -> usize {
        self.read(|entries| entries.iter().filter(|entry| entry.end.is_none()).count())
    }

    // Entries are pushed and replaced whole: a panic elsewhere can't leave one half made.
    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
