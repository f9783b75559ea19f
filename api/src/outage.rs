//! Since when no server has been known that takes writes, from what the driver learns of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mongodb::event::EventHandler;
use mongodb::event::sdam::SdamEvent;

use crate::metrics::MongoMetrics;

/// Whether there is a server that takes writes, and if not, since when.
#[derive(Clone, Debug)]
pub struct Outage(Arc<Mutex<State>>);

/// Each client knows the servers for itself, and takes one that refused its password for unknown
/// until the next heartbeat. As long as any of them knows a server, there is one.
#[derive(Debug)]
struct State {
    /// Whether each client knows a server.
    known: Vec<bool>,
    /// Since when none does.
    since: Option<Instant>,
}

impl Outage {
    /// For so many clients. At the start no server is known yet.
    pub fn new(clients: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            known: vec![false; clients],
            since: Some(Instant::now()),
        })))
    }

    /// How long it has lasted; nothing while there is a server.
    pub fn duration(&self) -> Option<Duration> {
        self.state().since.map(|since| since.elapsed())
    }

    /// Follows what a client, by its number, learns of the servers.
    pub fn follow(&self, client: usize, metrics: &MongoMetrics) -> EventHandler<SdamEvent> {
        let (outage, metrics) = (self.clone(), metrics.clone());
        EventHandler::callback(move |event| match event {
            SdamEvent::TopologyDescriptionChanged(change) => {
                let knows = change.new_description.has_writable_server();
                let news = outage.state().note(client, knows);
                if let Some(up) = news {
                    metrics.up.set(up.into());
                    if up {
                        tracing::info!("MongoDB takes writes");
                    } else {
                        tracing::warn!("MongoDB takes no writes");
                    }
                }
            }
            SdamEvent::ServerHeartbeatFailed(failed) => {
                tracing::debug!(server = %failed.server_address, error = %failed.failure, "no heartbeat");
            }
            _ => {}
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Notes whether a client knows a server now; returns whether any does, where that is news.
    fn note(&mut self, client: usize, knows: bool) -> Option<bool> {
        if let Some(known) = self.known.get_mut(client) {
            *known = knows;
        }
        let up = self.known.contains(&true);
        if up == self.since.is_none() {
            return None;
        }
        self.since = if up { None } else { Some(Instant::now()) };
        Some(up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_that_knows_a_server_is_enough() {
        let outage = Outage::new(2);
        assert!(outage.duration().is_some());
        assert_eq!(outage.state().note(1, true), Some(true));
        assert_eq!(outage.state().note(0, true), None);
        // The password of one is refused.
        assert_eq!(outage.state().note(1, false), None);
        assert!(outage.duration().is_none());
        assert_eq!(outage.state().note(0, false), Some(false));
        assert!(outage.duration().is_some());
        assert_eq!(outage.state().note(0, true), Some(true));
    }
}
