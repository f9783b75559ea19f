//! Getting a connection for a request, and deciding whether to try again.
//!
//! - Failing to connect is always safe to repeat: nothing was sent. Each backend is tried once.
//! - A connection that breaks before the first byte of a response leaves it open whether the
//!   request was carried out. It is sent again only if nothing was sent the first time, or if
//!   carrying it out twice is the same as once (RFC 9110 §9.2.2), and if all that was sent is
//!   still at hand.
//! - After the first byte of a response, or a timeout, nothing is repeated.

use std::{io, sync::Arc};

use tokio::net::TcpStream;

use crate::{
    error_page::Failure,
    exchange::{Report, UpstreamConnection},
    http1::Method,
    relay::Upload,
    upstream::{Backend, balancer::Lease},
    watchdog::{Expired, Watchdog},
    worker::Worker,
};

/// Most attempts for one request.
const MAX_ATTEMPTS: u32 = 4;

/// What has been tried for one request.
#[derive(Debug, Default)]
pub struct Attempts {
    failed: u32,
    /// Backends not to try again.
    tried: Vec<Arc<Backend>>,
    /// Whether idle connections have turned out to be stale.
    stale: bool,
    /// Why the last attempt failed.
    last: Option<Failure>,
}

impl Attempts {
    /// Notes that `connection` broke. `None` if there have been enough attempts.
    pub fn failed(&mut self, connection: &UpstreamConnection) -> Option<()> {
        if connection.reused {
            // Says nothing about the backend: it may close what is idle.
            self.stale = true;
        } else {
            self.tried.push(Arc::clone(connection.lease.backend()));
        }
        self.note(Failure::Broken)
    }

    fn note(&mut self, failure: Failure) -> Option<()> {
        self.failed += 1;
        self.last = Some(failure);
        (self.failed < MAX_ATTEMPTS).then_some(())
    }
}

/// Whether a request whose connection broke before the first byte of a response may be repeated.
pub const fn is_safe(method: Method, upload: &Upload) -> bool {
    upload.nothing_sent() || method.is_idempotent()
}

/// A connection to the backend that should get the request.
pub async fn connect(
    worker: &Worker,
    watchdog: &mut Watchdog,
    attempts: &mut Attempts,
    report: &mut Report,
) -> Result<UpstreamConnection, Failure> {
    loop {
        let Some(lease) = worker.upstream.choose(&attempts.tried) else {
            worker.upstream.resolve_soon();
            return Err(attempts.last.unwrap_or(Failure::NoBackend));
        };
        report.backend = Some(Arc::clone(lease.backend()));
        if !attempts.stale
            && let Some(stream) = lease.backend().take_idle(worker.index)
        {
            return Ok(UpstreamConnection {
                stream,
                lease,
                reused: true,
            });
        }
        match open(worker, watchdog, &lease).await {
            Ok(stream) => {
                return Ok(UpstreamConnection {
                    stream,
                    lease,
                    reused: false,
                });
            }
            Err(failure) => {
                worker.upstream.resolve_soon();
                attempts.tried.push(Arc::clone(lease.backend()));
                attempts.note(failure).ok_or(failure)?;
                report.retries += 1;
            }
        }
    }
}

async fn open(
    worker: &Worker,
    watchdog: &mut Watchdog,
    lease: &Lease,
) -> Result<TcpStream, Failure> {
    let backend = lease.backend();
    watchdog.arm(worker.settings.connect_timeout);
    match watchdog.guard(TcpStream::connect(backend.address)).await {
        Ok(Ok(stream)) => {
            backend.connected();
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
        Err(Expired) => {
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
