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

mod answer;
pub mod error_page;
pub mod pace;
mod pinned;
pub mod relay;
pub mod report;
pub mod retry;
mod transfer;
pub mod tunnel;
pub mod watchdog;

use std::{sync::Arc, time::Duration};

use socket2::SockRef;
use tokio::{net::TcpStream, time::Instant};

pub use self::pinned::Pinned;
use self::{
    error_page::Failure,
    pace::Pace,
    relay::{Download, REPLAY_LIMIT, Upload},
    report::Report,
    retry::Attempts,
    tunnel::Ends,
    watchdog::Watchdog,
};
use crate::{
    http1::{BodyLength, SyntaxError, Version},
    rewrite::{
        request::RequestFacts,
        request_id::RequestId,
        response::{self, Persistence, ResponseFacts},
    },
    upstream::connection::UpstreamConnection,
    worker::{Buffers, Worker},
};

/// Most bytes of interim responses to one request.
const MAX_INTERIM: usize = 256 * 1024;

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

/// The client's connection.
pub struct Client<'c> {
    /// The connection itself.
    pub stream: &'c mut TcpStream,
    /// Its timer and account.
    pub watchdog: &'c mut Watchdog,
    /// Its own connection to a backend.
    pub pinned: &'c mut Pinned,
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
        Client {
            stream: client,
            watchdog,
            pinned,
        }: Client<'c>,
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

        self.watchdog.account.hold(self.buffers.footprint());
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

    /// Sends the request and waits for the final head of the response, which is left in
    /// `to_client`, rewritten. Interim responses are relayed on the way.
    async fn response(
        &mut self,
        connection: &mut UpstreamConnection,
        started: Instant,
    ) -> Result<ResponseHead, Interruption> {
        let failed = |failure| Interruption::Failed(failure);
        let sending = Instant::now();
        let mut interim = 0;
        while interim <= MAX_INTERIM {
            let head_len = self.await_head(connection).await?;
            let answered = Instant::now();
            self.report.upstream_time = answered - started;
            let persistence = if self.may_keep() {
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
            let first_byte = &self.worker.metrics.upstream_first_byte;
            first_byte.observe(answered - sending);
            return Ok(ResponseHead {
                download,
                facts,
                persistence,
            });
        }
        Err(failed(Failure::Response(SyntaxError::HeadTooLarge)))
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
}
