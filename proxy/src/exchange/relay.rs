//! Moving bodies: the request's towards the upstream, the response's towards the client.
//!
//! Each direction is a pump that moves as much as it can whenever it is polled, and holds no more
//! than one buffer of data: the sender is read only when the receiver has taken what came
//! before. Both are polled by the same task, so that either may run ahead, wait or end first.

use std::{
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{io::AsyncWrite, net::TcpStream};
use tokio_util::io::poll_read_buf;

use super::pace::Pace;
use crate::{
    http1::{
        BodyLength, ChunkedDecoder, Reframe, SyntaxError,
        chunked::{write_data, write_end},
    },
    worker::Buffers,
};

/// Room for a first read: most heads with their bodies fit, and many connections read at once.
pub const READ_SIZE: usize = 4 * 1024;
/// Room for reads in the middle of a body that comes in quickly.
const LARGE_READ_SIZE: usize = 64 * 1024;
/// Up to this size, what was sent of a request is kept to be sent again, and a body is taken in whole
/// before a backend hears of it.
pub const REPLAY_LIMIT: usize = 64 * 1024;

/// Reads more into `buffer`, with room that suits how fast data comes in.
pub fn poll_read_more(
    stream: &mut TcpStream,
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

/// Where in a body one is.
#[derive(Debug)]
enum Body {
    Fixed { remaining: u64 },
    Chunked(ChunkedDecoder),
    UntilClose,
    Done,
}

impl Body {
    const fn new(length: BodyLength, limit: u64) -> Self {
        match length {
            BodyLength::Fixed(0) => Self::Done,
            BodyLength::Fixed(remaining) => Self::Fixed { remaining },
            BodyLength::Chunked => Self::Chunked(ChunkedDecoder::new(limit)),
            BodyLength::UntilClose => Self::UntilClose,
        }
    }

    const fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// Takes over what belongs to the body from the front of `input`; returns how much that was.
    fn take(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        reframe: Reframe,
    ) -> Result<usize, SyntaxError> {
        let (taken, done) = match self {
            Self::Fixed { remaining } => {
                let wanted = usize::try_from(*remaining).unwrap_or(usize::MAX);
                let data = &input[..input.len().min(wanted)];
                write_data(out, data, reframe);
                *remaining -= data.len() as u64;
                (data.len(), *remaining == 0)
            }
            Self::Chunked(decoder) => {
                let taken = decoder.decode(input, out, reframe)?;
                (taken, decoder.is_done())
            }
            Self::UntilClose => {
                write_data(out, input, reframe);
                (input.len(), false)
            }
            Self::Done => (0, true),
        };
        if done {
            *self = Self::Done;
        }
        Ok(taken)
    }
}

/// Why a request body doesn't get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadError {
    /// The client closed the connection.
    ClientGone,
    /// The client broke the framing, or a limit.
    Request(SyntaxError),
    /// The upstream takes no more; its response may still come.
    Upstream,
}

/// How far the upstream has taken a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Sending,
    Sent,
    /// It takes no more.
    Refused,
}

/// The request on its way to the upstream: the head, then the body as it comes in.
#[derive(Debug)]
pub struct Upload {
    body: Body,
    reframe: Reframe,
    /// End of the head in `client_in`, which stays there for the access log.
    head_len: usize,
    /// End of what was taken over from `client_in`.
    cursor: usize,
    /// End of what was written of `to_upstream`.
    written: usize,
    /// Size of the last read.
    last_read: usize,
    /// Whether `to_upstream` still holds everything from the head on.
    whole: bool,
    progress: Progress,
    /// Whether the client was the one waited for the last time.
    waits_for_client: bool,
    /// How long it may still be.
    pace: Pace,
    /// Bytes received from the client, head included.
    pub received: u64,
}

impl Upload {
    /// The upload of a request whose head, of `head_len` bytes, is in `to_upstream` already.
    pub fn new(head_len: usize, body: BodyLength, max_body: u64, pace: Pace) -> Self {
        let reframe = if body == BodyLength::Chunked {
            Reframe::Chunked
        } else {
            Reframe::Plain
        };
        Self {
            body: Body::new(body, max_body),
            reframe,
            head_len,
            cursor: head_len,
            written: 0,
            last_read: 0,
            whole: true,
            progress: Progress::Sending,
            waits_for_client: false,
            pace,
            received: head_len as u64,
        }
    }

