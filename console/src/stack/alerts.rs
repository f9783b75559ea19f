//! The alerts that fire, as the stack's Prometheus says: containers/prometheus/alerts.yml has their rules.

use std::time::{Duration, Instant, SystemTime};

use hyper::StatusCode;
use serde::{Deserialize, Serialize};

use crate::settings::PrometheusUrl;
use crate::stack::figures::{maybe_rfc3339, rfc3339};
use crate::stack::replica::{Condition, State};
use crate::stack::scrape::{Endpoint, Failure, get};

/// How often it is asked: it looks itself each 15 seconds.
const OFTEN: Duration = Duration::from_secs(5);
/// The largest answer. An alert of the stack's rules has about 500 bytes.
const MOST_BYTES: usize = 64 << 10;
/// Most that are told, and of each of their texts the most characters.
const MOST_ALERTS: usize = 32;
const MOST_TEXT: usize = 400;

/// What `/api/stats` answers of them.
#[derive(Clone, Debug, Serialize)]
pub struct Alerts {
    /// The Prometheus that is asked.
    pub url: String,
    /// How that is.
    pub state: State,
    /// Why it doesn't say which fire.
    pub reason: Option<String>,
    /// Since when its state is this.
    #[serde(serialize_with = "rfc3339")]
    pub since: SystemTime,
    /// The most severe first, then the oldest.
    pub firing: Vec<Alert>,
    /// How many more fire than are told here.
    pub more: usize,
}

/// One that fires.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alert {
    pub name: String,
    /// `critical`, `warning`, or whatever its rule says.
    pub severity: Option<String>,
    pub summary: Option<String>,
    /// Where it says what to do.
    pub runbook: Option<String>,
    /// Since when what it watches is so.
    #[serde(serialize_with = "maybe_rfc3339")]
    pub since: Option<SystemTime>,
}

/// The Prometheus that is asked.
#[derive(Debug)]
pub(crate) struct Prometheus {
    url: PrometheusUrl,
    endpoint: Endpoint,
    asked: Option<Instant>,
    /// None until its name led somewhere: there is none then, and nothing to tell.
    found: Option<Condition>,
    firing: Vec<Alert>,
    more: usize,
}

impl Prometheus {
    pub(crate) fn new(url: PrometheusUrl) -> Self {
        Self {
            endpoint: Endpoint::new(url.host.clone()),
            url,
            asked: None,
            found: None,
            firing: Vec::new(),
            more: 0,
        }
    }

    /// Asks again, if the last time is long enough ago.
    pub(crate) async fn look(&mut self) {
        if self.asked.is_some_and(|asked| asked.elapsed() < OFTEN) {
            return;
        }
        self.asked = Some(Instant::now());
        let address = match self.endpoint.resolve().await {
            Ok(found) => found
                .first()
                .copied()
                .ok_or("its name leads nowhere".into()),
            Err(reason) => Err(reason),
        };
        let told = match address {
            Ok(address) => {
                let answer = get(address, &self.url.host, &self.url.path, MOST_BYTES).await;
                answer.and_then(|(status, text)| firing(status, &text))
            }
            // Where it was never found, there is none.
            Err(_) if self.found.is_none() => return,
            Err(reason) => Err(Failure::Away(reason)),
        };
        let (state, reason) = match told {
            Ok((firing, more)) => {
                (self.firing, self.more) = (firing, more);
                (State::Ready, None)
            }
            Err(failure) => {
                (self.firing, self.more) = (Vec::new(), 0);
                match failure {
                    Failure::Away(reason) => (State::Away, Some(reason)),
                    Failure::NotUnderstood(reason) => (State::NotUnderstood, Some(reason)),
                }
            }
        };
        let found = self.found.get_or_insert_with(|| Condition {
            state,
            reason: None,
            since: SystemTime::now(),
        });
        found.becomes(state, reason);
    }

    /// None where there is no Prometheus.
    pub(crate) fn alerts(&self) -> Option<Alerts> {
        let Condition {
            state,
            reason,
            since,
        } = self.found.clone()?;
        Some(Alerts {
            url: self.url.text.clone(),
            state,
            reason,
            since,
            firing: self.firing.clone(),
            more: self.more,
        })
    }
}

