//! The client's connection, as an exchange sees it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use service::sockets;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_util::io::poll_read_buf;

/// Room for a first read: most heads with their bodies fit, and many connections read at once.
pub(crate) const READ_SIZE: usize = 4 * 1024;
/// Room for reads in the middle of a body that comes in quickly.
const LARGE_READ_SIZE: usize = 64 * 1024;

/// What a client speaks HTTP/1.1 over: TCP, or something that is carried by it. What was written may be
/// kept back until it is flushed.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// Ready when there may be something to read; only a read tells.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Makes a reset of its end. Only that tells a client that a body is not complete whose end the
    /// connection's end would be, and frees what the kernel holds for one that doesn't read.
    fn reset_on_close(&mut self);

    /// Has it end where the client doesn't acknowledge what it is sent within `limit`. Without, a client
    /// that has vanished is sent what the kernel has room for, for a quarter of an hour.
    fn limit_unacknowledged(&mut self, _limit: Duration) {}

    /// Bytes that were written to it and that it holds, at most.
    fn held(&self) -> usize {
        0
    }

    /// Tells the client that this is the end, where its own end wouldn't: it is dropped next.
    fn poll_end(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl Transport for TcpStream {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_read_ready(cx).map(drop)
    }

    fn reset_on_close(&mut self) {
        let _ = SockRef::from(&*self).set_linger(Some(Duration::ZERO));
    }

    fn limit_unacknowledged(&mut self, limit: Duration) {
        let _ = sockets::limit_unacknowledged(&*self, Some(limit));
    }
}

/// Reads more into `buffer`, with room that suits how fast data comes in.
pub(crate) fn poll_read_more(
    stream: &mut (impl AsyncRead + Unpin),
    cx: &mut Context<'_>,
    buffer: &mut Vec<u8>,
    last_read: usize,
) -> Poll<io::Result<usize>> {
    buffer.reserve(if last_read >= READ_SIZE {
        LARGE_READ_SIZE
    } else {
        READ_SIZE
    });
    poll_read_buf(Pin::new(stream), cx, buffer)
}
