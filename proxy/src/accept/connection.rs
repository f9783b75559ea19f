//! A client's connection: one exchange after the other.
//!
//! Between exchanges a connection holds no buffers, only its socket, its timer and this task, so
//! that tens of thousands of idle ones cost little.

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering::Relaxed},
    task::Poll,
    time::{Duration, SystemTime},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::futures::Notified,
    time::{Instant, timeout},
};
use tokio_util::io::poll_read_buf;
use tracing::info;

use crate::{
    exchange::{
        Client, Exchange, Next, Pinned,
        error_page::{Failure, TOO_MANY_CONNECTIONS},
        relay::{READ_SIZE, poll_read_more},
        report::Report,
        watchdog::{Expired, Watchdog},
    },
    http1::{
        HeadScanner,
        head::{Side, skip_empty_lines},
    },
    observe::access_log,
    rewrite::{
        Span,
        request::{self, Origin, RequestFacts},
        request_id::RequestId,
    },
    worker::{
        Buffers, Worker,
        ledger::{Account, Turn},
    },
};

/// How long a client may be silent that is only read from so that it gets to read its response (nginx:
/// `lingering_timeout`).
const LINGER_SILENCE: Duration = Duration::from_secs(5);
/// Most clients, of all workers, that are told at a time that there are too many; the others are just
/// closed. They are among the files that the budget keeps for the process.
const MAX_TURNED_AWAY: usize = 32;

/// How long a connection that waits for a request is kept when draining begins: its client may have
/// sent one already, and closing would lose it.
const LAST_CALL: Duration = Duration::from_secs(1);

/// Serves a client until either side closes. It is counted from the first time that it runs: until then
/// one that makes room for it may be there as well.
pub async fn serve(stream: TcpStream, peer: SocketAddr, worker: Arc<Worker>, account: Account) {
    let counted = worker.connections.count();
    worker.metrics.accepted.fetch_add(1, Relaxed);
    let ip = peer.ip().to_canonical();
    let mut connection = Connection {
        peer: ip.to_string(),
        trusted: worker.settings.trusted_proxies.contains(ip),
        // The first head is awaited as any: a client that connects has something to say.
        watchdog: Watchdog::new(account, worker.settings.header_timeout),
        stream,
        pinned: Pinned::default(),
    };
    connection.run(&worker).await;
    drop(counted);
}

struct Connection {
    stream: TcpStream,
    peer: String,
    trusted: bool,
    watchdog: Watchdog,
    pinned: Pinned,
}

/// How reading a head ended.
enum HeadOutcome {
    /// The first so many bytes are a head.
    Head(usize),
    /// Nobody is there to be answered.
    Gone,
    /// There is to be an answer, and then the end.
    Refused(Failure),
}

impl Connection {
    async fn run(&mut self, worker: &Worker) {
        let mut draining = pin!(worker.drain.notified(worker.index));
        let Some(mut buffers) = self.idle(worker, draining.as_mut()).await else {
            return;
        };
        loop {
            let next = self.serve_request(worker, &mut buffers).await;
            if next == Next::KeepAlive {
                self.watchdog.account.served();
                skip_empty_lines(&mut buffers.client_in);
                if !buffers.client_in.is_empty() {
                    continue;
                }
            }
            if next == Next::Linger || (next == Next::Close && self.has_more(&buffers.client_in)) {
                self.linger(&mut buffers, worker, draining.as_mut()).await;
            }
            worker.return_buffers(buffers);
            self.watchdog.account.hold(0);
            if next != Next::KeepAlive {
                return;
            }
            self.watchdog.arm(Turn::Idle, worker.settings.idle_timeout);
            match self.idle(worker, draining.as_mut()).await {
                Some(filled) => buffers = filled,
                None => return,
            }
        }
    }

