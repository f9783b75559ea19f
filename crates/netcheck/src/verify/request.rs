//! Requests through published ports, from where they can be reached.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use compose_file::model::{Document, ServiceName};
use engine::Engine;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rand::distr::{Alphanumeric, SampleString};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::check::{Check, check};
use super::link::{HOST, Verdict};
use crate::inspect::Topology;
use crate::probe::image::Image;
use crate::probe::report::Reach;
use crate::probe::request::{Resource, Target};
use crate::probe::run::{Place, one};
use crate::probe::{self, Report, namespace};

/// For the whole exchange; a request that takes longer counts as unanswered.
const TIMEOUT: Duration = Duration::from_secs(10);
/// More of an answer than anybody looks at.
const MAX_ANSWER: usize = 256 * 1024;
/// What listens but has nothing behind it closes within this time.
const LINGER: Duration = Duration::from_millis(300);

/// A request that was answered as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    /// As the answer has it.
    pub(super) id: String,
    /// Part of the request's URL; letters and digits.
    pub(super) marker: String,
}

/// Where requests to a target are sent from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Vantage<'a> {
    /// This process.
    Here,
    /// A probe on the engine's host: the target's address is that host's alone.
    Host(&'a Engine, &'a Image),
}

/// Why a target gave no answer.
pub(super) enum Silence {
    /// It was asked.
    Seen(String),
    /// It couldn't be.
    NotAsked(String),
}

impl From<String> for Silence {
    fn from(seen: String) -> Self {
        Self::Seen(seen)
    }
}

impl<'a> Vantage<'a> {
    /// An engine behind a Unix socket publishes ports in its own network namespace, which need not be
    /// the one that this runs in. One that is asked over TCP has an address to be reached at, but what
    /// it publishes on its loopback can be reached there alone.
    pub(super) fn of(
        engine: &'a Engine,
        topology: &Topology,
        image: &'a Image,
        target: &Target,
    ) -> Self {
        let address: Option<IpAddr> = target.host.parse().ok();
        let loopback = target.host == "localhost" || address.is_some_and(|it| it.is_loopback());
        let here = match namespace::is_current(topology.host.namespace.as_deref()) {
            Some(true) => true,
            Some(false) => !engine.is_local() && !loopback,
            // Not looked at, or this isn't Linux and a local engine's ports are forwarded to it.
            None => engine.is_local() || !loopback,
        };
        if here {
            Self::Here
        } else {
            Self::Host(engine, image)
        }
    }

    /// The port takes a connection and keeps it.
    pub(super) async fn connects(self, service: &ServiceName, target: &Target) -> Check {
        let observed = match self {
            Self::Here => connect(target).await.map_err(Silence::Seen),
            Self::Host(engine, image) => {
                let request = probe::Request {
                    connect: vec![target.clone()],
                    ..question()
                };
                let report = ask(engine, image, &request).await;
                report.and_then(|report| {
                    let mut attempts = report.connected.into_iter().flat_map(|it| it.attempts);
                    match attempts.next().map(|it| it.reach) {
                        Some(Reach::Reached) => Ok(()),
                        other => Err(Silence::Seen(
                            other.map_or("no answer", Reach::as_str).to_owned(),
                        )),
                    }
                })
            }
        };
        judged(
            service,
            target,
            "tcp",
            "open",
            observed.map(|()| "open".to_owned()),
        )
    }

    /// The port answers HTTP, whatever the status.
    pub(super) async fn answers(self, service: &ServiceName, target: &Target, path: &str) -> Check {
        answered(service, target, "http", self.get(target, path).await)
    }

    /// A request that can be told from every other is answered 200 with the id it was stored under.
    pub(super) async fn marked(
        self,
        service: &ServiceName,
        target: &Target,
        path: &str,
        document: &Document,
    ) -> (Check, Option<Stored>) {
        let (marker, path) = marked(path);
        let answer = self.get(target, &path).await;
        stored(service, target, "http", document, (marker, answer))
    }

    async fn get(self, target: &Target, path: &str) -> Result<(StatusCode, String), Silence> {
        match self {
            Self::Here => Ok(tokio::time::timeout(TIMEOUT, exchange(target, path))
                .await
                .unwrap_or_else(|_| Err(format!("no answer within {} s", TIMEOUT.as_secs())))?),
            Self::Host(engine, image) => {
                let resource = Resource {
                    host: target.host.clone(),
                    port: target.port,
                    path: path.to_owned(),
                };
                let request = probe::Request {
                    get: vec![resource],
                    ..question()
                };
                let report = ask(engine, image, &request).await?;
                let not_asked =
                    || Silence::NotAsked("the probe on the engine's machine was silent".to_owned());
                let fetched = report.fetched.into_iter().next().ok_or_else(not_asked)?;
                let status = fetched
                    .status
                    .and_then(|status| StatusCode::from_u16(status).ok());
                let status = status.ok_or_else(|| fetched.error.unwrap_or_default())?;
                Ok((status, fetched.body))
            }
        }
    }
}

