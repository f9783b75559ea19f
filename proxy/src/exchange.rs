//! One exchange: a request that is understood, and the response to it.
//!
//! ```text
//! take a small body in ─► connect ─► send the head, the body as it comes ─► await the response's head
//!                            ▲                                                │ 1xx: relay, wait on
//!                            └──── retry: nothing lost, nothing doubled ◄─────┤
//!                                                                             ▼
//!                                            relay the body, or tunnel (101), or answer with a page
//! ```
//!
//! A backend is never made to wait for a client if that can be helped: it hears of a small request when
//! that is complete, and its connection is free again when its response has been received, whether or
//! not the client has taken that.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use socket2::SockRef;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::Instant};
use tokio_util::io::poll_read_buf;

use crate::{
    error_page::{self, Delivery, Failure},
    headers::{
        request::RequestFacts,
        response::{self, Persistence, ResponseFacts},
    },
    http1::{BodyLength, HeadScanner, Method, SyntaxError, Version, head::Side},
    ledger::Turn,
    pace::Pace,
    relay::{
        Download, DownloadError, READ_SIZE, REPLAY_LIMIT, Upload, UploadError, poll_read_more,
    },
    request_id::RequestId,
    retry::{self, Attempts},
    tunnel::{self, Ends},
    upstream::{Backend, balancer::Lease, pool::is_quiet, slots::Slot},
    watchdog::{Expired, Watchdog},
    worker::{Buffers, Worker},
};

/// Most bytes of interim responses to one request.
const MAX_INTERIM: usize = 256 * 1024;
/// Most bytes of further requests that are read while a response is awaited.
const MAX_PIPELINED: usize = 64 * 1024;

/// What becomes of the client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It serves the next request.
    KeepAlive,
    /// It is closed.
    Close,
    /// It is closed, after giving the client time to read the response: it is still sending.
    Linger,
    /// It is closed at once, whatever the client makes of it.
    Drop,
}

/// What is known about an exchange when it is over, for the log and the metrics.
#[derive(Debug)]
pub struct Report {
    /// The status, 499 if the client was gone before there was one.
    pub status: u16,
    /// What went wrong, if anything.
    pub failure: Option<Failure>,
    /// The backend that was asked last.
    pub backend: Option<Arc<Backend>>,
    /// Time from choosing the backend to the head of its response.
    pub upstream_time: Duration,
    /// Attempts beyond the first.
    pub retries: u32,
    /// Bytes sent to the client.
    pub sent: u64,
    /// Bytes received from the client.
    pub received: u64,
}

/// A connection to a backend, in use.
pub struct UpstreamConnection {
    /// The connection.
    pub stream: TcpStream,
    /// The claim on the backend.
    pub lease: Lease,
    /// The place there; none for a tunnel.
    pub slot: Option<Slot>,
    /// Whether it has served a request before.
    pub reused: bool,
}

/// A client's own connection to a backend. Where a server asks for NTLM or Negotiate, who has logged in
/// is a matter of the connection (RFC 4559 §6): nobody else's request may go over it any more.
#[derive(Default)]
pub enum Pinned {
    /// Requests go over any connection.
    #[default]
    Never,
    /// They go over this one, or over a new one that becomes it.
    To(Option<UpstreamConnection>),
}

impl Pinned {
    /// The connection, if it is still open as far as can be known.
    fn take(&mut self) -> Option<UpstreamConnection> {
        let Self::To(connection) = self else {
            return None;
        };
        let mut connection = connection.take()?;
        connection.reused = true;
        is_quiet(&connection.stream).then_some(connection)
    }
}

/// One exchange.
pub struct Exchange<'c> {
    /// The worker it runs on.
    pub worker: &'c Worker,
    /// The client's connection.
    pub client: &'c mut TcpStream,
    /// The client connection's timer.
    pub watchdog: &'c mut Watchdog,
    /// The client's own connection to a backend.
    pub pinned: &'c mut Pinned,
    /// The memory; `client_in` starts with the request head, `to_upstream` is the rewritten one.
    pub buffers: &'c mut Buffers,
    /// The request's id.
    pub id: RequestId,
    /// The request.
    pub request: RequestFacts,
    /// The request on its way.
    pub upload: Upload,
    /// Whether the client has said that it sends nothing more. It may still want its answer.
    client_ended: bool,
    /// What is to be reported.
    pub report: Report,
}

