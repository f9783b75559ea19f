//! A client's connection: one exchange after the other.
//!
//! Between exchanges a connection holds no buffers, only its socket, its timer and this task, so
//! that tens of thousands of idle ones cost little.

use std::{
    future::{Future, poll_fn},
    io, mem,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering::Relaxed},
    task::Poll,
    time::{Duration, SystemTime},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadBuf},
    net::TcpStream,
    sync::futures::Notified,
    task::unconstrained,
    time::{Instant, timeout},
};
use tokio_util::io::poll_read_buf;
use tracing::info;

use super::arrival::Arrival;
use crate::{
    edge::{Session, acme::challenges},
    exchange::{
        Client, Exchange, Next, Pinned, Summary,
        deadline::{Deadline, Expired},
        error_page::{Failure, TOO_MANY_CONNECTIONS},
        transport::{READ_SIZE, Transport, poll_read_more},
    },
    http1::{
        HeadScanner,
        head::{Side, skip_empty_lines},
    },
    http2,
    observe::{access_log, trace},
    rewrite::{
        hop::Hop,
        request::{self, Origin, RequestFacts},
        request_id::RequestId,
    },
    settings::Http2,
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
pub(crate) const LAST_CALL: Duration = Duration::from_secs(1);

/// Serves a client until either side closes, over TCP as it is.
pub(crate) async fn serve_plain(
    stream: TcpStream,
    peer: SocketAddr,
    worker: Arc<Worker>,
    account: Account,
) {
    let counted = worker.accepted();
    serve(stream, Arrival::plain(peer), worker, account).await;
    drop(counted);
}

/// Serves a client, who is counted already, until either side closes.
pub(crate) async fn serve(
    transport: impl Transport,
    arrival: Arrival,
    worker: Arc<Worker>,
    account: Account,
) {
    let mut connection = Connection::new(transport, &arrival, &worker, account);
    let Some(received) = connection.run(&worker).await else {
        connection.end().await;
        return;
    };
    let Connection {
        transport,
        deadline,
        ..
    } = connection;
    let session = http2::resume(transport, received, arrival, worker, deadline);
    // In a place of its own: all other connections are the smaller for it.
    Box::pin(session).await;
}

/// Serves a stream of a client's connection, which carries one request.
pub(crate) async fn serve_stream(
    stream: impl Transport,
    arrival: Arrival,
    worker: Arc<Worker>,
    account: Account,
) {
    Connection::new(stream, &arrival, &worker, account)
        .run(&worker)
        .await;
}

struct Connection<T> {
    transport: T,
    peer: String,
    hop: Hop,
    session: Option<Arc<Session>>,
    trusted: bool,
    deadline: Deadline,
    pinned: Pinned,
}

enum HeadOutcome {
    /// The first so many bytes are a head.
    Head(usize),
    /// Nobody is there to be answered.
    Gone,
    /// There is to be an answer, and then the end.
    Refused(Failure),
}

impl<T: Transport> Connection<T> {
    fn new(transport: T, arrival: &Arrival, worker: &Worker, account: Account) -> Self {
        let ip = arrival.peer.ip().to_canonical();
        Self {
            peer: ip.to_string(),
            hop: arrival.hop,
            session: arrival.session.clone(),
            trusted: worker.settings.trusted_proxies.contains(ip),
            // The first head is awaited as any: a client that connects has something to say.
            deadline: Deadline::new(account, worker.settings.header_timeout),
            transport,
            pinned: Pinned::default(),
        }
    }

    /// Serves requests until the end, or until there is a session of HTTP/2 instead, of which the first
    /// bytes are returned.
    async fn run(&mut self, worker: &Worker) -> Option<Vec<u8>> {
        let mut draining = pin!(worker.drain.notified(worker.index));
        let mut buffers = self.idle(worker, draining.as_mut()).await?;
        if self.may_begin_session(worker) && self.begins_session(&mut buffers).await {
            let received = mem::take(&mut buffers.up.input);
            worker.return_buffers(buffers);
            return Some(received);
        }
        loop {
            let next = self.serve_request(worker, &mut buffers).await;
            if next == Next::KeepAlive {
                self.deadline.account.served();
                skip_empty_lines(&mut buffers.up.input);
                if !buffers.up.input.is_empty() {
                    continue;
                }
            }
            if next == Next::Linger
                || (next == Next::Close && self.has_more(&buffers.up.input).await)
            {
                self.linger(&mut buffers, worker, draining.as_mut()).await;
            }
            worker.return_buffers(buffers);
            self.deadline.account.hold(0);
            if next != Next::KeepAlive {
                return None;
            }
            self.deadline.arm(Turn::Idle, worker.settings.idle_timeout);
            buffers = self.idle(worker, draining.as_mut()).await?;
        }
    }

    /// Whether HTTP/2 is spoken without having been agreed on.
    fn may_begin_session(&self, worker: &Worker) -> bool {
        worker.settings.http2 == Http2::PriorKnowledge && self.hop == Hop::default()
    }

    /// Whether the first bytes are the preface of HTTP/2; some of them are there.
    async fn begins_session(&mut self, buffers: &mut Buffers) -> bool {
        let input = &mut buffers.up.input;
        while http2::is_preface(input) {
            if input.len() >= http2::PREFACE.len() {
                return true;
            }
            let read = self.transport.read_buf(input);
            if !matches!(self.deadline.guard(read).await, Ok(Ok(1..))) {
                return false;
            }
        }
        false
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
            // `poll_read` knows that a read that didn't fill the buffer has emptied the socket, which
            // `try_read` has to ask again.
            while self.transport.poll_readable(cx).is_ready() {
                let mut buffers = worker.take_buffers();
                let input = &mut buffers.up.input;
                input.reserve(READ_SIZE);
                let read = poll_read_buf(Pin::new(&mut self.transport), cx, input);
                skip_empty_lines(input);
                if !input.is_empty() {
                    self.deadline.account.hold(buffers.footprint());
                    return Poll::Ready(Some(buffers));
                }
                worker.return_buffers(buffers);
                match read {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(None),
                    Poll::Ready(Ok(_)) => {}
                    Poll::Pending => break,
                }
            }
            if !last_call {
                last_call = worker.drain.has_started() || draining.as_mut().poll(cx).is_ready();
                if last_call {
                    self.deadline.arm(Turn::Idle, LAST_CALL);
                }
            }
            self.deadline.poll(cx).map(|_| None)
        })
        .await
    }

    async fn serve_request(&mut self, worker: &Worker, buffers: &mut Buffers) -> Next {
        let outcome = self.read_head(worker, buffers).await;
        let (started, begun) = (Instant::now(), SystemTime::now());
        let id = RequestId::mint(begun);
        let (head_len, refused) = match outcome {
            HeadOutcome::Gone => return Next::Close,
            HeadOutcome::Refused(failure) => (buffers.up.input.len(), Some(failure)),
            HeadOutcome::Head(head_len) => (head_len, None),
        };
        buffers.split_head(head_len);
        let Buffers { head, up, down } = buffers;
        up.output.clear();
        let hsts = worker.settings.hsts.as_deref();
        let mut facts = RequestFacts {
            hsts: hsts.filter(|_| self.hop.secure),
            ..RequestFacts::default()
        };
        let refused = refused.or_else(|| {
            let origin = Origin {
                peer: &self.peer,
                proxies: self.trusted.then_some(&worker.settings.trusted_proxies),
                upstream: &worker.upstream.name,
                token: worker.settings.upstream_token.as_ref(),
                hop: self.hop,
                tracer: worker.tracer.as_deref(),
            };
            let rewritten = request::rewrite(head, origin, &id, &mut facts, &mut up.output);
            rewritten.err().map(Failure::Request)
        });
        let client = Client {
            transport: &mut self.transport,
            deadline: &mut self.deadline,
            pinned: &mut self.pinned,
        };
        let exchange = Exchange::new(worker, client, id, &facts, head, up, down);
        let acme = worker.settings.acme.as_ref();
        let (next, summary) = if let Some(failure) = refused {
            exchange.refuse(failure).await
        } else if let Some(acme) = acme
            && let Some(proof) = challenges::http_answer(&acme.state, &facts)
        {
            exchange.prove(&proof).await
        } else {
            exchange.run().await
        };
        let took = started.elapsed();
        if let Some(tracer) = &worker.tracer {
            let span = *facts.span.get_or_insert_with(|| tracer.begin(None));
            tracer.end(&span, || {
                trace::told(&self.peer, self.hop, &id, &facts, &summary, (begun, took))
            });
        }
        self.log(worker, &id, &facts, &summary, took);
        next
    }

    /// Reads until a request head is complete; its first bytes are there.
    async fn read_head(&mut self, worker: &Worker, buffers: &mut Buffers) -> HeadOutcome {
        let mut scanner = HeadScanner::default();
        let mut waited = false;
        loop {
            let client_in = &mut buffers.up.input;
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
                self.deadline
                    .arm(Turn::Client, worker.settings.header_timeout);
            }
            client_in.reserve(READ_SIZE);
            let read = self.transport.read_buf(client_in);
            match self.deadline.guard(read).await {
                Ok(Ok(1..)) => self.deadline.account.hold(buffers.footprint()),
                Ok(Ok(0) | Err(_)) => return HeadOutcome::Gone,
                Err(_) if !begun => return HeadOutcome::Gone,
                Err(Expired::Late) => return HeadOutcome::Refused(Failure::ClientTimeout),
                Err(Expired::Evicted) => return HeadOutcome::Refused(Failure::Evicted),
            }
        }
    }

    /// Whether the client has sent more than was read of it.
    async fn has_more(&mut self, input: &[u8]) -> bool {
        let mut byte = [0];
        let mut byte = ReadBuf::new(&mut byte);
        let read = poll_fn(|cx| {
            let transport = Pin::new(&mut self.transport);
            Poll::Ready(transport.poll_read(cx, &mut byte).is_ready())
        });
        !input.is_empty() || (unconstrained(read).await && !byte.filled().is_empty())
    }

    /// Lets the client read its response before the connection is closed: closing with unread input
    /// makes the kernel reset the connection, which may discard the response (RFC 9112 §9.6).
    async fn linger(
        &mut self,
        buffers: &mut Buffers,
        worker: &Worker,
        mut draining: Pin<&mut Notified<'_>>,
    ) {
        if self.transport.shutdown().await.is_err() {
            return;
        }
        for buffer in buffers.all() {
            *buffer = Vec::new();
        }
        let scratch = &mut buffers.up.input;
        let end = Instant::now() + worker.settings.linger_timeout;
        let mut last_call = false;
        let mut last_read = 0;
        let silence = LINGER_SILENCE.min(worker.settings.linger_timeout);
        self.deadline.arm(Turn::Client, silence);
        poll_fn(|cx| {
            loop {
                scratch.clear();
                match poll_read_more(&mut self.transport, cx, scratch, last_read) {
                    Poll::Ready(Ok(size @ 1..)) => last_read = size,
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => break,
                }
                let left = end.saturating_duration_since(Instant::now());
                if !last_call {
                    self.deadline.arm(Turn::Client, left.min(LINGER_SILENCE));
                }
                if left.is_zero() {
                    return Poll::Ready(());
                }
            }
            self.deadline.account.hold(scratch.capacity());
            if !last_call && (worker.drain.has_started() || draining.as_mut().poll(cx).is_ready()) {
                last_call = true;
                self.deadline.arm(Turn::Client, LAST_CALL);
            }
            self.deadline.poll(cx).map(drop)
        })
        .await;
    }

    /// Has the client told that this is the end, as long as it takes that.
    async fn end(&mut self) {
        let Self {
            transport,
            deadline,
            ..
        } = self;
        let told = poll_fn(|cx| transport.poll_end(cx));
        let _ = deadline.within(Turn::Client, LINGER_SILENCE, told).await;
    }

    fn log(
        &self,
        worker: &Worker,
        id: &RequestId,
        facts: &RequestFacts<'_>,
        summary: &Summary,
        took: Duration,
    ) {
        let bytes = (summary.received, summary.sent);
        worker
            .metrics
            .request(facts.method, summary.status, took, bytes);
        if summary.retries > 0 {
            worker
                .metrics
                .retries
                .fetch_add(u64::from(summary.retries), Relaxed);
        }
        if !worker.settings.access_log {
            return;
        }
        let user_agent = String::from_utf8_lossy(facts.user_agent);
        let client = facts.client.map(|client| client.to_string());
        let reason = summary.failure.map(Failure::reason);
        let session = self.session.as_deref();
        let trace_id = facts.span.map(|span| span.context.trace_id.to_string());
        info!(
            target: access_log::TARGET,
            request_id = id.as_str(),
            client = client.as_deref().unwrap_or(&self.peer),
            method = facts.method_token,
            path = facts.target,
            status = u64::from(summary.status),
            bytes_in = summary.received,
            bytes_out = summary.sent,
            duration_ms = millis(took),
            upstream = summary.backend.as_ref().map_or("", |backend| backend.label.as_str()),
            upstream_ms = millis(summary.upstream_time),
            retries = u64::from(summary.retries),
            user_agent = &*user_agent,
            error = reason.as_deref(),
            protocol = self.hop.protocol(facts.version),
            trace_id = trace_id.as_deref(),
            tls_version = session.map(|session| session.version.name()),
            tls_cipher = session.map(|session| session.cipher),
            tls_server_name = session.and_then(|session| session.server_name.as_deref()),
            tls_resumed = session.map(|session| if session.resumed { "yes" } else { "no" }),
        );
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Tells a client that there are too many, without taking a place.
pub(crate) async fn turn_away(stream: TcpStream, worker: Arc<Worker>) {
    worker.metrics.turned_away.fetch_add(1, Relaxed);
    // It is there as long as this is: counted by its references, one of them the worker's own.
    let told = Arc::clone(&worker.turned_away);
    let share = (MAX_TURNED_AWAY / worker.settings.workers).max(1);
    if Arc::strong_count(&told) > share + 1 {
        return;
    }
    tell(stream, TOO_MANY_CONNECTIONS).await;
}

/// Sends a client this answer, whatever it has asked for, and closes.
pub(crate) async fn tell(mut stream: TcpStream, answer: &[u8]) {
    let answer = async {
        stream.write_all(answer).await?;
        stream.shutdown().await?;
        // What the client has sent is read so that closing doesn't reset the connection.
        let mut scratch = [0; 1024];
        while stream.read(&mut scratch).await? > 0 {}
        Ok::<(), io::Error>(())
    };
    let _ = timeout(Duration::from_secs(1), answer).await;
}

#[cfg(test)]
mod tests {
    use std::task::Context;

    use tokio::{
        io::{AsyncBufReadExt, BufReader, BufStream, DuplexStream, copy, duplex, split},
        net::TcpListener,
    };

    use super::*;
    use crate::{
        settings::Settings,
        upstream::Upstream,
        worker::{drain::Drain, ledger::Ledger},
    };

    /// As TLS: carried by something else, and sent when it is flushed.
    impl Transport for BufStream<DuplexStream> {
        fn poll_readable(&mut self, _: &mut Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }

        fn reset_on_close(&mut self) {}
    }

    fn worker(upstream: SocketAddr) -> Arc<Worker> {
        let address = upstream.to_string();
        let environment = [("PROXY_UPSTREAM", address.as_str()), ("PROXY_WORKERS", "1")];
        let environment = environment.map(|(name, value)| (name.into(), value.into()));
        let settings = Arc::new(Settings::load(None, environment).unwrap());
        let upstream = Arc::new(Upstream::new(&settings));
        let (connections, drain) = (Arc::default(), Arc::new(Drain::new(1)));
        let ledger = Ledger::new(1, usize::MAX);
        Arc::new(Worker::new(
            0,
            settings,
            upstream,
            connections,
            ledger,
            drain,
            None,
        ))
    }

    async fn head(stream: &mut (impl AsyncBufReadExt + Unpin)) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).await.unwrap() > 0 {}
        head
    }

    /// Takes a body of a million bytes, answers with one, and becomes an echo after the next head.
    async fn backend(listener: TcpListener) {
        let mut stream = BufReader::new(listener.accept().await.unwrap().0);
        let mut body = vec![0; 1_000_000];
        assert!(head(&mut stream).await.starts_with("POST /up HTTP/1.1\r\n"));
        stream.read_exact(&mut body).await.unwrap();
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
        assert!(head(&mut stream).await.contains("\r\nUpgrade: echo\r\n"));
        let answer =
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let (mut from, mut to) = split(stream);
        copy(&mut from, &mut to).await.unwrap();
        to.shutdown().await.unwrap();
    }

    #[tokio::test]
    async fn it_is_all_the_same_what_carries_the_bytes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let worker = worker(listener.local_addr().unwrap());
        let account = worker.ledger.open([192, 0, 2, 1].into()).unwrap();
        let (client, carrier) = duplex(1000);
        let peer = SocketAddr::from(([192, 0, 2, 1], 1));
        let served = serve(
            BufStream::new(carrier),
            Arrival::plain(peer),
            worker,
            account,
        );
        let asking = async {
            let mut client = BufReader::new(client);
            let body = "0123456789".repeat(100_000);
            let request =
                format!("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n{body}");
            client.write_all(request.as_bytes()).await.unwrap();
            assert!(head(&mut client).await.starts_with("HTTP/1.1 200 OK\r\n"));
            let mut answer = vec![0; body.len()];
            client.read_exact(&mut answer).await.unwrap();
            assert!(answer == body.as_bytes());
            let request =
                "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
            client.write_all(request.as_bytes()).await.unwrap();
            assert!(head(&mut client).await.starts_with("HTTP/1.1 101 "));
            for said in ["ping", "pong"] {
                let mut heard = [0; 4];
                client.write_all(said.as_bytes()).await.unwrap();
                client.read_exact(&mut heard).await.unwrap();
                assert_eq!(heard, said.as_bytes());
            }
            client.shutdown().await.unwrap();
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        };
        tokio::join!(served, backend(listener), asking);
    }
}
