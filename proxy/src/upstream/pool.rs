//! Idle connections to a backend, kept for the next request of the same worker.

use std::{
    io,
    mem::MaybeUninit,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use socket2::SockRef;
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
///
/// The kernel is asked: `try_read` answers with what the runtime heard when it last looked, which may
/// be before those bytes came.
pub(crate) fn is_quiet(stream: &TcpStream) -> bool {
    let seen = SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]);
    seen.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tokio::{io::AsyncReadExt, net::TcpListener};

    use super::*;

    /// Nothing here lets the runtime look at its sockets between the bytes and the question.
    #[tokio::test]
    async fn what_came_a_moment_ago_is_seen() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut backend = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        backend.write_all(b"asked for").unwrap();
        let mut input = [0; 64];
        assert_eq!(stream.read(&mut input).await.unwrap(), 9);
        let idle = IdleConnections::default();
        idle.put(stream);
        let stream = idle.take().expect("a quiet connection");
        idle.put(stream);
        backend.write_all(b"not asked for").unwrap();
        assert!(idle.take().is_none());
    }
}