/// What is read of `/api/v1/alerts` ("HTTP API" of Prometheus); the rest takes no memory here.
#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    alerts: Vec<Told>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    state: String,
    labels: Labels,
    #[serde(default)]
    annotations: Annotations,
    active_at: Option<String>,
}

#[derive(Deserialize)]
struct Labels {
    alertname: String,
    severity: Option<String>,
}

#[derive(Default, Deserialize)]
struct Annotations {
    summary: Option<String>,
    runbook: Option<String>,
}

/// Those that fire, and how many more do.
fn firing(status: StatusCode, text: &str) -> Result<(Vec<Alert>, usize), Failure> {
    let not_understood = |what: String| Failure::NotUnderstood(what);
    if status != StatusCode::OK {
        return Err(not_understood(format!("it answers {status}")));
    }
    let answer: Answer = serde_json::from_str(text)
        .map_err(|error| not_understood(format!("not what a Prometheus answers: {error}")))?;
    let fires = |told: &Told| told.state == "firing";
    let all = answer.data.alerts.into_iter().filter(fires);
    let mut all: Vec<_> = all.map(Alert::from).collect();
    all.sort_by_key(|alert| (alert.urgency(), alert.since));
    let more = all.len().saturating_sub(MOST_ALERTS);
    all.truncate(MOST_ALERTS);
    Ok((all, more))
}

impl Alert {
    fn urgency(&self) -> u8 {
        match self.severity.as_deref() {
            Some("critical") => 0,
            Some("warning") => 1,
            _ => 2,
        }
    }
}

impl From<Told> for Alert {
    fn from(told: Told) -> Self {
        let since = told.active_at.as_deref();
        Self {
            name: bounded(told.labels.alertname),
            severity: told.labels.severity.map(bounded),
            summary: told.annotations.summary.map(bounded),
            runbook: told.annotations.runbook.map(bounded),
            since: since.and_then(|at| humantime::parse_rfc3339(at).ok()),
        }
    }
}

/// A text without what is too long of it.
fn bounded(text: String) -> String {
    match text.char_indices().nth(MOST_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_severe_come_first_and_no_more_than_there_is_room_for() {
        let alert = |name: &str, severity: &str, state: &str, at: u8| {
            format!(
                r#"{{"labels": {{"alertname": "{name}", "severity": "{severity}", "job": "x"}},
                "annotations": {{}}, "state": "{state}", "activeAt": "2026-01-01T00:00:{at:02}.5Z", "value": "1"}}"#
            )
        };
        let answer = |alerts: &[String]| {
            let alerts = alerts.join(",");
            let text = format!(r#"{{"status": "success", "data": {{"alerts": [{alerts}]}}}}"#);
            firing(StatusCode::OK, &text).unwrap()
        };
        let long = "é".repeat(MOST_TEXT + 1);
        let (all, more) = answer(&[
            alert("c", "warning", "firing", 9),
            alert("b", "warning", "firing", 2),
            alert("waits", "critical", "pending", 1),
            alert(&long, "critical", "firing", 30),
        ]);
        assert_eq!(all[0].name, format!("{}…", "é".repeat(MOST_TEXT)));
        let names: Vec<_> = all[1..].iter().map(|alert| &*alert.name).collect();
        assert_eq!((names, more), (vec!["b", "c"], 0));
        let (all, more) = answer(&vec![alert("a", "warning", "firing", 1); MOST_ALERTS + 3]);
        assert_eq!((all.len(), more), (MOST_ALERTS, 3));
    }

    #[test]
    fn another_answer_is_not_understood() {
        let is = |status, text: &str| match firing(status, text).unwrap_err() {
            Failure::NotUnderstood(reason) => reason,
            Failure::Away(reason) => panic!("{reason}"),
        };
        let reason = is(StatusCode::NOT_FOUND, "");
        assert_eq!(reason, "it answers 404 Not Found");
        let reason = is(StatusCode::OK, "<html>");
        assert!(reason.starts_with("not what a Prometheus answers: "));
    }
}
