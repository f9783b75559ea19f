//! TLS as what carries HTTP.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use crate::exchange::transport::Transport;

/// Most bytes that wait, encrypted, for the client to take them.
const WRITE_LIMIT: usize = 64 << 10;

/// A connection whose handshake is over.
#[derive(Debug)]
pub(super) struct TlsTransport {
    stream: Box<TlsStream<TcpStream>>,
    /// Whether it must not end as one whose data is complete.
    reset: bool,
}

impl TlsTransport {
    pub(super) fn new(mut stream: Box<TlsStream<TcpStream>>) -> Self {
        let reset = false;
        stream.get_mut().1.set_buffer_limit(Some(WRITE_LIMIT));
        Self { stream, reset }
    }
}

impl Transport for TlsTransport {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (tcp, session) = self.stream.get_ref();
        if session.wants_read() {
            return tcp.poll_read_ready(cx).map(drop);
        }
        // Something is there that is decrypted already, or the end.
        Poll::Ready(())
    }

    fn reset_on_close(&mut self) {
        self.reset = true;
        self.stream.get_mut().0.reset_on_close();
    }

    fn limit_unacknowledged(&mut self, limit: Duration) {
        self.stream.get_mut().0.limit_unacknowledged(limit);
    }

    fn held(&self) -> usize {
        // How much of it, the session doesn't say.
        if self.stream.get_ref().1.wants_write() {
            WRITE_LIMIT
        } else {
            0
        }
    }

    /// Without the alert `close_notify` the end would be taken for somebody's attack (RFC 8446 §6.1).
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.reset {
            return Poll::Ready(());
        }
        self.stream.get_mut().1.send_close_notify();
        self.poll_flush_now(cx).map(drop)
    }
}

impl TlsTransport {
    fn poll_flush_now(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_flush(cx)
    }
}

impl AsyncRead for TlsTransport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for TlsTransport {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream).poll_write(cx, data)
    }

    /// A frame of HTTP/2's is a head and a payload: together they are one write.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush_now(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_shutdown(cx)
    }
}
