//! Getting a connection for a request, and deciding whether to try again.
//!
//! - Failing to connect is always safe to repeat: nothing was sent. Each backend is tried once, however
//!   many there are. Where all have failed, the name is looked up again, once: the container that
//!   takes over may just have got it. An address has no look-up that could help.
//! - A connection that breaks before the response's head is complete, or whose backend vanishes, leaves
//!   it open whether the request was carried out. It is sent again only if carrying it out twice is the
//!   same as once: nothing was sent the first time, or the method is idempotent (RFC 9110 §9.2.2), or the
//!   upstream knows a request by its id, which stays the same (see [`crate::rewrite::upstream_token`]). And
//!   only if all that was sent is still at hand.
//! - It is sent again once, to another backend if there is one: a request that breaks its backends
//!   mustn't get to all of them. An idle connection that turns out to be stale doesn't count.
//! - After the head of a response, or a timeout, nothing is repeated.

use std::{io, sync::Arc, time::Duration};

use service::sockets;
use tokio::{net::TcpStream, time::Instant};

use super::{
    deadline::{Deadline, Expired},
    error_page::Failure,
};
use crate::{
    upstream::{Backend, connection::UpstreamConnection, pool::is_quiet, slots::Slot},
    worker::{Worker, ledger::Turn},
};

/// Most new connections that may break under one request: the first one's, and the repetition's.
const MAX_BROKEN: usize = 2;

/// Longest wait for that look-up. It takes a tenth of a second where DNS is well, and where it isn't, a
/// request is better answered than held.
const RESOLVE_WAIT: Duration = Duration::from_millis(500);

