//! Asking a part how it is: where it is, whether it is ready, and its metrics.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
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
/// The largest answer; the parts' own have about 15 KiB.
const MAX_ANSWER: usize = 1 << 20;

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

/// Asks the part at `address`, whose name is `name`, for the metrics that are `wanted`.
pub(crate) async fn scrape(
    address: SocketAddr,
    name: &str,
    wanted: &[&str],
) -> Result<Answer, String> {
    let (metrics, ready) = tokio::join!(
        get(address, name, "/metrics"),
        get(address, name, "/readyz")
    );
    let metrics = match metrics? {
        (StatusCode::OK, text) => Exposition::parse(&text, wanted)?,
        (status, _) => return Err(format!("/metrics answers {status}")),
    };
    let ready = match ready {
        Ok((StatusCode::OK, _)) => Ok(()),
        Ok((_, reason)) => Err(reason.lines().next().unwrap_or_default().to_owned()),
        Err(error) => Err(error),
    };
    Ok(Answer { ready, metrics })
}

async fn get(address: SocketAddr, name: &str, path: &str) -> Result<(StatusCode, String), String> {
    match timeout(TIME_LIMIT, exchange(address, name, path)).await {
        Ok(answer) => answer.map_err(|error| words(&*error)),
        Err(_) => Err(format!("{path}: no answer within {TIME_LIMIT:?}")),
    }
}

/// Without the number that the system gives it.
fn words(error: &dyn Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or_default();
    words.to_owned()
}

type AnyError = Box<dyn Error + Send + Sync>;

async fn exchange(
    address: SocketAddr,
    name: &str,
    path: &str,
) -> Result<(StatusCode, String), AnyError> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header(HOST, name)
        .header(ACCEPT, "text/plain")
        .body(Empty::<Bytes>::new())?;
    let exchange = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await?;
        let text = String::from_utf8(body.to_bytes().to_vec())?;
        Ok((head.status, text))
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
