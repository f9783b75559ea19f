//! A transport whose frames are counted on the way.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::Frames;

/// What the session knows of its transport while h2 has it.
#[derive(Debug)]
pub(super) struct Watch<T>(Arc<Mutex<Watching<T>>>);

#[derive(Debug)]
struct Watching<T> {
    frames: Frames,
    /// The transport, when h2 has let go of it.
    returned: Option<T>,
}

impl<T> Watch<T> {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Watching {
            frames: Frames::new(),
            returned: None,
        })))
    }

    /// What is to be given to h2: `transport`, of which `received` has been read.
    pub(super) fn over(&self, transport: T, received: Vec<u8>) -> Watched<T> {
        Watched {
            transport: Some(transport),
            received,
            read: 0,
            watch: Self(Arc::clone(&self.0)),
        }
    }

    /// Looks at the frames.
    pub(super) fn frames<R>(&self, look: impl FnOnce(&mut Frames) -> R) -> R {
        look(&mut self.lock().frames)
    }

    /// The transport, once h2 has let go of it.
    pub(super) fn take_back(&self) -> Option<T> {
        self.lock().returned.take()
    }

    fn lock(&self) -> MutexGuard<'_, Watching<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The transport as h2 sees it.
pub(super) struct Watched<T> {
    /// There until dropped.
    transport: Option<T>,
    /// What was read before, and how much of it has been given away.
    received: Vec<u8>,
    read: usize,
    watch: Watch<T>,
}

impl<T: Unpin> Watched<T> {
    fn transport(&mut self) -> io::Result<Pin<&mut T>> {
        self.transport
            .as_mut()
            .map(Pin::new)
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.watch.lock().frames.are_too_many() {
            // It isn't read from any more: the session sees it when h2 has nothing to do.
            return Poll::Pending;
        }
        let before = buf.filled().len();
        if this.read < this.received.len() {
            let rest = &this.received[this.read..];
            let taken = rest.len().min(buf.remaining());
            buf.put_slice(&rest[..taken]);
            this.read += taken;
            if this.read == this.received.len() {
                this.received = Vec::new();
                this.read = 0;
            }
        } else {
            ready!(this.transport()?.poll_read(cx, buf))?;
        }
        this.watch.lock().frames.received(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let sent = ready!(self.transport()?.poll_write(cx, buf))?;
        self.watch.lock().frames.sent(&buf[..sent]);
        Poll::Ready(Ok(sent))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = ready!(self.transport()?.poll_write_vectored(cx, bufs))?;
        let mut watching = self.watch.lock();
        let mut left = sent;
        for buf in bufs {
            let part = left.min(buf.len());
            watching.frames.sent(&buf[..part]);
            left -= part;
        }
        Poll::Ready(Ok(sent))
    }

    fn is_write_vectored(&self) -> bool {
        self.transport
            .as_ref()
            .is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport()?.poll_shutdown(cx)
    }
}

impl<T> Drop for Watched<T> {
    fn drop(&mut self) {
        self.watch.lock().returned = self.transport.take();
    }
}
