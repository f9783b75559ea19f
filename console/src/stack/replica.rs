//! One process of a part, as it is found from time to time.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use crate::stack::exposition::Exposition;
use crate::stack::scrape::{Answer, Failure};
use crate::stack::window::Window;

/// Over how long rates and quantiles are taken.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);

/// How one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It answers, and says that it is ready.
    Ready,
    /// It answers, and says why it isn't.
    NotReady,
    /// It answers, but not with metrics that are a part's.
    NotUnderstood,
    /// Its name leads to it, but it doesn't answer.
    Away,
    /// Its name doesn't lead to it any more.
    Gone,
}

/// A state, why, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) state: State,
    pub(crate) reason: Option<String>,
    pub(crate) since: SystemTime,
}

impl Condition {
    /// It is like this now; it is since before, if it was.
    pub(crate) fn becomes(&mut self, state: State, reason: Option<String>) {
        if self.state != state {
            self.since = SystemTime::now();
        }
        self.state = state;
        self.reason = reason;
    }
}

/// A process of a part.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) address: SocketAddr,
    pub(crate) condition: Condition,
    /// How often another process was found at its address.
    pub(crate) restarts: u32,
    /// Of one process, oldest first.
    readings: VecDeque<(Instant, Exposition)>,
}

impl Replica {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            condition: Condition {
                state: State::Gone,
                reason: None,
                since: SystemTime::now(),
            },
            restarts: 0,
            readings: VecDeque::new(),
        }
    }

    /// It was asked at that time, and said this.
    pub(crate) fn found(&mut self, at: Instant, answer: Result<Answer, Failure>) {
        match answer {
            Ok(Answer { ready, metrics }) => {
                self.take(at, metrics);
                match ready {
                    Ok(()) => self.condition.becomes(State::Ready, None),
                    Err(reason) => self.condition.becomes(State::NotReady, Some(reason)),
                }
            }
            Err(failure) => {
                self.forget_figures();
                let (state, reason) = match failure {
                    Failure::Away(reason) => (State::Away, reason),
                    Failure::NotUnderstood(reason) => (State::NotUnderstood, reason),
                };
                self.condition.becomes(state, Some(reason));
            }
        }
    }

    /// Its name doesn't lead to it any more.
    pub(crate) fn gone(&mut self) {
        self.forget_figures();
        self.condition.becomes(State::Gone, None);
    }

    fn take(&mut self, now: Instant, metrics: Exposition) {
        let started = |metrics: &Exposition| metrics.sum("process_start_time_seconds", &[]);
        if let Some(last) = self.metrics()
            && started(last) != started(&metrics)
        {
            self.restarts += 1;
            self.readings.clear();
        }
        self.readings.push_back((now, metrics));
        while let Some((next, _)) = self.readings.get(1)
            && now.duration_since(*next) >= WINDOW
        {
            self.readings.pop_front();
        }
    }

    /// All but the last reading, by which a restart is known.
    fn forget_figures(&mut self) {
        self.readings.drain(..self.readings.len().saturating_sub(1));
    }

    /// What it said last.
    pub(crate) fn metrics(&self) -> Option<&Exposition> {
        self.readings.back().map(|(_, metrics)| metrics)
    }

    /// What it says, if it answers.
    pub(crate) fn current(&self) -> Option<&Exposition> {
        let answers = matches!(self.condition.state, State::Ready | State::NotReady);
        self.metrics().filter(|_| answers)
    }

    /// What it has done lately. None until it was asked twice.
    pub(crate) fn window(&self) -> Option<Window<'_>> {
        let to = self.current()?;
        let (begun, from) = self.readings.front()?;
        let (ended, _) = self.readings.back()?;
        let length = ended.duration_since(*begun);
        (!length.is_zero()).then_some(Window { from, to, length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::figures::{Clients, ReplicaFigures, Upstream, WANTED, Writes};

    fn replica() -> Replica {
        Replica::new("192.0.2.1:9180".parse().unwrap())
    }

    fn says(metrics: &str) -> Result<Answer, Failure> {
        Ok(Answer {
            ready: Ok(()),
            metrics: Exposition::parse(metrics, WANTED).map_err(Failure::NotUnderstood)?,
        })
    }

    fn proxy(started: u32, requests: u32, errors: u32) -> Result<Answer, Failure> {
        says(&format!(
            "process_start_time_seconds {started}\n\
             proxy_requests_total{{code=\"200\",class=\"2xx\"}} {requests}\n\
             proxy_requests_total{{code=\"503\",class=\"5xx\"}} {errors}\n\
             proxy_client_connections_open 3\n"
        ))
    }

    fn is(value: Option<f64>, expected: f64) -> bool {
        value.is_some_and(|value| (value - expected).abs() < 1e-9)
    }

    #[test]
    fn figures_are_of_the_last_ten_seconds_and_of_all_replicas() {
        let begun = Instant::now();
        let mut both = [replica(), replica()];
        for second in 0..=30 {
            let at = begun + Duration::from_secs(second.into());
            // Twenty a second, then fifty: only these are in the window.
            let requests = if second <= 20 {
                second * 20
            } else {
                second * 50 - 600
            };
            both[0].found(at, proxy(1, requests, 0));
            both[1].found(at, proxy(2, 1000, second * 2));
        }
        let clients = Clients::of(&both);
        assert!(is(clients.requests_per_second, 52.0), "{clients:?}");
        assert!(is(clients.errors_per_second, 2.0), "{clients:?}");
        assert!(is(clients.connections, 6.0), "{clients:?}");
        assert_eq!(clients.p50_seconds, None);
        assert_eq!(both[0].readings.len(), 11);
    }

    #[test]
    fn another_process_at_the_same_address_begins_again() {
        let begun = Instant::now();
        let mut replica = replica();
        for (second, answer) in [
            (0, proxy(1, 100, 0)),
            (1, proxy(1, 200, 0)),
            (2, Err(Failure::Away("connection refused".to_owned()))),
            (3, proxy(9, 250, 0)),
            (4, proxy(9, 260, 0)),
        ] {
            let is_away = answer.is_err();
            replica.found(begun + Duration::from_secs(second), answer);
            let figures = ReplicaFigures::of(&replica);
            assert_eq!(figures.state == State::Away, is_away);
            assert_eq!(figures.connections.is_none(), is_away);
        }
        let figures = ReplicaFigures::of(&replica);
        assert_eq!(figures.restarts, 1);
        assert!(is(figures.requests_per_second, 10.0), "{figures:?}");
    }

    #[test]
    fn who_was_away_is_counted_from_when_it_was_last_seen() {
        let begun = Instant::now();
        let mut replica = replica();
        replica.found(begun, proxy(1, 100, 0));
        replica.gone();
        assert_eq!(replica.condition.state, State::Gone);
        assert!(replica.window().is_none());
        replica.found(begun + Duration::from_secs(20), proxy(1, 300, 0));
        let figures = ReplicaFigures::of(&replica);
        assert!(is(figures.requests_per_second, 10.0), "{figures:?}");
        assert_eq!(figures.restarts, 0);
    }

    #[test]
    fn an_api_has_its_writes_told() {
        let begun = Instant::now();
        let mut api = replica();
        for (second, count) in [(0, 0), (10, 100)] {
            let buckets = |name: &str| {
                format!(
                    "{name}_bucket{{le=\"0.1\"}} 0\n{name}_bucket{{le=\"0.2\"}} {count}\n\
                     {name}_bucket{{le=\"+Inf\"}} {count}\n"
                )
            };
            let metrics = format!(
                "api_http_requests_total{{route=\"home\",code=\"200\"}} {count}\n\
                 api_http_requests_total{{route=\"home\",code=\"503\"}} {half}\n\
                 api_writes_total{{outcome=\"acknowledged\"}} {count}\n\
                 api_writes_total{{outcome=\"timed_out\"}} {half}\n\
                 api_write_batch_documents_sum {count}\n\
                 api_write_batch_documents_count {half}\n\
                 api_write_queue_documents 7\n\
                 api_mongo_up 1\n{}",
                buckets("api_write_in_flight_seconds"),
                half = count / 2,
            );
            api.found(begun + Duration::from_secs(second), says(&metrics));
        }
        let apis = [api];
        let writes = Writes::of(&apis);
        assert!(is(writes.documents_per_second, 10.0), "{writes:?}");
        assert!(is(writes.errors_per_second, 5.0), "{writes:?}");
        assert!(is(writes.batch_documents, 2.0), "{writes:?}");
        assert!(is(writes.p50_seconds, 0.15), "{writes:?}");
        assert!(is(writes.queue_documents, 7.0), "{writes:?}");
        let upstream = Upstream::of(&[], &apis);
        assert!(is(upstream.requests_per_second, 15.0), "{upstream:?}");
        assert!(is(upstream.errors_per_second, 5.0), "{upstream:?}");
        assert_eq!(ReplicaFigures::of(&apis[0]).mongo_up, Some(true));
    }
}
