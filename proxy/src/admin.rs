//! The admin listener: `/healthz`, `/readyz`, `/metrics`.
//!
//! It speaks just enough HTTP for a probe and a scraper: one GET or HEAD per connection.

use std::{collections::VecDeque, io, net::TcpListener as StdListener, sync::Arc, time::Duration};

use async_trait::async_trait;
use pingora_core::{
    server::{ListenFds, ShutdownWatch},
    services::Service,
};
use prometheus_client::registry::Registry;
use service::metrics::{self, Exposition};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
    time::{sleep, timeout},
};
use tracing::{error, warn};

use crate::{
    config::Settings,
    http1::{
        HeadScanner, Method, SyntaxError,
        head::{MAX_FIELDS, Side, parse_request},
    },
    listener::handover::{Accepting, Handover},
    upstream::{Upstream, probe},
    worker::drain::Drain,
};

/// Most connections at a time. One more ends the oldest: whoever is silent can't keep a health check
/// out.
const MAX_CONNECTIONS: usize = 64;
/// Longest time for a request to come in.
const HEAD_LIMIT: Duration = Duration::from_secs(1);
/// Longest time for a request and its answer.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// The service that runs what isn't about requests: admin, probes; on one thread.
pub struct Control {
    /// Where the admin endpoints are served; taken when the service starts.
    pub listener: Option<StdListener>,
    /// What fetches the listening sockets from their holder, where there is one.
    pub handover: Option<Handover>,
    /// What they tell.
    pub state: Arc<State>,
    /// The settings.
    pub settings: Arc<Settings>,
}

/// What the endpoints tell.
pub struct State {
    /// The backends.
    pub upstream: Arc<Upstream>,
    /// Whether the process is stopping.
    pub drain: Arc<Drain>,
    /// Whether there are sockets to accept on.
    pub accepting: Accepting,
    /// The metrics.
    pub registry: Registry,
}

#[async_trait]
impl Service for Control {
    async fn start_service(&mut self, _: Option<ListenFds>, _: ShutdownWatch, _: usize) {
        let upstream = &self.state.upstream;
        if let Some(handover) = self.handover.take() {
            tokio::spawn(handover.run());
        }
        tokio::spawn(probe::run(Arc::clone(upstream), Arc::clone(&self.settings)));
        if let Some(listener) = self.listener.take()
            && let Err(error) = serve(listener, &self.state).await
        {
            error!(%error, "admin listener can't be served");
        }
    }

    fn name(&self) -> &'static str {
        "control"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}

async fn serve(listener: StdListener, state: &Arc<State>) -> io::Result<()> {
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
                let state = Arc::clone(state);
                let task = tokio::spawn(async move {
                    // Whoever is too slow is told nothing.
                    let _ = timeout(TIME_LIMIT, answer(stream, &state)).await;
                });
                newest.push_back(task.abort_handle());
            }
            Err(error) => {
                warn!(%error, "accept failed on the admin listener");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn answer(mut stream: TcpStream, state: &State) -> io::Result<()> {
    let mut input = Vec::with_capacity(1024);
    let Ok(head) = timeout(HEAD_LIMIT, read_head(&mut stream, &mut input)).await else {
        return Ok(());
    };
    let reply = match head? {
        Ok(head_len) => reply(&input[..head_len], state),
        Err(error) => refusal(error),
    };
    stream.write_all(&reply).await?;
    stream.shutdown().await?;
    // Reading to the end keeps the kernel from resetting the connection over unread input.
    while stream.read(&mut [0; 512]).await? > 0 {}
    Ok(())
}

/// Reads until a head is complete; returns its length, or what is wrong with it.
async fn read_head(
    stream: &mut TcpStream,
    input: &mut Vec<u8>,
) -> io::Result<Result<usize, SyntaxError>> {
    let mut scanner = HeadScanner::default();
    loop {
        match scanner.scan(input, Side::Request) {
            Ok(Some(head_len)) => return Ok(Ok(head_len)),
            Ok(None) => {}
            Err(error) => return Ok(Err(error)),
        }
        if stream.read_buf(input).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn reply(head: &[u8], state: &State) -> Vec<u8> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let (line, fields) = match parse_request(head, &mut fields) {
        Ok(request) => request,
        Err(error) => return refusal(error),
    };
    if !matches!(line.method, Method::Get | Method::Head) {
        return response("405 Method Not Allowed", PLAIN, "GET or HEAD\n", true);
    }
    let with_body = line.method == Method::Get;
    let path = line.target.split('?').next().unwrap_or_default();
    match path {
        // A container that clients can't reach must not pass for one that may replace another.
        "/healthz" => match accepting(state) {
            Ok(()) => response(OK, PLAIN, "ok\n", with_body),
            Err(reason) => response(UNAVAILABLE, PLAIN, &reason, with_body),
        },
        "/readyz" => match readiness(state) {
            Ok(()) => response(OK, PLAIN, "ready\n", with_body),
            Err(reason) => response(UNAVAILABLE, PLAIN, &reason, with_body),
        },
        "/metrics" => match metrics::expose(&state.registry, accept(fields)) {
            Ok(Exposition { media_type, text }) => response(OK, media_type, &text, with_body),
            Err(_) => response(
                "500 Internal Server Error",
                PLAIN,
                "can't be rendered\n",
                with_body,
            ),
        },
        _ => response(
            "404 Not Found",
            PLAIN,
            "/healthz, /readyz or /metrics\n",
            with_body,
        ),
    }
}

/// The formats that the client takes; those that it names in a second such field don't count.
fn accept<'h>(fields: &[httparse::Header<'h>]) -> &'h str {
    let accept = fields
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("accept"));
    accept
        .and_then(|field| str::from_utf8(field.value).ok())
        .unwrap_or_default()
}

/// Whether requests should be sent here.
fn readiness(state: &State) -> Result<(), String> {
    if state.drain.has_started() {
        return Err("draining\n".to_owned());
    }
    accepting(state)?;
    if state.upstream.backends().is_empty() {
        return Err("upstream has no address\n".to_owned());
    }
    if !state.upstream.is_available() {
        return Err("no backend can be reached\n".to_owned());
    }
    Ok(())
}

/// Whether clients get here. Whoever looks is told why not: most often the holder of the sockets is
/// gone, or isn't where it is looked for.
fn accepting(state: &State) -> Result<(), String> {
    let accepting = state.accepting.now();
    accepting.map_err(|reason| format!("no listening sockets: PROXY_LISTEN_FROM = {reason}\n"))
}

const OK: &str = "200 OK";
const UNAVAILABLE: &str = "503 Service Unavailable";
const PLAIN: &str = "text/plain; charset=utf-8";

fn refusal(error: SyntaxError) -> Vec<u8> {
    response("400 Bad Request", PLAIN, &format!("{error}\n"), true)
}

fn response(status: &str, media_type: &str, body: &str, with_body: bool) -> Vec<u8> {
    let length = body.len();
    let body = if with_body { body } else { "" };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}
