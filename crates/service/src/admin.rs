//! The admin listener: `/healthz`, `/readyz`, `/metrics`. Never published.
//!
//! It speaks just enough HTTP for a probe and a scraper: one GET or HEAD per connection.

use std::{
    collections::VecDeque, future::Future, io, net::TcpListener as StdListener, sync::Arc,
    time::Duration,
};

use httparse::{EMPTY_HEADER, Header, Request};
use prometheus_client::registry::Registry;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
    time::{Instant, sleep, timeout, timeout_at},
};

use crate::metrics::{Exposition, expose};

/// Most connections at a time. One more ends the oldest: whoever is silent can't keep a health check
/// out.
const MAX_CONNECTIONS: usize = 64;
/// Longest time for a request to come in.
const HEAD_LIMIT: Duration = Duration::from_secs(1);
/// Longest time for a request and its answer.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// The largest head, and the most fields in it.
const MAX_HEAD: usize = 32 << 10;
const MAX_FIELDS: usize = 100;

/// How a service is. What keeps it from being well is told as a line.
pub trait Status: Send + Sync + 'static {
    /// `/healthz`: whether it serves at all.
    fn alive(&self) -> impl Future<Output = Result<(), String>> + Send;
    /// `/readyz`: whether requests should be sent to it.
    fn ready(&self) -> impl Future<Output = Result<(), String>> + Send;
    /// `/metrics`.
    fn registry(&self) -> &Registry;
}

/// Answers on `listener`, which doesn't block, until dropped.
pub async fn serve(listener: StdListener, status: Arc<impl Status>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut newest = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if newest.len() >= MAX_CONNECTIONS
                    && let Some(oldest) = newest.pop_front()
                {
                    AbortHandle::abort(&oldest);
                }
                let status = Arc::clone(&status);
                let task = tokio::spawn(async move {
                    // Whoever is too slow is told nothing.
                    let _ = timeout(TIME_LIMIT, answer(stream, &*status)).await;
                });
                newest.push_back(task.abort_handle());
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed on the admin listener");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn answer(mut stream: TcpStream, status: &impl Status) -> io::Result<()> {
    let mut input = Vec::with_capacity(1024);
    let deadline = Instant::now() + HEAD_LIMIT;
    let reply = loop {
        match head_of(&input) {
            Err(refusal) => break response("400 Bad Request", PLAIN, &refusal, true),
            Ok(Some(head)) => break reply(&head, status).await,
            Ok(None) => {}
        }
        match timeout_at(deadline, stream.read_buf(&mut input)).await {
            Ok(Ok(1..)) => {}
            _ => return Ok(()),
        }
    };
    stream.write_all(&reply).await?;
    stream.shutdown().await?;
    // Reading to the end keeps the kernel from resetting the connection over unread input.
    while stream.read(&mut [0; 512]).await? > 0 {}
    Ok(())
}

/// What is looked at of a request.
struct Head {
    method: String,
    path: String,
    accept: String,
}

/// The head that `input` begins with, once it is complete; or what is wrong with it.
fn head_of(input: &[u8]) -> Result<Option<Head>, String> {
    let mut fields = [EMPTY_HEADER; MAX_FIELDS];
    let mut request = Request::new(&mut fields);
    let parsed = request.parse(input).map_err(|error| format!("{error}\n"))?;
    if parsed.is_partial() {
        return match input.len() {
            0..MAX_HEAD => Ok(None),
            _ => Err("the head is too large\n".to_owned()),
        };
    }
    let target = request.path.unwrap_or_default();
    Ok(Some(Head {
        method: request.method.unwrap_or_default().to_owned(),
        path: target.split('?').next().unwrap_or_default().to_owned(),
        accept: accept(request.headers).to_owned(),
    }))
}

/// The formats that the client takes; those that it names in a second such field don't count.
fn accept<'h>(fields: &[Header<'h>]) -> &'h str {
    let mut fields = fields.iter();
    let accept = fields.find(|field| field.name.eq_ignore_ascii_case("accept"));
    accept
        .and_then(|field| str::from_utf8(field.value).ok())
        .unwrap_or_default()
}

async fn reply(head: &Head, status: &impl Status) -> Vec<u8> {
    let with_body = match head.method.as_str() {
        "GET" => true,
        "HEAD" => false,
        _ => return response("405 Method Not Allowed", PLAIN, "GET or HEAD\n", true),
    };
    let told = |told: Result<(), String>, well: &str| match told {
        Ok(()) => response(OK, PLAIN, well, with_body),
        Err(reason) => response(UNAVAILABLE, PLAIN, &format!("{reason}\n"), with_body),
    };
    match head.path.as_str() {
        "/healthz" => told(status.alive().await, "ok\n"),
        "/readyz" => told(status.ready().await, "ready\n"),
        "/metrics" => match expose(status.registry(), &head.accept) {
            Ok(Exposition { media_type, text }) => response(OK, media_type, &text, with_body),
            Err(error) => {
                let status = "500 Internal Server Error";
                response(status, PLAIN, &format!("{error}\n"), with_body)
            }
        },
        _ => {
            let there_are = "/healthz, /readyz or /metrics\n";
            response("404 Not Found", PLAIN, there_are, with_body)
        }
    }
}

const OK: &str = "200 OK";
const UNAVAILABLE: &str = "503 Service Unavailable";
const PLAIN: &str = "text/plain; charset=utf-8";

fn response(status: &str, media_type: &str, body: &str, with_body: bool) -> Vec<u8> {
    let length = body.len();
    let body = if with_body { body } else { "" };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}