/// A final response head; rewritten, it is in `to_client`.
struct ResponseHead {
    /// The response on its way, or what follows a 101.
    download: Download,
    facts: ResponseFacts,
    /// What the client was told.
    persistence: Persistence,
}

/// How waiting for a response ended without one.
#[derive(Debug, Clone, Copy)]
enum Interruption {
    /// The connection broke before the head of the final response was complete: the client has
    /// got nothing of it.
    Broken,
    /// Anything else.
    Failed(Failure),
}

impl<'c> Exchange<'c> {
    /// An exchange about the request whose head is the first `head_len` bytes of `client_in`.
    pub fn new(
        worker: &'c Worker,
        client: &'c mut TcpStream,
        watchdog: &'c mut Watchdog,
        pinned: &'c mut Pinned,
        buffers: &'c mut Buffers,
        id: RequestId,
        request: RequestFacts,
        head_len: usize,
    ) -> Self {
        let report = Report {
            status: 0,
            failure: None,
            backend: None,
            upstream_time: Duration::ZERO,
            retries: 0,
            sent: 0,
            received: 0,
        };
        let settings = &worker.settings;
        let pace = Pace::new(settings.header_timeout, settings.min_body_rate);
        let upload = Upload::new(head_len, request.body, settings.max_body, pace);
        Self {
            worker,
            client,
            watchdog,
            pinned,
            buffers,
            id,
            request,
            upload,
            client_ended: false,
            report,
        }
    }

    /// Runs it to its end.
    pub async fn run(mut self) -> (Next, Report, usize) {
        let outcome = if self.request.max_forwards == Some(0) {
            Ok(self.answer_options().await)
        } else {
            self.forward().await
        };
        let next = match outcome {
            Ok(next) => next,
            Err(failure) => self.fail(failure).await,
        };
        self.finish(next)
    }

    /// Answers a request that isn't forwarded.
    pub async fn refuse(mut self, failure: Failure) -> (Next, Report, usize) {
        let next = self.fail(failure).await;
        self.finish(next)
    }

    fn finish(mut self, next: Next) -> (Next, Report, usize) {
        self.report.received = self.upload.received;
        (next, self.report, self.upload.end())
    }

    async fn forward(&mut self) -> Result<Next, Failure> {
        if let BodyLength::Fixed(length) = self.request.body
            && length > self.worker.settings.max_body
        {
            return Err(Failure::Request(SyntaxError::BodyTooLarge));
        }
        // What has come in with the head is checked before any of it is sent.
        let Buffers {
            client_in,
            to_upstream,
            ..
        } = &mut *self.buffers;
        self.upload
            .take(client_in, to_upstream)
            .map_err(Failure::Request)?;

        if self.is_taken_in_whole() {
            self.take_in().await?;
        }
        let mut attempts = Attempts::default();
        loop {
            let started = Instant::now();
            let mut connection = self.connect(&mut attempts).await?;
            self.watchdog.account.has_upstream(true);
            self.buffers.upstream_in.clear();
            match self.response(&mut connection, started).await {
                Ok(head) => return Ok(self.respond(connection, head).await),
                Err(Interruption::Failed(failure)) => return Err(failure),
                Err(Interruption::Broken) => {
                    let deduplicates = self.worker.settings.upstream_token.is_some();
                    let safe = retry::is_safe(self.request.method, deduplicates, &self.upload);
                    if !safe || !self.upload.rewind() {
                        return Err(Failure::Broken);
                    }
                    attempts.broke(&connection).ok_or(Failure::Broken)?;
                    self.report.retries += 1;
                }
            }
        }
    }

    /// The client's own connection, or one that the request may have.
    async fn connect(&mut self, attempts: &mut Attempts) -> Result<UpstreamConnection, Failure> {
        if let Some(own) = self.pinned.take() {
            self.report.backend = Some(Arc::clone(own.lease.backend()));
            return Ok(own);
        }
        let streamed = !self.upload.is_received();
        retry::connect(
            self.worker,
            self.watchdog,
            attempts,
            &mut self.report,
            streamed,
        )
        .await
    }

