//! Asking a part how it is: where it is, whether it is ready, and its metrics.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::stack::exposition::Exposition;

/// Longest time for a question.
const TIME_LIMIT: Duration = Duration::from_secs(1);
/// The largest answers: the parts' own metrics have about 15 KiB, and why one isn't ready is a line.
const MOST_METRICS: usize = 64 << 10;
const MOST_READINESS: usize = 4 << 10;
/// The largest head of one.
const MOST_HEAD: usize = 16 << 10;

/// A name and where it leads.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// `host:port`.
    pub(crate) host: String,
    /// A look-up that takes its time: no other is begun meanwhile.
    pending: Option<JoinHandle<io::Result<Vec<SocketAddr>>>>,
    /// What the last one found.
    last: Vec<SocketAddr>,
}

impl Endpoint {
    pub(crate) fn new(host: String) -> Self {
        Self {
            host,
            pending: None,
            last: Vec::new(),
        }
    }

    /// Every address that it has; those that it had, while DNS takes its time.
    pub(crate) async fn resolve(&mut self) -> Result<Vec<SocketAddr>, String> {
        let looking = self.pending.get_or_insert_with(|| {
            let host = self.host.clone();
            tokio::spawn(async move { Ok(lookup_host(host).await?.collect()) })
        });
        let Ok(found) = timeout(TIME_LIMIT, looking).await else {
            return Ok(self.last.clone());
        };
        self.pending = None;
        self.last.clear();
        let mut found = found
            .map_err(io::Error::other)
            .flatten()
            .map_err(|error| error.to_string())?;
        found.sort_unstable();
        found.dedup();
        self.last.clone_from(&found);
        Ok(found)
    }
}

/// What a part that answers says.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Or why it isn't.
    pub(crate) ready: Result<(), String>,
    pub(crate) metrics: Exposition,
}

/// Why there is no such answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// There is none at all.
    Away(String),
    /// There is another.
    NotUnderstood(String),
}

/// Asks the part at `address`, whose name is `name`, for the metrics that are `wanted`.
pub(crate) async fn scrape(
    address: SocketAddr,
    name: &str,
    wanted: &[&str],
) -> Result<Answer, Failure> {
    let (metrics, ready) = tokio::join!(
        get(address, name, "/metrics", MOST_METRICS),
        get(address, name, "/readyz", MOST_READINESS)
    );
    let metrics = match metrics? {
        (StatusCode::OK, text) => {
            Exposition::parse(&text, wanted).map_err(Failure::NotUnderstood)?
        }
        (status, _) => {
            let reason = format!("/metrics answers {status}");
            return Err(Failure::NotUnderstood(reason));
        }
    };
    let ready = match ready {
        Ok((StatusCode::OK, _)) => Ok(()),
        Ok((_, reason)) => Err(reason.lines().next().unwrap_or_default().to_owned()),
        Err(Failure::Away(reason) | Failure::NotUnderstood(reason)) => Err(reason),
    };
    Ok(Answer { ready, metrics })
}

/// The status and the body of what a `GET` of `path` is answered, which may have so many bytes.
pub(crate) async fn get(
    address: SocketAddr,
    name: &str,
    path: &str,
    most: usize,
) -> Result<(StatusCode, String), Failure> {
    let exchange = timeout(TIME_LIMIT, exchange(address, name, path, most));
    let answer = exchange.await.map_err(|_| {
        let reason = format!("{path}: no answer within {TIME_LIMIT:?}");
        Failure::Away(reason)
    })?;
    let (status, body) = answer.map_err(|error| Failure::Away(words(&*error)))?;
    let not_understood = |what: &str| Failure::NotUnderstood(format!("{path}: {what}"));
    let body = body.ok_or_else(|| not_understood(&format!("more than {} KiB", most >> 10)))?;
    let text = String::from_utf8(body).map_err(|_| not_understood("not UTF-8"))?;
    Ok((status, text))
}

/// Without the number that the system gives it.
fn words(error: &dyn Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or_default();
    words.to_owned()
}

type AnyError = Box<dyn Error + Send + Sync>;

/// The answer's status and body; no body where that is larger than `most`.
async fn exchange(
    address: SocketAddr,
    name: &str,
    path: &str,
    most: usize,
) -> Result<(StatusCode, Option<Vec<u8>>), AnyError> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MOST_HEAD)
        .handshake(TokioIo::new(stream))
        .await?;
    let request = Request::get(path)
        .header(HOST, name)
        .header(ACCEPT, "text/plain")
        .body(Empty::<Bytes>::new())?;
    let exchange = async {
        let (head, mut body) = sender.send_request(request).await?.into_parts();
        let mut taken = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else {
                continue;
            };
            if taken.len() + data.len() > most {
                return Ok((head.status, None));
            }
            taken.extend_from_slice(&data);
        }
        Ok((head.status, Some(taken)))
    };
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // It may end before the answer is read to its end.
        ended = connection => {
            ended?;
            exchange.await
        }
    }
}
