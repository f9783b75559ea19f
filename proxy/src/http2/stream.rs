//! One stream of a session, as a connection that serves one request.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, RecvStream, server::SendResponse};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    download::{Asked, Download},
    load::{Load, Place},
    request::Head,
    upload::Upload,
};
use crate::exchange::transport::Transport;

pub(super) struct Stream {
    upload: Upload,
    download: Download,
    is_tunnel: bool,
    /// Whether the client has to make room for others.
    gives_way: bool,
    _place: Place,
}

impl Stream {
    pub(super) fn new(
        head: Head,
        body: RecvStream,
        respond: SendResponse<Bytes>,
        load: &Arc<Load>,
    ) -> Self {
        let asked = Asked {
            without_body: head.without_body,
            tunnel: head.tunnel,
        };
        Self {
            is_tunnel: asked.tunnel.is_some(),
            upload: Upload::new(head.text, head.content, body),
            download: Download::new(asked, respond, Arc::clone(load)),
            gives_way: false,
            _place: load.take_place(),
        }
    }
}

impl AsyncRead for Stream {
    /// The end of the request is no end of the connection: that comes with the end of the response.
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.upload.has_ended() {
            let before = buf.filled().len();
            ready!(this.upload.poll_read(cx, buf))?;
            if buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
        if this.download.is_tunnel() || this.download.has_ended() {
            return Poll::Ready(Ok(()));
        }
        this.download.poll_reset(cx).map(Err)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let was_tunnel = this.download.is_tunnel();
        let written = ready!(this.download.poll_write(cx, buf))?;
        if !was_tunnel && this.download.is_tunnel() {
            this.upload.open_tunnel();
            // Whoever reads it waits for something else.
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(written))
    }

    /// The session's task sends what it has when the tasks of its streams have run.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.download.end_tunnel())
    }
}

impl Transport for Stream {
    fn poll_readable(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn reset_on_close(&mut self) {
        self.gives_way = true;
    }
}

impl Drop for Stream {
    /// A response that isn't whole mustn't look as if it were. Where only the request isn't, h2 tells
    /// the client that no more of it is wanted (RFC 9113 §8.1).
    fn drop(&mut self) {
        if self.download.has_ended() {
            return;
        }
        self.download.reset(if self.gives_way || self.is_tunnel {
            Reason::CANCEL
        } else {
            Reason::INTERNAL_ERROR
        });
    }
}