    /// Waits for the first bytes of a request, and takes buffers only for those. `None` when the
    /// connection is over.
    async fn idle(
        &mut self,
        worker: &Worker,
        mut draining: Pin<&mut Notified<'_>>,
    ) -> Option<Buffers> {
        let mut last_call = false;
        poll_fn(|cx| {
            // Readiness can be a rumour, only a read tells. `poll_read` knows that a read that
            // didn't fill the buffer has emptied the socket, which `try_read` has to ask again.
            while self.stream.poll_read_ready(cx).is_ready() {
                let mut buffers = worker.take_buffers();
                buffers.client_in.reserve(READ_SIZE);
                let read = poll_read_buf(Pin::new(&mut self.stream), cx, &mut buffers.client_in);
                skip_empty_lines(&mut buffers.client_in);
                if !buffers.client_in.is_empty() {
                    self.watchdog.account.hold(buffers.footprint());
                    return Poll::Ready(Some(buffers));
                }
                worker.return_buffers(buffers);
                if let Poll::Ready(Ok(0) | Err(_)) = read {
                    return Poll::Ready(None);
                }
            }
            if !last_call {
                last_call = worker.drain.has_started() || draining.as_mut().poll(cx).is_ready();
                if last_call {
                    self.watchdog.arm(Turn::Idle, LAST_CALL);
                }
            }
            self.watchdog.poll_expired(cx).map(|_| None)
        })
        .await
    }

    /// Reads one request and answers it.
    async fn serve_request(&mut self, worker: &Worker, buffers: &mut Buffers) -> Next {
        let outcome = self.read_head(worker, buffers).await;
        let started = Instant::now();
        let id = RequestId::mint(SystemTime::now());
        let mut facts = RequestFacts::default();
        let (head_len, verdict) = match outcome {
            HeadOutcome::Gone => return Next::Close,
            HeadOutcome::Refused(failure) => (buffers.client_in.len(), Err(failure)),
            HeadOutcome::Head(head_len) => {
                let origin = Origin {
                    peer: &self.peer,
                    proxies: self.trusted.then_some(&worker.settings.trusted_proxies),
                    upstream: &worker.upstream.name,
                    token: worker.settings.upstream_token.as_ref(),
                };
                buffers.to_upstream.clear();
                let head = &buffers.client_in[..head_len];
                let out = &mut buffers.to_upstream;
                let verdict = request::rewrite(head, origin, &id, &mut facts, out);
                (head_len, verdict.map_err(Failure::Request))
            }
        };
        let exchange = Exchange::new(
            worker,
            Client {
                stream: &mut self.stream,
                watchdog: &mut self.watchdog,
                pinned: &mut self.pinned,
            },
            buffers,
            id,
            facts,
            head_len,
        );
        let (next, report, end) = match verdict {
            Ok(()) => exchange.run().await,
            Err(failure) => exchange.refuse(failure).await,
        };
        self.report(
            worker,
            &buffers.client_in,
            &id,
            &facts,
            &report,
            started.elapsed(),
        );
        buffers.client_in.drain(..end.min(buffers.client_in.len()));
        next
    }

    /// Reads until a request head is complete; its first bytes are there.
    async fn read_head(&mut self, worker: &Worker, buffers: &mut Buffers) -> HeadOutcome {
        let mut scanner = HeadScanner::default();
        let mut waited = false;
        loop {
            let client_in = &mut buffers.client_in;
            skip_empty_lines(client_in);
            let begun = !client_in.is_empty() && client_in != b"\r";
            if begun {
                match scanner.scan(client_in, Side::Request) {
                    Ok(Some(head_len)) => return HeadOutcome::Head(head_len),
                    Ok(None) => {}
                    Err(error) => return HeadOutcome::Refused(Failure::Request(error)),
                }
            }
            if begun && !waited {
                waited = true;
                self.watchdog
                    .arm(Turn::Client, worker.settings.header_timeout);
            }
            client_in.reserve(READ_SIZE);
            match self.watchdog.guard(self.stream.read_buf(client_in)).await {
                Ok(Ok(1..)) => self.watchdog.account.hold(buffers.footprint()),
                Ok(Ok(0) | Err(_)) => return HeadOutcome::Gone,
                Err(_) if !begun => return HeadOutcome::Gone,
                Err(Expired::Late) => return HeadOutcome::Refused(Failure::ClientTimeout),
                Err(Expired::Evicted) => return HeadOutcome::Refused(Failure::Evicted),
            }
        }
    }