    /// Whether the body is short, and comes without being asked for.
    const fn is_taken_in_whole(&self) -> bool {
        let short =
            matches!(self.request.body, BodyLength::Fixed(length) if length <= REPLAY_LIMIT as u64);
        short && !self.upload.is_received() && !self.request.expects_continue
    }

    /// Waits for the whole body.
    async fn take_in(&mut self) -> Result<(), Failure> {
        let Self {
            worker,
            client,
            watchdog,
            buffers,
            upload,
            ..
        } = self;
        let mut moved = true;
        poll_fn(|cx| {
            let received = upload.poll_receive(cx, client, buffers, &mut moved);
            watchdog.account.hold(buffers.footprint());
            if let Poll::Ready(received) = received {
                return Poll::Ready(received.map_err(Failure::of_upload));
            }
            if moved {
                moved = false;
                let limit = worker.settings.read_timeout.min(upload.patience());
                watchdog.arm(Turn::Client, limit);
                watchdog.account.moved(upload.received, Instant::now());
            }
            watchdog.poll_expired(cx).map(|expired| {
                Err(match expired {
                    Expired::Late => Failure::ClientTimeout,
                    Expired::Evicted => Failure::Evicted,
                })
            })
        })
        .await
    }

    /// Sends the request and waits for the final head of the response, which is left in
    /// `to_client`, rewritten. Interim responses are relayed on the way.
    async fn response(
        &mut self,
        connection: &mut UpstreamConnection,
        started: Instant,
    ) -> Result<ResponseHead, Interruption> {
        let failed = |failure| Interruption::Failed(failure);
        let mut interim = 0;
        while interim <= MAX_INTERIM {
            let head_len = self.await_head(connection).await?;
            self.report.upstream_time = started.elapsed();
            let keep = self.request.keep_alive
                && self.upload.is_received()
                && !self.worker.drain.has_started();
            let persistence = if keep {
                Persistence::Keep
            } else {
                Persistence::Close
            };
            self.buffers.to_client.clear();
            let facts = response::rewrite(
                &self.buffers.upstream_in[..head_len],
                &self.request,
                &self.id,
                persistence,
                self.worker.date().as_bytes(),
                &mut self.buffers.to_client,
            )
            .map_err(|error| failed(Failure::Response(error)))?;
            let mut download = Download::new(head_len, facts.body, facts.reframe);
            match facts.status {
                101 if self.request.upgrade => {}
                // Nobody has asked for another protocol.
                101 => return Err(failed(Failure::Response(SyntaxError::StartLine))),
                100..=199 => {
                    self.buffers.upstream_in.drain(..head_len);
                    if self.request.expects_continue {
                        self.request.expects_continue = false;
                        self.upload.restart_pace();
                    }
                    interim += head_len;
                    let wanted = facts.status != 103 || self.worker.settings.early_hints;
                    if self.request.version == Version::Http11 && wanted {
                        self.send_to_client().await.map_err(failed)?;
                    }
                    continue;
                }
                _ => {
                    // What has come with the head is checked while there can still be a 502.
                    let Buffers {
                        upstream_in,
                        to_client,
                        ..
                    } = &mut *self.buffers;
                    download
                        .take(upstream_in, to_client)
                        .map_err(|error| failed(Failure::Response(error)))?;
                }
            }
            return Ok(ResponseHead {
                download,
                facts,
                persistence,
            });
        }
        Err(failed(Failure::Response(SyntaxError::HeadTooLarge)))
    }

