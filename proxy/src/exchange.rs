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
mod attempt;
mod body;
pub(crate) mod deadline;
mod download;
pub(crate) mod error_page;
mod pace;
mod transfer;
pub(crate) mod transport;
mod tunnel;
mod upload;

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

pub(crate) use self::attempt::Pinned;
use self::{
    attempt::{Attempt, Attempts},
    deadline::Deadline,
    download::Download,
    error_page::Failure,
    transport::Transport,
    upload::{REPLAY_LIMIT, Upload},
};
use crate::{
    http1::{BodyLength, SyntaxError, Version},
    rewrite::{
        request::RequestFacts,
        request_id::RequestId,
        response::{Persistence, ResponseFacts},
    },
    upstream::{Backend, connection::UpstreamConnection},
    worker::{Lane, Worker},
};

/// Most bytes of interim responses to one request.
const MAX_INTERIM: usize = 256 * 1024;

/// What becomes of the client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It serves the next request.
    KeepAlive,
    Close,
    /// It is closed, after giving the client time to read the response: it is still sending.
    Linger,
    /// It is closed at once, whatever the client makes of it.
    Drop,
}

/// What is known about an exchange when it is over, for the log and the metrics.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    /// The status, 499 if the client was gone before there was one.
    pub(crate) status: u16,
    pub(crate) failure: Option<Failure>,
    /// The backend that was asked last.
    pub(crate) backend: Option<Arc<Backend>>,
    /// Time from choosing the backend to the head of its response.
    pub(crate) upstream_time: Duration,
    /// Attempts beyond the first.
    pub(crate) retries: u32,
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

pub(crate) struct Client<'c, T> {
    pub(crate) transport: &'c mut T,
    /// Its timer and account.
    pub(crate) deadline: &'c mut Deadline,
    /// Its own connection to a backend.
    pub(crate) pinned: &'c mut Pinned,
}

pub(crate) struct Exchange<'c, T> {
    worker: &'c Worker,
    client: Client<'c, T>,
    id: RequestId,
    request: &'c RequestFacts<'c>,
    upload: Upload<'c>,
    download: Download<'c>,
    attempts: Attempts,
    summary: Summary,
}

/// The head of a final response; rewritten, it is in the download.
struct FinalHead {
    facts: ResponseFacts,
    /// What the client was told.
    persistence: Persistence,
}

impl<'c, T: Transport> Exchange<'c, T> {
    /// An exchange about a request with this head, which is, rewritten, the output of `up`.
    pub(crate) fn new(
        worker: &'c Worker,
        client: Client<'c, T>,
        id: RequestId,
        request: &'c RequestFacts<'c>,
        head: &Vec<u8>,
        up: &'c mut Lane,
        down: &'c mut Lane,
    ) -> Self {
        Self {
            worker,
            client,
            id,
            request,
            upload: Upload::new(up, head, request, &worker.settings),
            download: Download::new(down),
            attempts: Attempts::default(),
            summary: Summary::default(),
        }
    }