    /// Whether the client has sent more than was read of it.
    fn has_more(&self, client_in: &[u8]) -> bool {
        !client_in.is_empty() || matches!(self.stream.try_read(&mut [0]), Ok(1..))
    }

    /// Lets the client read its response before the connection is closed: closing with unread input
    /// makes the kernel reset the connection, which may discard the response (RFC 9112 §9.6).
    async fn linger(
        &mut self,
        buffers: &mut Buffers,
        worker: &Worker,
        mut draining: Pin<&mut Notified<'_>>,
    ) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        for buffer in buffers.all() {
            *buffer = Vec::new();
        }
        let scratch = &mut buffers.client_in;
        let end = Instant::now() + worker.settings.linger_timeout;
        let mut last_call = false;
        let mut last_read = 0;
        let silence = LINGER_SILENCE.min(worker.settings.linger_timeout);
        self.watchdog.arm(Turn::Client, silence);
        poll_fn(|cx| {
            loop {
                scratch.clear();
                match poll_read_more(&mut self.stream, cx, scratch, last_read) {
                    Poll::Ready(Ok(size @ 1..)) => last_read = size,
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => break,
                }
                let left = end.saturating_duration_since(Instant::now());
                if !last_call {
                    self.watchdog.arm(Turn::Client, left.min(LINGER_SILENCE));
                }
                if left.is_zero() {
                    return Poll::Ready(());
                }
            }
            self.watchdog.account.hold(scratch.capacity());
            if !last_call && (worker.drain.has_started() || draining.as_mut().poll(cx).is_ready()) {
                last_call = true;
                self.watchdog.arm(Turn::Client, LAST_CALL);
            }
            self.watchdog.poll_expired(cx).map(drop)
        })
        .await;
    }

    /// Counts and logs an exchange.
    fn report(
        &self,
        worker: &Worker,
        head: &[u8],
        id: &RequestId,
        facts: &RequestFacts,
        report: &Report,
        took: Duration,
    ) {
        let bytes = (report.received, report.sent);
        worker
            .metrics
            .request(facts.method, report.status, took, bytes);
        if report.retries > 0 {
            worker
                .metrics
                .retries
                .fetch_add(u64::from(report.retries), Relaxed);
        }
        if !worker.settings.access_log {
            return;
        }
        let text = |span: Span| String::from_utf8_lossy(span.get(head));
        let (method, target, user_agent) = (
            text(facts.method_token),
            text(facts.target),
            text(facts.user_agent),
        );
        let client = facts.client.map(|client| client.to_string());
        let reason = report.failure.map(Failure::reason);
        info!(
            target: access_log::TARGET,
            request_id = id.as_str(),
            client = client.as_deref().unwrap_or(&self.peer),
            method = &*method,
            path = &*target,
            status = u64::from(report.status),
            bytes_in = report.received,
            bytes_out = report.sent,
            duration_ms = millis(took),
            upstream = report.backend.as_ref().map_or("", |backend| backend.label.as_str()),
            upstream_ms = millis(report.upstream_time),
            retries = u64::from(report.retries),
            user_agent = &*user_agent,
            error = reason.as_deref(),
        );
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Tells a client that there are too many, without taking a place.
pub async fn turn_away(mut stream: TcpStream, worker: Arc<Worker>) {
    worker.metrics.turned_away.fetch_add(1, Relaxed);
    // It is there as long as this is: counted by its references, one of them the worker's own.
    let told = Arc::clone(&worker.turned_away);
    let share = (MAX_TURNED_AWAY / worker.settings.workers).max(1);
    if Arc::strong_count(&told) > share + 1 {
        return;
    }
    let answer = async {
        stream.write_all(TOO_MANY_CONNECTIONS).await?;
        stream.shutdown().await?;
        // What the client has sent is read so that closing doesn't reset the connection.
        let mut scratch = [0; 1024];
        while stream.read(&mut scratch).await? > 0 {}
        Ok::<(), io::Error>(())
    };
    let _ = timeout(Duration::from_secs(1), answer).await;
}