    /// Whether the whole body has been received.
    pub const fn is_received(&self) -> bool {
        self.body.is_done()
    }

    /// Whether there is nothing left to do: all is sent, or the upstream takes no more.
    pub const fn is_over(&self) -> bool {
        !matches!(self.progress, Progress::Sending)
    }

    /// Whether all of it has been sent.
    pub const fn is_complete(&self) -> bool {
        matches!(self.progress, Progress::Sent)
    }

    /// Whether it is the client that must go on.
    pub const fn waits_for_client(&self) -> bool {
        self.waits_for_client
    }

    /// How long the client may be waited for.
    pub fn patience(&self) -> Duration {
        self.pace.left(self.received - self.head_len as u64)
    }

    /// Gives the client its time anew: only now has it been asked for the body.
    pub fn restart_pace(&mut self) {
        self.pace.restart();
    }

    /// Whether nothing has been sent over the current connection.
    pub const fn nothing_sent(&self) -> bool {
        self.written == 0
    }

    /// Starts again, for another connection. False if that isn't possible any more.
    pub const fn rewind(&mut self) -> bool {
        if self.whole {
            self.written = 0;
            self.progress = Progress::Sending;
        }
        self.whole
    }

    /// End of this request in `client_in`.
    pub const fn end(&self) -> usize {
        self.cursor
    }

    /// Moves what can be moved; ready when the whole request has been sent.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut TcpStream,
        upstream: &mut TcpStream,
        buffers: &mut Buffers,
        moved: &mut bool,
    ) -> Poll<Result<(), UploadError>> {
        loop {
            let Buffers {
                client_in,
                to_upstream,
                ..
            } = &mut *buffers;
            self.waits_for_client = false;
            self.take(client_in, to_upstream)
                .map_err(UploadError::Request)?;
            while self.written < to_upstream.len() {
                let rest = &to_upstream[self.written..];
                let Ok(sent @ 1..) = ready!(Pin::new(&mut *upstream).poll_write(cx, rest)) else {
                    self.progress = Progress::Refused;
                    return Poll::Ready(Err(UploadError::Upstream));
                };
                self.written += sent;
                *moved = true;
            }
            if self.body.is_done() {
                self.progress = Progress::Sent;
                return Poll::Ready(Ok(()));
            }
            if to_upstream.len() > REPLAY_LIMIT {
                to_upstream.clear();
                self.written = 0;
                self.whole = false;
            }
            ready!(self.poll_refill(cx, client, client_in))?;
            *moved = true;
        }
    }

    /// Takes the body in; ready when all of it is there.
    pub fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut TcpStream,
        buffers: &mut Buffers,
        moved: &mut bool,
    ) -> Poll<Result<(), UploadError>> {
        loop {
            self.take(&mut buffers.client_in, &mut buffers.to_upstream)
                .map_err(UploadError::Request)?;
            if self.body.is_done() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_refill(cx, client, &mut buffers.client_in))?;
            *moved = true;
        }
    }

    /// Takes over what has been received of the body; what follows belongs to the next request.
    pub fn take(
        &mut self,
        client_in: &mut Vec<u8>,
        to_upstream: &mut Vec<u8>,
    ) -> Result<(), SyntaxError> {
        if self.body.is_done() || self.cursor == client_in.len() {
            return Ok(());
        }
        let taken = self
            .body
            .take(&client_in[self.cursor..], to_upstream, self.reframe)?;
        self.cursor += taken;
        self.received += taken as u64;
        if self.cursor == client_in.len() {
            client_in.truncate(self.head_len);
            self.cursor = self.head_len;
        }
        Ok(())
    }

    fn poll_refill(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut TcpStream,
        client_in: &mut Vec<u8>,
    ) -> Poll<Result<(), UploadError>> {
        let read = poll_read_more(client, cx, client_in, self.last_read);
        self.waits_for_client = read.is_pending();
        if read.is_pending() {
            self.pace.wait();
        } else {
            self.pace.go_on();
        }
        match ready!(read) {
            Ok(size @ 1..) => {
                self.last_read = size;
                Poll::Ready(Ok(()))
            }
            Ok(0) | Err(_) => Poll::Ready(Err(UploadError::ClientGone)),
        }
    }
}