/// A word that nobody else uses, and the path with it.
pub(super) fn marked(path: &str) -> (String, String) {
    let marker = format!("verify{}", Alphanumeric.sample_string(&mut rand::rng(), 20));
    let path = path.replace("{marker}", &marker);
    (marker, path)
}

/// An answer, whatever its status.
pub(super) fn answered(
    service: &ServiceName,
    target: &Target,
    by: &'static str,
    answer: Result<(StatusCode, String), Silence>,
) -> Check {
    let observed = answer.map(|(status, _)| format!("an answer: {status}"));
    judged(service, target, by, "an answer", observed)
}

/// An answer to a marked request that says under which id it was stored.
pub(super) fn stored(
    service: &ServiceName,
    target: &Target,
    by: &'static str,
    document: &Document,
    (marker, answer): (String, Result<(StatusCode, String), Silence>),
) -> (Check, Option<Stored>) {
    let stored = answer.as_ref().ok().and_then(|(status, body)| {
        let id = (*status == StatusCode::OK).then(|| id(body, &document.answer))??;
        Some(Stored {
            id: id.to_owned(),
            marker,
        })
    });
    let observed = match (answer, &stored) {
        (_, Some(stored)) => Ok(format!("200, id {}", stored.id)),
        (Ok((status, body)), None) => {
            let body: String = body.trim().chars().take(80).collect();
            Err(Silence::Seen(format!("{status}: {body:?}")))
        }
        (Err(silence), None) => Err(silence),
    };
    let check = judged(service, target, by, "200 and an id", observed);
    (check, stored)
}

fn question() -> probe::Request {
    probe::Request {
        timeout_ms: u64::try_from(TIMEOUT.as_millis()).unwrap_or(u64::MAX),
        ..probe::Request::default()
    }
}

async fn ask(engine: &Engine, image: &Image, request: &probe::Request) -> Result<Report, Silence> {
    let report = one(engine, image, &Place::Host, request).await;
    report.map_err(|error| {
        Silence::NotAsked(format!(
            "it is an address of the engine's machine alone, and a look from there failed: {}",
            error.message
        ))
    })
}

fn judged(
    service: &ServiceName,
    target: &Target,
    by: &'static str,
    expected: &str,
    observed: Result<String, Silence>,
) -> Check {
    let to = format!("{service} ({target})");
    let cause =
        format!("is {service} healthy, and does what it depends on answer? `deploy logs` tells");
    let (observed, verdict) = match observed {
        Ok(saw) => (Ok(saw), None),
        Err(Silence::Seen(saw)) => (Err((saw, cause)), None),
        Err(Silence::NotAsked(why)) => {
            let saw = format!("not asked: {why}");
            (Err((saw, String::new())), Some(Verdict::Unjudged))
        }
    };
    let mut check = check((HOST, &to, by), expected, observed);
    check.verdict = verdict.unwrap_or(check.verdict);
    check
}

async fn connect(target: &Target) -> Result<(), String> {
    let tried = tokio::time::timeout(TIMEOUT, async {
        let mut stream = TcpStream::connect((target.host.as_str(), target.port)).await?;
        // Docker's port forwarder accepts before it knows whether anything listens behind it.
        match tokio::time::timeout(LINGER, stream.read_u8()).await {
            Ok(Err(err)) => Err(err),
            Ok(Ok(_)) | Err(_) => Ok(()),
        }
    });
    let tried: Result<io::Result<()>, _> = tried.await;
    tried
        .map_err(|_| "no answer".to_owned())?
        .map_err(|err| err.to_string())
}

async fn exchange(target: &Target, path: &str) -> Result<(StatusCode, String), String> {
    let stream = TcpStream::connect((target.host.as_str(), target.port))
        .await
        .map_err(|err| err.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|err| err.to_string())?;
    let request = Request::get(path)
        .header(header::HOST, target.to_string())
        .header(
            header::USER_AGENT,
            concat!("deploy/", env!("CARGO_PKG_VERSION")),
        )
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|err| err.to_string())?;
    let answer = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(|err| err.to_string())?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await;
        let body = body.map_err(|err| err.to_string())?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    // The connection only moves while it is polled; its own error shows in the answer.
    let (answer, _) = tokio::join!(answer, connection);
    answer
}

/// The letters and digits that stand for `{id}` of `pattern` in `body`.
fn id<'a>(body: &'a str, pattern: &str) -> Option<&'a str> {
    let (before, after) = pattern.split_once("{id}")?;
    let (_, rest) = body.split_once(before)?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric());
    let (id, rest) = rest.split_at(end.unwrap_or(rest.len()));
    (!id.is_empty() && rest.starts_with(after)).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_id_in_the_answer() {
        let body = "Request information stored successfully: 66f00000000000000000abcd\n";
        let expected = Some("66f00000000000000000abcd");
        assert_eq!(id(body, "stored successfully: {id}"), expected);
        assert_eq!(id("{\"id\": \"7\"}", "\"id\": \"{id}\""), Some("7"));
        assert_eq!(id("no id, deadbeef only", "successfully: {id}"), None);
        assert_eq!(id("successfully: ", "successfully: {id}"), None);
    }
}