    /// Sends the request, and waits for a complete response head, whose length is returned.
    async fn await_head(
        &mut self,
        connection: &mut UpstreamConnection,
    ) -> Result<usize, Interruption> {
        let mut scanner = HeadScanner::default();
        let mut turn = None;
        let Self {
            worker,
            client,
            watchdog,
            buffers,
            upload,
            request,
            client_ended,
            ..
        } = self;
        let read_timeout = worker.settings.read_timeout;
        poll_fn(|cx| {
            let mut moved = false;
            if !upload.is_over() {
                let upstream = &mut connection.stream;
                match upload.poll(cx, client, upstream, buffers, &mut moved) {
                    // Its response may explain why it takes no more.
                    Poll::Ready(Ok(()) | Err(UploadError::Upstream)) | Poll::Pending => {}
                    Poll::Ready(Err(error)) => {
                        let failure = Failure::of_upload(error);
                        return Poll::Ready(Err(Interruption::Failed(failure)));
                    }
                }
                if upload.is_received()
                    && let Some(slot) = &mut connection.slot
                {
                    slot.completed();
                }
            }
            if let Poll::Ready(head) = poll_head(
                cx,
                &mut connection.stream,
                &mut buffers.upstream_in,
                &mut scanner,
                &mut moved,
            ) {
                return Poll::Ready(head);
            }
            if upload.is_over()
                && !*client_ended
                && let Poll::Ready(ended) = poll_end(cx, client, &mut buffers.client_in)
            {
                match ended {
                    Ok(()) => *client_ended = true,
                    Err(_) => {
                        return Poll::Ready(Err(Interruption::Failed(Failure::ClientGone)));
                    }
                }
            }
            watchdog.account.hold(buffers.footprint());
            let waits_for_client = upload.waits_for_client() && !request.expects_continue;
            let (now, limit) = if waits_for_client {
                (Turn::Client, read_timeout.min(upload.patience()))
            } else {
                (Turn::Upstream, read_timeout)
            };
            if moved || turn != Some(now) {
                turn = Some(now);
                watchdog.arm(now, limit);
                watchdog.account.moved(upload.received, Instant::now());
            }
            watchdog.poll_expired(cx).map(|expired| {
                Err(Interruption::Failed(match expired {
                    Expired::Evicted => Failure::Evicted,
                    Expired::Late if waits_for_client => Failure::ClientTimeout,
                    Expired::Late => Failure::ResponseTimeout,
                }))
            })
        })
        .await
    }

    /// Relays a final response, or tunnels.
    async fn respond(&mut self, mut connection: UpstreamConnection, head: ResponseHead) -> Next {
        let ResponseHead {
            mut download,
            facts,
            persistence,
        } = head;
        self.report.status = facts.status;
        if facts.status == 101 {
            return self.tunnel(connection, &download).await;
        }
        let mut result = self.relay(&mut connection, &mut download).await;
        if result.is_ok() {
            let reusable = facts.upstream_keeps
                && self.upload.is_complete()
                && self.buffers.upstream_in.len() == download.end();
            self.release(connection, reusable, facts.binds_connection);
            result = self.send_rest(&mut download).await;
        }
        self.report.sent += download.sent;
        if let Err(failure) = result {
            self.report.failure = Some(failure);
            let evicted = failure == Failure::Evicted;
            if evicted || (!facts.delimited && failure != Failure::ClientGone) {
                // Only a reset tells such a client that the body is not complete, and frees what the
                // kernel holds for one that doesn't read.
                let _ = SockRef::from(&*self.client).set_linger(Some(Duration::ZERO));
            }
            return Next::Close;
        }
        if !self.upload.is_received() {
            Next::Linger
        } else if persistence == Persistence::Keep && facts.delimited {
            Next::KeepAlive
        } else {
            Next::Close
        }
    }

    /// Gives the connection to a backend back, if it can be used again.
    fn release(&mut self, connection: UpstreamConnection, reusable: bool, binds: bool) {
        if binds && matches!(self.pinned, Pinned::Never) {
            *self.pinned = Pinned::To(None);
        }
        let pinned = matches!(self.pinned, Pinned::To(_));
        self.watchdog.account.has_upstream(reusable && pinned);
        if !reusable {
            return;
        }
        if pinned {
            *self.pinned = Pinned::To(Some(connection));
        } else {
            let UpstreamConnection { stream, lease, .. } = connection;
            lease.backend().keep_idle(self.worker.index, stream);
        }
    }