/// Why a response body doesn't get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownloadError {
    /// The client takes no more.
    ClientGone,
    /// The upstream closed the connection too early.
    Upstream,
    /// The upstream broke the framing.
    Response(SyntaxError),
}

/// The response on its way to the client: the head, then the body as it comes in.
#[derive(Debug)]
pub struct Download {
    body: Body,
    reframe: Reframe,
    /// End of what was taken over from `upstream_in`.
    cursor: usize,
    /// End of what was written of `to_client`.
    written: usize,
    last_read: usize,
    /// Whether the client was the one waited for the last time.
    waits_for_client: bool,
    /// Bytes sent to the client, head included.
    pub sent: u64,
}

impl Download {
    /// The download of a response whose head is in `to_client` already, and took `head_len` bytes
    /// of `upstream_in`.
    pub const fn new(head_len: usize, body: BodyLength, reframe: Reframe) -> Self {
        Self {
            body: Body::new(body, u64::MAX),
            reframe,
            cursor: head_len,
            written: 0,
            last_read: 0,
            waits_for_client: false,
            sent: 0,
        }
    }

    /// End of this response in `upstream_in`.
    pub const fn end(&self) -> usize {
        self.cursor
    }

    /// Whether the whole response has been received; what is in `to_client` may be left to be sent.
    pub const fn is_received(&self) -> bool {
        self.body.is_done()
    }

    /// Whether it is the client that must go on.
    pub const fn waits_for_client(&self) -> bool {
        self.waits_for_client
    }

    /// Moves what can be moved; ready when the whole response has been received.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        upstream: &mut TcpStream,
        client: &mut TcpStream,
        buffers: &mut Buffers,
        moved: &mut bool,
    ) -> Poll<Result<(), DownloadError>> {
        let Buffers {
            upstream_in,
            to_client,
            ..
        } = buffers;
        loop {
            self.take(upstream_in, to_client)
                .map_err(DownloadError::Response)?;
            if self.body.is_done() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_send(cx, client, to_client, moved))?;
            to_client.clear();
            self.written = 0;
            upstream_in.clear();
            self.cursor = 0;
            match ready!(poll_read_more(upstream, cx, upstream_in, self.last_read)) {
                Ok(size @ 1..) => {
                    self.last_read = size;
                    *moved = true;
                }
                Ok(0) if matches!(self.body, Body::UntilClose) => {
                    self.body = Body::Done;
                    write_end(to_client, self.reframe);
                }
                Ok(0) | Err(_) => return Poll::Ready(Err(DownloadError::Upstream)),
            }
        }
    }

    /// Sends what is there; ready when all of it is sent.
    pub fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut TcpStream,
        to_client: &[u8],
        moved: &mut bool,
    ) -> Poll<Result<(), DownloadError>> {
        while self.written < to_client.len() {
            let write = Pin::new(&mut *client).poll_write(cx, &to_client[self.written..]);
            self.waits_for_client = write.is_pending();
            match ready!(write) {
                Ok(sent @ 1..) => {
                    self.written += sent;
                    self.sent += sent as u64;
                }
                Ok(0) | Err(_) => return Poll::Ready(Err(DownloadError::ClientGone)),
            }
            *moved = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes over what has been received of the body.
    pub fn take(
        &mut self,
        upstream_in: &mut Vec<u8>,
        to_client: &mut Vec<u8>,
    ) -> Result<(), SyntaxError> {
        if self.body.is_done() || self.cursor == upstream_in.len() {
            return Ok(());
        }
        // A buffer that holds nothing but body goes out as it is.
        if let Body::Fixed { remaining } = &mut self.body
            && self.reframe == Reframe::Plain
            && self.cursor == 0
            && to_client.is_empty()
            && *remaining >= upstream_in.len() as u64
        {
            *remaining -= upstream_in.len() as u64;
            if *remaining == 0 {
                self.body = Body::Done;
            }
            mem::swap(upstream_in, to_client);
            return Ok(());
        }
        let taken = self
            .body
            .take(&upstream_in[self.cursor..], to_client, self.reframe)?;
        self.cursor += taken;
        Ok(())
    }
}
