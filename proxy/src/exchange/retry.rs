//! Getting a connection for a request, and deciding whether to try again.
//!
//! - Failing to connect is always safe to repeat: nothing was sent. Each backend is tried once, however
//!   many there are. Where all have failed, the name is looked up again, once: the container that
//!   takes over may just have got it. An address has no look-up that could help.
//! - A connection that breaks before the response's head is complete leaves it open whether the
//!   request was carried out. It is sent again only if carrying it out twice is the same as once:
//!   nothing was sent the first time, or the method is idempotent (RFC 9110 §9.2.2), or the
//!   upstream knows a request by its id, which stays the same (see [`crate::upstream_token`]). And
//!   only if all that was sent is still at hand.
//! - It is sent again once, to another backend if there is one: a request that breaks its backends
//!   mustn't get to all of them. An idle connection that turns out to be stale doesn't count.
//! - After the head of a response, or a timeout, nothing is repeated.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::net::TcpStream;

use super::{
    error_page::Failure,
    relay::Upload,
    report::Report,
    watchdog::{Expired, Watchdog},
};
use crate::{
    http1::Method,
    upstream::{Backend, balancer::Lease, connection::UpstreamConnection, slots::Slot},
    worker::{Worker, ledger::Turn},
};

/// Most new connections that may break under one request: the first one's, and the repetition's.
const MAX_BROKEN: usize = 2;

/// Longest wait for that look-up. It takes a tenth of a second where DNS is well, and where it isn't, a
/// request is better answered than held.
const RESOLVE_WAIT: Duration = Duration::from_millis(500);

/// What has been tried for one request.
#[derive(Debug, Default)]
pub struct Attempts {
    /// Backends that couldn't be connected to: not to be tried again.
    unreachable: Vec<Arc<Backend>>,
    /// Backends whose connections broke: to be tried again only for lack of others.
    suspect: Vec<Arc<Backend>>,
    /// How many of those connections were new.
    broken: usize,
    /// Whether idle connections have turned out to be stale.
    stale: bool,
    /// Whether the name has been looked up again.
    looked_again: bool,
    /// Why the last attempt failed.
    last: Option<Failure>,
}

impl Attempts {
    /// Notes that `connection` broke. `None` if there have been enough attempts.
    pub fn broke(&mut self, connection: &UpstreamConnection) -> Option<()> {
        self.suspect.push(Arc::clone(connection.lease.backend()));
        self.last = Some(Failure::Broken);
        if connection.reused {
            // The backend may only have closed what was idle.
            self.stale = true;
        } else {
            self.broken += 1;
        }
        (self.broken < MAX_BROKEN).then_some(())
    }

    fn unreachable(&mut self, backend: &Arc<Backend>, failure: Failure) {
        self.unreachable.push(Arc::clone(backend));
        self.last = Some(failure);
    }

    /// Whether to look for another backend by looking the name up again: after a failure to connect.
    fn look_again(&mut self) -> bool {
        let again = !self.unreachable.is_empty() && !self.looked_again;
        self.looked_again |= again;
        again
    }
}

/// Whether a request whose connection broke may be repeated, to an upstream that `deduplicates`
/// requests by their ids or doesn't.
pub const fn is_safe(method: Method, deduplicates: bool, upload: &Upload) -> bool {
    deduplicates || upload.nothing_sent() || method.is_idempotent()
}

/// A connection to the backend that should get the request. For a `streamed` one, more of the body is
/// to come.
pub async fn connect(
    worker: &Worker,
    watchdog: &mut Watchdog,
    attempts: &mut Attempts,
    report: &mut Report,
    streamed: bool,
) -> Result<UpstreamConnection, Failure> {
    loop {
        let Some(lease) = worker
            .upstream
            .choose(&attempts.unreachable, &attempts.suspect)
        else {
            if attempts.look_again() {
                watchdog.arm(Turn::Upstream, RESOLVE_WAIT);
                // What came of it, the next choice shows.
                let _ = watchdog.guard(worker.upstream.resolved()).await;
                continue;
            }
            worker.upstream.resolve_soon();
            return Err(attempts.last.unwrap_or(Failure::NoBackend));
        };
        report.backend = Some(Arc::clone(lease.backend()));
        let slot = stand_in_line(worker, watchdog, lease.backend(), streamed).await?;
        if !attempts.stale
            && let Some(stream) = lease.backend().take_idle(worker.index)
        {
            return Ok(UpstreamConnection {
                stream,
                lease,
                slot: Some(slot),
                reused: true,
            });
        }
        match open(worker, watchdog, &lease).await {
            Ok(stream) => {
                return Ok(UpstreamConnection {
                    stream,
                    lease,
                    slot: Some(slot),
                    reused: false,
                });
            }
            Err(Failure::Evicted) => return Err(Failure::Evicted),
            Err(failure) => {
                worker.upstream.resolve_soon();
                attempts.unreachable(lease.backend(), failure);
                report.retries += 1;
            }
        }
    }
}

/// A place at `backend`. Clients that stall at theirs have to give it up for it.
async fn stand_in_line(
    worker: &Worker,
    watchdog: &mut Watchdog,
    backend: &Backend,
    streamed: bool,
) -> Result<Slot, Failure> {
    let Some(slots) = backend.slots(worker.index) else {
        return Err(Failure::NoBackend);
    };
    if let Some(slot) = slots.try_take(streamed) {
        return Ok(slot);
    }
    watchdog.arm(Turn::Line, worker.settings.upstream_queue_timeout);
    let network = watchdog.account.network();
    let _waiting = worker.line.join();
    match watchdog.guard(slots.take(streamed, network)).await {
        Ok(slot) => Ok(slot),
        Err(Expired::Late) => Err(Failure::Busy),
        Err(Expired::Evicted) => Err(Failure::Evicted),
    }
}

async fn open(
    worker: &Worker,
    watchdog: &mut Watchdog,
    lease: &Lease,
) -> Result<TcpStream, Failure> {
    let backend = lease.backend();
    watchdog.arm(Turn::Upstream, worker.settings.connect_timeout);
    let started = Instant::now();
    match watchdog.guard(TcpStream::connect(backend.address)).await {
        Ok(Ok(stream)) => {
            backend.connected();
            worker.metrics.upstream_connect.observe(started.elapsed());
            // Only costs latency if it fails.
            let _ = stream.set_nodelay(true);
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