    /// Relays whatever the two sides have to say after a 101.
    async fn tunnel(&mut self, mut connection: UpstreamConnection, head: &Download) -> Next {
        let Buffers {
            client_in,
            to_upstream,
            upstream_in,
            to_client,
        } = &mut *self.buffers;
        // Tunnels don't stand in anybody's way: how many there are, the client connections limit.
        connection.slot = None;
        self.watchdog.account.has_upstream(false);
        self.watchdog.account.served();
        // The head of the request stays where it is, for the access log.
        to_upstream.clear();
        to_upstream.extend(client_in.drain(self.upload.end()..));
        to_client.extend(upstream_in.drain(head.end()..));
        let moved = tunnel::run(
            Ends {
                client: self.client,
                upstream: &mut connection.stream,
            },
            to_upstream,
            to_client,
            self.watchdog,
            self.worker.settings.read_timeout,
        )
        .await;
        self.upload.received += moved.from_client;
        self.report.sent += moved.to_client;
        Next::Close
    }

    /// Relays the body of the response until it is received, and what is left of the request's.
    async fn relay(
        &mut self,
        connection: &mut UpstreamConnection,
        download: &mut Download,
    ) -> Result<(), Failure> {
        if download.is_received() {
            return Ok(());
        }
        let Self {
            worker,
            client,
            watchdog,
            buffers,
            upload,
            client_ended,
            ..
        } = self;
        let read_timeout = worker.settings.read_timeout;
        let mut moved = true;
        poll_fn(|cx| {
            let upstream = &mut connection.stream;
            if let Poll::Ready(result) = download.poll(cx, upstream, client, buffers, &mut moved) {
                return Poll::Ready(result.map_err(|error| match error {
                    DownloadError::ClientGone => Failure::ClientGone,
                    DownloadError::Upstream => Failure::Broken,
                    DownloadError::Response(error) => Failure::Response(error),
                }));
            }
            if upload.is_over() {
                if !*client_ended
                    && let Poll::Ready(ended) = poll_end(cx, client, &mut buffers.client_in)
                {
                    match ended {
                        Ok(()) => *client_ended = true,
                        Err(_) => return Poll::Ready(Err(Failure::ClientGone)),
                    }
                }
            } else if let Poll::Ready(Err(error)) =
                upload.poll(cx, client, upstream, buffers, &mut moved)
                && error != UploadError::Upstream
            {
                return Poll::Ready(Err(Failure::of_upload(error)));
            }
            watchdog.account.hold(buffers.footprint());
            let waits_for_client = download.waits_for_client();
            if moved {
                moved = false;
                let turn = if waits_for_client {
                    Turn::Client
                } else {
                    Turn::Upstream
                };
                watchdog.arm(turn, read_timeout);
                let total = upload.received + download.sent;
                watchdog.account.moved(total, Instant::now());
            }
            watchdog.poll_expired(cx).map(|expired| {
                Err(match expired {
                    Expired::Evicted => Failure::Evicted,
                    Expired::Late if waits_for_client => Failure::ClientStalled,
                    Expired::Late => Failure::ResponseTimeout,
                })
            })
        })
        .await
    }

    /// Sends what is left of a response that is received.
    async fn send_rest(&mut self, download: &mut Download) -> Result<(), Failure> {
        let Self {
            worker,
            client,
            watchdog,
            buffers,
            ..
        } = self;
        let mut moved = true;
        poll_fn(|cx| {
            let sent = download.poll_send(cx, client, &buffers.to_client, &mut moved);
            if let Poll::Ready(sent) = sent {
                return Poll::Ready(sent.map_err(|_| Failure::ClientGone));
            }
            if moved {
                moved = false;
                watchdog.arm(Turn::Client, worker.settings.read_timeout);
                watchdog.account.moved(download.sent, Instant::now());
            }
            watchdog.account.hold(buffers.footprint());
            watchdog.poll_expired(cx).map(|expired| {
                Err(match expired {
                    Expired::Evicted => Failure::Evicted,
                    Expired::Late => Failure::ClientStalled,
                })
            })
        })
        .await
    }

