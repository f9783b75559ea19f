//! Idle connections to a backend, kept for the next request of the same worker.

use std::{
    io,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{net::TcpStream, time::Instant};

/// Most idle connections that one worker keeps to one backend.
const MAX_IDLE: usize = 512;

/// A stack of idle connections: the one used last is the one most likely to be alive.
///
/// The lock is only ever contended by the sweep and by the backend's removal.
#[derive(Debug, Default)]
pub(crate) struct IdleConnections(Mutex<Vec<Idle>>);

#[derive(Debug)]
struct Idle {
    stream: TcpStream,
    since: Instant,
}

impl IdleConnections {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection that is still open as far as can be known.
    pub(crate) fn take(&self) -> Option<TcpStream> {
        loop {
            // Not `while let`, which would hold the lock while the socket is looked at.
            let idle = self.lock().pop()?;
            if is_quiet(&idle.stream) {
                return Some(idle.stream);
            }
        }
    }

    pub(crate) fn put(&self, stream: TcpStream) {
        let mut idle = self.lock();
        if idle.len() < MAX_IDLE {
            idle.push(Idle {
                stream,
                since: Instant::now(),
            });
        }
    }

    /// Closes connections that have been idle for `limit`, or that the backend has closed.
    pub(crate) fn sweep(&self, limit: Duration) {
        let now = Instant::now();
        self.lock().retain(|idle| {
            now.saturating_duration_since(idle.since) < limit && is_quiet(&idle.stream)
        });
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }
}

/// An idle connection must have nothing to read: neither the end of the stream, nor bytes that
/// no request of ours has asked for.
pub(crate) fn is_quiet(stream: &TcpStream) -> bool {
    matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}