    /// Runs it to its end.
    pub(crate) async fn run(mut self) -> (Next, Summary) {
        let outcome = if let Some(port) = self.redirect() {
            self.answer_redirect(port).await
        } else if self.request.max_forwards == Some(0) {
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

    /// Answers a request for the proof that a name is ours.
    pub(crate) async fn prove(mut self, proof: &[u8]) -> (Next, Summary) {
        let next = self.answer_proof(proof).await;
        self.finish(next)
    }

    /// Answers a request that isn't forwarded.
    pub(crate) async fn refuse(mut self, failure: Failure) -> (Next, Summary) {
        let next = self.fail(failure).await;
        self.finish(next)
    }

    fn finish(mut self, next: Next) -> (Next, Summary) {
        self.upload.finish();
        let summary = Summary {
            backend: self.attempts.backend,
            upstream_time: self.attempts.upstream_time,
            retries: self.attempts.retries,
            sent: self.download.sent(),
            received: self.upload.received,
            ..self.summary
        };
        (next, summary)
    }

    async fn forward(&mut self) -> Result<Next, Failure> {
        if let BodyLength::Fixed(length) = self.request.body
            && length > self.worker.settings.max_body
        {
            return Err(Failure::Request(SyntaxError::BodyTooLarge));
        }
        // What has come in with the head is checked before any of it is sent.
        self.upload.take()?;
        self.hold();
        if self.is_taken_in_whole() {
            self.take_in().await?;
            self.hold();
        }
        loop {
            let Client {
                deadline, pinned, ..
            } = &mut self.client;
            let streamed = !self.upload.is_received();
            let mut attempt = self
                .attempts
                .begin(self.worker, deadline, pinned, streamed)
                .await?;
            let to_send = (!streamed).then(|| self.upload.to_send());
            let limit = self.worker.settings.tcp_user_timeout;
            attempt.connection.expect_acknowledgement(to_send, limit);
            self.download.restart();
            match self.response(&mut attempt).await {
                Ok(head) => return Ok(self.respond(attempt, head).await),
                Err(failure) => {
                    attempt.note(failure);
                    let broke = matches!(failure, Failure::Broken | Failure::Vanished);
                    if !(broke && self.may_repeat() && self.attempts.broke(&attempt, failure)) {
                        return Err(failure);
                    }
                }
            }
        }
    }

    /// Whether the body is short, and comes without being asked for.
    const fn is_taken_in_whole(&self) -> bool {
        let short =
            matches!(self.request.body, BodyLength::Fixed(length) if length <= REPLAY_LIMIT as u64);
        short && !self.upload.is_received() && !self.upload.expects_continue()
    }

    /// Whether a request whose connection broke may be sent again, and can be.
    fn may_repeat(&mut self) -> bool {
        let safe = self.worker.settings.upstream_token.is_some()
            || self.upload.nothing_sent()
            || self.request.method.is_idempotent();
        safe && self.upload.rewind()
    }

    fn hold(&mut self) {
        let held = self.upload.footprint() + self.download.footprint();
        self.client.deadline.account.hold(held);
    }

    /// Sends the request and waits for the final head of the response. Interim responses are relayed
    /// on the way.
    async fn response(&mut self, attempt: &mut Attempt) -> Result<FinalHead, Failure> {
        let sending = Instant::now();
        let mut interim = 0;
        while interim <= MAX_INTERIM {
            let head_len = self.await_head(attempt).await?;
            let answered = Instant::now();
            self.attempts.upstream_time = answered - attempt.started;
            let persistence = if self.may_keep() {
                Persistence::Keep
            } else {
                Persistence::Close
            };
            let date = self.worker.date();
            let facts = self.download.rewrite_head(
                head_len,
                self.request,
                &self.id,
                persistence,
                date.as_bytes(),
            )?;
            match facts.status {
                101 if self.request.upgrade => {}
                // Nobody has asked for another protocol.
                101 => return Err(Failure::Response(SyntaxError::StartLine)),
                100..=199 => {
                    self.download.next_head();
                    self.upload.continued();
                    interim += head_len;
                    let wanted = facts.status != 103 || self.worker.settings.early_hints;
                    if self.request.version == Version::Http11 && wanted {
                        self.send_head().await?;
                    }
                    continue;
                }
                // What has come with the head is checked while there can still be a 502.
                _ => self.download.take()?,
            }
            let first_byte = &self.worker.metrics.upstream_first_byte;
            first_byte.observe(answered - sending);
            return Ok(FinalHead { facts, persistence });
        }
        Err(Failure::Response(SyntaxError::HeadTooLarge))
    }

    async fn respond(&mut self, mut attempt: Attempt, head: FinalHead) -> Next {
        let FinalHead { facts, persistence } = head;
        self.summary.status = facts.status;
        if facts.status == 101 {
            return self.tunnel(attempt.connection).await;
        }
        let mut result = self.relay(&mut attempt).await;
        if let Err(failure) = result {
            attempt.note(failure);
        } else {
            let reusable =
                facts.upstream_keeps && self.upload.is_complete() && self.download.ends_cleanly();
            self.release(attempt.connection, reusable, facts.binds_connection);
            result = self.send_rest().await;
        }
        if let Err(failure) = result {
            self.summary.failure = Some(failure);
            let evicted = failure == Failure::Evicted;
            if evicted || (!facts.delimited && failure != Failure::ClientGone) {
                self.client.transport.reset_on_close();
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
    fn release(&mut self, mut connection: UpstreamConnection, reusable: bool, binds: bool) {
        let Client {
            deadline, pinned, ..
        } = &mut self.client;
        if binds && matches!(pinned, Pinned::Never) {
            **pinned = Pinned::To(None);
        }
        let keeps = matches!(pinned, Pinned::To(_));
        deadline.account.has_upstream(reusable && keeps);
        if !reusable {
            return;
        }
        if keeps {
            **pinned = Pinned::To(Some(connection));
        } else {
            connection.expect_acknowledgement(Some(0), self.worker.settings.tcp_user_timeout);
            let UpstreamConnection { stream, lease, .. } = connection;
            lease.backend().keep_idle(self.worker.index, stream);
        }
    }

    /// Relays whatever the two sides have to say after a 101.
    async fn tunnel(&mut self, mut connection: UpstreamConnection) -> Next {
        let Client {
            transport,
            deadline,
            ..
        } = &mut self.client;
        // Tunnels don't stand in anybody's way: how many there are, the client connections limit.
        connection.slot = None;
        connection.expect_acknowledgement(None, self.worker.settings.tcp_user_timeout);
        deadline.account.has_upstream(false);
        deadline.account.served();
        let (up, down) = (self.upload.tunnel(), self.download.tunnel());
        let before = up.sent();
        let limit = self.worker.settings.read_timeout;
        transport.limit_unacknowledged(limit);
        tunnel::run(
            *transport,
            &mut connection.stream,
            up,
            down,
            deadline,
            limit,
        )
        .await;
        let received = up.sent() - before;
        self.upload.received += received;
        Next::Close
    }
}
