//! Whether MongoDB takes our writes, since when it hasn't, and why not: from what the driver learns
//! of the servers, and from how operations end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mongodb::error::{Error, ErrorKind};
use mongodb::event::EventHandler;
use mongodb::event::sdam::SdamEvent;

use crate::observe::metrics::MongoMetrics;

/// Whether there is a server that takes writes, and if not, since when.
#[derive(Clone, Debug)]
pub(crate) struct Outage {
    state: Arc<Mutex<State>>,
    metrics: MongoMetrics,
}

/// Each client knows the servers for itself, and takes one that refused its password for unknown
/// until the next heartbeat. As long as any of them knows a server, there is one.
#[derive(Debug)]
struct State {
    /// Whether each client knows a server.
    known: Vec<bool>,
    /// Since when none does.
    since: Option<Instant>,
    /// What was logged last.
    told: Condition,
}

/// How things are, as the log tells it: whenever it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Unknown,
    TakesWrites,
    /// No server that takes writes can be reached.
    Away(String),
    /// There is one, which refuses to authenticate us. The driver goes on to find it and to lose it:
    /// that is no news, until an operation succeeds or the server is gone.
    Refused(String),
}

impl Outage {
    /// For so many clients. At the start no server is known yet.
    pub(crate) fn new(clients: usize, metrics: MongoMetrics) -> Self {
        let state = State {
            known: vec![false; clients],
            since: Some(Instant::now()),
            told: Condition::Unknown,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            metrics,
        }
    }

    /// How long it has lasted; nothing while there is a server.
    pub(crate) fn duration(&self) -> Option<Duration> {
        self.state().since.map(|since| since.elapsed())
    }

    /// Follows what a client, by its number, learns of the servers.
    pub(crate) fn follow(&self, client: usize) -> EventHandler<SdamEvent> {
        let outage = self.clone();
        EventHandler::callback(move |event| match event {
            SdamEvent::TopologyDescriptionChanged(change) => {
                let servers = change.new_description.servers();
                let errors = servers.values().filter_map(|server| server.error());
                let knows = change.new_description.has_writable_server();
                let news = outage.state().note(client, knows, errors.last());
                outage.tell(news);
            }
            SdamEvent::ServerHeartbeatFailed(failed) => {
                let news = outage.state().failed(&failed.failure);
                outage.tell(news);
            }
            _ => {}
        })
    }

    /// An operation ended with `error`, or well.
    pub(crate) fn heard(&self, error: Option<&str>) {
        let news = self.state().heard(error);
        self.tell(news);
    }

    fn tell(&self, news: Option<Condition>) {
        let Some(condition) = news else {
            return;
        };
        self.metrics
            .up
            .set((condition == Condition::TakesWrites).into());
        match condition {
            Condition::Unknown => {}
            Condition::TakesWrites => tracing::info!("MongoDB takes writes"),
            Condition::Away(reason) => tracing::warn!(%reason, "MongoDB takes no writes"),
            Condition::Refused(reason) => tracing::error!(%reason, "MongoDB refuses the log-in"),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Notes whether a client knows a server now, and what is wrong with one if anything is.
    fn note(&mut self, client: usize, knows: bool, error: Option<&Error>) -> Option<Condition> {
        if let Some(known) = self.known.get_mut(client) {
            *known = knows;
        }
        let up = self.known.contains(&true);
        if !up {
            self.since.get_or_insert_with(Instant::now);
            return match error {
                Some(error) => self.failed(error),
                None if self.told == Condition::TakesWrites => {
                    self.news(Condition::Away("no server is a primary".to_owned()))
                }
                None => None,
            };
        }
        self.since = None;
        match self.told {
            Condition::Refused(_) => None,
            _ => self.news(Condition::TakesWrites),
        }
    }

    /// Notes why a server isn't known. What concerns our password is told once an operation has
    /// failed for it: there may be another one.
    fn failed(&mut self, error: &Error) -> Option<Condition> {
        if self.known.contains(&true) || is_refusal(error) {
            return None;
        }
        self.news(Condition::Away(error.kind.to_string()))
    }

    fn heard(&mut self, refused: Option<&str>) -> Option<Condition> {
        self.news(match refused {
            Some(reason) => Condition::Refused(reason.to_owned()),
            None => Condition::TakesWrites,
        })
    }

    fn news(&mut self, condition: Condition) -> Option<Condition> {
        let new = self.told != condition;
        self.told.clone_from(&condition);
        new.then_some(condition)
    }
}

/// Whether the server refuses to authenticate us.
pub(crate) fn is_refusal(error: &Error) -> bool {
    matches!(*error.kind, ErrorKind::Authentication { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> Error {
        Error::custom("away".to_owned())
    }

    #[test]
    fn one_client_that_knows_a_server_is_enough() {
        let outage = Outage::new(2, MongoMetrics::default());
        assert!(outage.duration().is_some());
        let takes_writes = Some(Condition::TakesWrites);
        assert_eq!(outage.state().note(1, true, None), takes_writes);
        assert_eq!(outage.state().note(0, true, None), None);
        // The password of one is refused.
        assert_eq!(outage.state().note(1, false, Some(&away())), None);
        assert!(outage.duration().is_none());
        let news = outage.state().note(0, false, Some(&away()));
        assert!(matches!(news, Some(Condition::Away(_))), "{news:?}");
        assert_eq!(outage.state().failed(&away()), None, "is known");
        assert!(outage.duration().is_some());
        assert_eq!(outage.state().note(0, true, None), takes_writes);
    }

    #[test]
    fn a_refusal_is_told_once_however_often_the_server_is_found_again() {
        let outage = Outage::new(1, MongoMetrics::default());
        outage.state().note(0, true, None);
        let refused = Some(Condition::Refused("wrong".to_owned()));
        assert_eq!(outage.state().heard(Some("wrong")), refused);
        for _ in 0..3 {
            assert_eq!(outage.state().note(0, false, None), None);
            assert_eq!(outage.state().note(0, true, None), None);
            assert_eq!(outage.state().heard(Some("wrong")), None);
        }
        let news = outage.state().note(0, false, Some(&away()));
        assert!(matches!(news, Some(Condition::Away(_))), "{news:?}");
        assert!(outage.state().note(0, true, None).is_some());
        assert_eq!(outage.state().heard(Some("wrong")), refused);
        assert_eq!(outage.state().heard(None), Some(Condition::TakesWrites));
    }
}