/// A client's own connection to a backend. Where a server asks for NTLM or Negotiate, who has logged in
/// is a matter of the connection (RFC 4559 §6): nobody else's request may go over it any more.
#[derive(Default)]
pub(crate) enum Pinned {
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

pub(crate) struct Attempt {
    /// What it goes over.
    pub(crate) connection: UpstreamConnection,
    /// When it began: before a backend was chosen.
    pub(crate) started: Instant,
}

impl Attempt {
    /// Notes how it failed: a backend that has vanished gets no further requests, until it answers again.
    pub(crate) fn note(&self, failure: Failure) {
        if failure == Failure::Vanished {
            self.connection.lease.backend().vanished();
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Attempts {
    /// The backend that was asked last.
    pub(crate) backend: Option<Arc<Backend>>,
    /// How many there were beyond the first.
    pub(crate) retries: u32,
    /// Time from choosing the backend to the head of its response.
    pub(crate) upstream_time: Duration,
    /// Backends that couldn't be connected to: not to be tried again.
    unreachable: Vec<Arc<Backend>>,
    /// Backends whose connections broke: to be tried again only for lack of others.
    suspect: Vec<Arc<Backend>>,
    /// How many of those connections were new.
    broken: usize,
    /// Whether idle connections have turned out to be stale.
    stale: bool,
    looked_again: bool,
    last: Option<Failure>,
}

impl Attempts {
    /// Begins one, over the client's own connection or one that the request may have. For a `streamed`
    /// request, more of the body is to come.
    pub(crate) async fn begin(
        &mut self,
        worker: &Worker,
        deadline: &mut Deadline,
        pinned: &mut Pinned,
        streamed: bool,
    ) -> Result<Attempt, Failure> {
        let started = Instant::now();
        let connection = match pinned.take() {
            Some(own) => {
                self.backend = Some(Arc::clone(own.lease.backend()));
                own
            }
            None => self.connect(worker, deadline, streamed).await?,
        };
        deadline.account.has_upstream(true);
        Ok(Attempt {
            connection,
            started,
        })
    }

    /// Notes that the connection of `attempt` broke, with this `failure`. False if there have been
    /// enough.
    pub(crate) fn broke(&mut self, attempt: &Attempt, failure: Failure) -> bool {
        let connection = &attempt.connection;
        self.suspect.push(Arc::clone(connection.lease.backend()));
        self.last = Some(failure);
        if connection.reused {
            // The backend may only have closed what was idle.
            self.stale = true;
        } else {
            self.broken += 1;
        }
        let again = self.broken < MAX_BROKEN;
        self.retries += u32::from(again);
        again
    }

    /// A connection to the backend that should get the request.
    async fn connect(
        &mut self,
        worker: &Worker,
        deadline: &mut Deadline,
        streamed: bool,
    ) -> Result<UpstreamConnection, Failure> {
        loop {
            let Some(lease) = worker.upstream.choose(&self.unreachable, &self.suspect) else {
                if self.look_again() {
                    let resolved = worker.upstream.resolved();
                    // What came of it, the next choice shows.
                    let _ = deadline
                        .within(Turn::Upstream, RESOLVE_WAIT, resolved)
                        .await;
                    continue;
                }
                worker.upstream.resolve_soon();
                return Err(self.last.unwrap_or(Failure::NoBackend));
            };
            let backend = lease.backend();
            self.backend = Some(Arc::clone(backend));
            let slot = Some(stand_in_line(worker, deadline, backend, streamed).await?);
            let idle = if self.stale {
                None
            } else {
                backend.take_idle(worker.index)
            };
            let reused = idle.is_some();
            let stream = match idle {
                Some(stream) => stream,
                None => match open(worker, deadline, backend).await {
                    Ok(stream) => stream,
                    Err(Failure::Evicted) => return Err(Failure::Evicted),
                    Err(failure) => {
                        worker.upstream.resolve_soon();
                        self.unreachable.push(Arc::clone(backend));
                        self.last = Some(failure);
                        self.retries += 1;
                        continue;
                    }
                },
            };
            return Ok(UpstreamConnection {
                stream,
                lease,
                slot,
                reused,
                limited: true,
            });
        }
    }

    /// Whether to look for another backend by looking the name up again: after a failure to connect.
    fn look_again(&mut self) -> bool {
        let again = !self.unreachable.is_empty() && !self.looked_again;
        self.looked_again |= again;
        again
    }
}

/// A place at `backend`. Clients that stall at theirs have to give it up for it.
async fn stand_in_line(
    worker: &Worker,
    deadline: &mut Deadline,
    backend: &Backend,
    streamed: bool,
) -> Result<Slot, Failure> {
    let Some(slots) = backend.slots(worker.index) else {
        return Err(Failure::NoBackend);
    };
    if let Some(slot) = slots.try_take(streamed) {
        return Ok(slot);
    }
    let limit = worker.settings.upstream_queue_timeout;
    let place = slots.take(streamed, deadline.account.network());
    let _waiting = worker.line.join();
    let taken = deadline.within(Turn::Line, limit, place).await;
    taken.map_err(|expired| expired.failure(Failure::Busy))
}

async fn open(
    worker: &Worker,
    deadline: &mut Deadline,
    backend: &Backend,
) -> Result<TcpStream, Failure> {
    let limit = worker.settings.connect_timeout;
    let started = Instant::now();
    let connect = TcpStream::connect(backend.address);
    match deadline.within(Turn::Upstream, limit, connect).await {
        Ok(Ok(stream)) => {
            worker.upstream.connected(backend, &stream);
            worker.metrics.upstream_connect.observe(started.elapsed());
            // If these fail, it only takes longer: to send, and to notice that the backend has vanished.
            let _ = stream.set_nodelay(true);
            let _ = sockets::notice_vanished(&stream, worker.settings.tcp_user_timeout);
            Ok(stream)
        }
        Ok(Err(error)) => {
            if is_ours(&error) {
                tracing::warn!(backend = backend.label, %error, "connect failed for lack of resources");
            } else {
                backend.connect_failed(&error);
            }
            Err(Failure::Unreachable)
        }
        Err(Expired::Evicted) => Err(Failure::Evicted),
        Err(Expired::Late) => {
            backend.connect_failed(&"timeout");
            Err(Failure::ConnectTimeout)
        }
    }
}

/// Whether we, not the backend, are the reason: no descriptors, no ports, no memory.
fn is_ours(error: &io::Error) -> bool {
    use nix::errno::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(
        errno,
        Some(Errno::EMFILE | Errno::ENFILE | Errno::EADDRNOTAVAIL | Errno::ENOBUFS | Errno::ENOMEM)
    )
}