    /// Answers OPTIONS as its final recipient (RFC 9110 §7.6.2).
    async fn answer_options(&mut self) -> Next {
        self.report.status = 200;
        let keep = self.request.keep_alive
            && self.upload.is_received()
            && !self.worker.drain.has_started();
        let date = self.worker.date();
        self.buffers.to_client.clear();
        let out = &mut self.buffers.to_client;
        error_page::write_options(out, &self.id, !keep, date.as_bytes());
        match self.send_to_client().await {
            Ok(()) if keep => Next::KeepAlive,
            Ok(()) => Next::Linger,
            Err(_) => Next::Close,
        }
    }

    /// Answers with an error page; silently where nobody would read it.
    async fn fail(&mut self, failure: Failure) -> Next {
        self.report.status = failure.status();
        self.report.failure = Some(failure);
        if failure == Failure::ClientGone {
            return Next::Close;
        }
        if failure == Failure::Evicted {
            // It has to go now: it gets the page if it takes it at once.
            self.write_page(failure, true);
            if let Ok(sent) = self.client.try_write(&self.buffers.to_client) {
                self.report.sent += sent as u64;
            }
            return Next::Drop;
        }
        let malformed = matches!(failure, Failure::Request(_) | Failure::ClientTimeout);
        let keep = self.request.keep_alive
            && self.upload.is_received()
            && !malformed
            && !self.worker.drain.has_started();
        self.write_page(failure, !keep);
        match self.send_to_client().await {
            Ok(()) if keep => Next::KeepAlive,
            Ok(()) => Next::Linger,
            Err(_) => Next::Close,
        }
    }

    fn write_page(&mut self, failure: Failure, close: bool) {
        let date = self.worker.date();
        let delivery = Delivery {
            format: self.request.error_format,
            head_only: self.request.method == Method::Head,
            close,
            date: date.as_bytes(),
        };
        self.buffers.to_client.clear();
        error_page::write(&mut self.buffers.to_client, failure, &self.id, delivery);
    }

    /// Writes all of `to_client`.
    async fn send_to_client(&mut self) -> Result<(), Failure> {
        let limit = self.worker.settings.read_timeout;
        self.watchdog.arm(Turn::Client, limit);
        let send = self.client.write_all(&self.buffers.to_client);
        match self.watchdog.guard(send).await {
            Ok(Ok(())) => {
                self.report.sent += self.buffers.to_client.len() as u64;
                Ok(())
            }
            _ => Err(Failure::ClientGone),
        }
    }
}

/// Reads until a response head is complete.
fn poll_head(
    cx: &mut Context<'_>,
    upstream: &mut TcpStream,
    upstream_in: &mut Vec<u8>,
    scanner: &mut HeadScanner,
    moved: &mut bool,
) -> Poll<Result<usize, Interruption>> {
    loop {
        match scanner.scan(upstream_in, Side::Response) {
            Ok(Some(head_len)) => return Poll::Ready(Ok(head_len)),
            Ok(None) => {}
            Err(error) => {
                return Poll::Ready(Err(Interruption::Failed(Failure::Response(error))));
            }
        }
        match ready!(poll_read_more(upstream, cx, upstream_in, 0)) {
            Ok(1..) => *moved = true,
            Ok(0) | Err(_) => return Poll::Ready(Err(Interruption::Broken)),
        }
    }
}

/// Ready when the client has ended its side of the connection while it waits for a response, or with
/// an error when it has reset it.
///
/// The end of its side is not the end of its interest: it may only have nothing more to ask. Further
/// requests that it sends meanwhile are kept for later, within limits.
fn poll_end(
    cx: &mut Context<'_>,
    client: &mut TcpStream,
    client_in: &mut Vec<u8>,
) -> Poll<io::Result<()>> {
    while client_in.len() < MAX_PIPELINED {
        client_in.reserve(READ_SIZE);
        if ready!(poll_read_buf(Pin::new(&mut *client), cx, client_in))? == 0 {
            return Poll::Ready(Ok(()));
        }
    }
    Poll::Pending
}

impl Failure {
    /// What it is if a request's body doesn't get through.
    const fn of_upload(error: UploadError) -> Self {
        match error {
            UploadError::ClientGone => Self::ClientGone,
            UploadError::Request(error) => Self::Request(error),
            UploadError::Upstream => Self::Broken,
        }
    }
}
