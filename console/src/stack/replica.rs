//! One process of a part, as it is found from time to time.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use crate::stack::exposition::Exposition;
use crate::stack::scrape::Answer;
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

    /// It was asked, and said this.
    pub(crate) fn found(&mut self, answer: Result<Answer, String>) {
        match answer {
            Ok(Answer { ready, metrics }) => {
                self.take(metrics);
                match ready {
                    Ok(()) => self.condition.becomes(State::Ready, None),
                    Err(reason) => self.condition.becomes(State::NotReady, Some(reason)),
                }
            }
            Err(reason) => {
                self.forget_figures();
                self.condition.becomes(State::Away, Some(reason));
            }
        }
    }

    /// Its name doesn't lead to it any more.
    pub(crate) fn gone(&mut self) {
        self.forget_figures();
        self.condition.becomes(State::Gone, None);
    }

    fn take(&mut self, metrics: Exposition) {
        let now = Instant::now();
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
