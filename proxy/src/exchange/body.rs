//! A body on its way from one connection to the other: as it comes in, and as it goes out.
//!
//! The sender is read only when the receiver has taken what came before, so that neither end holds
//! more than one buffer of data.

use std::{
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite};

use super::transport::poll_read_more;
use crate::http1::{
    BodyLength, ChunkedDecoder, Reframe, SyntaxError,
    chunked::{write_data, write_end},
};

/// Where in a body one is.
#[derive(Debug)]
enum Body {
    Fixed { remaining: u64 },
    Chunked(ChunkedDecoder),
    UntilClose,
    Done,
}

impl Body {
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

/// What comes in over one connection: a body, and perhaps something before and after it.
#[derive(Debug)]
pub(crate) struct Incoming<'b> {
    pub(super) buffer: &'b mut Vec<u8>,
    /// End of what was taken over from the buffer.
    taken: usize,
    body: Body,
    reframe: Reframe,
    /// Size of the last read, and of all.
    last_read: usize,
    read: u64,
}

impl<'b> Incoming<'b> {
    /// Without a body as yet.
    pub(crate) const fn new(buffer: &'b mut Vec<u8>) -> Self {
        Self {
            buffer,
            taken: 0,
            body: Body::Done,
            reframe: Reframe::Plain,
            last_read: 0,
            read: 0,
        }
    }

    /// A body follows the first `start` bytes of the buffer.
    pub(crate) fn begin(&mut self, start: usize, length: BodyLength, limit: u64, reframe: Reframe) {
        self.taken = start;
        self.reframe = reframe;
        self.body = match length {
            BodyLength::Fixed(0) => Body::Done,
            BodyLength::Fixed(remaining) => Body::Fixed { remaining },
            BodyLength::Chunked => Body::Chunked(ChunkedDecoder::new(limit)),
            BodyLength::UntilClose => Body::UntilClose,
        };
    }

    /// Whether all of the body has come in.
    pub(crate) const fn is_received(&self) -> bool {
        matches!(self.body, Body::Done)
    }

    pub(crate) const fn read(&self) -> u64 {
        self.read
    }

    /// Moves what has come in after the body to `out`.
    pub(crate) fn move_rest(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.buffer[self.taken..]);
        self.buffer.clear();
        self.taken = 0;
    }

    /// Whether nothing has come in but what was taken over.
    pub(crate) const fn is_empty(&self) -> bool {
        self.buffer.len() == self.taken
    }

    /// Removes what was taken over.
    pub(crate) fn discard_taken(&mut self) {
        self.buffer.drain(..mem::take(&mut self.taken));
    }

    /// Appends to `out` what has come in of the body; returns how many bytes that took.
    pub(crate) fn take(&mut self, out: &mut Vec<u8>) -> Result<usize, SyntaxError> {
        if self.is_received() || self.is_empty() {
            return Ok(0);
        }
        let available = self.buffer.len() - self.taken;
        // A buffer that holds nothing but body goes out as it is.
        if let Body::Fixed { remaining } = &mut self.body
            && self.reframe == Reframe::Plain
            && self.taken == 0
            && out.is_empty()
            && *remaining >= available as u64
        {
            *remaining -= available as u64;
            if *remaining == 0 {
                self.body = Body::Done;
            }
            mem::swap(self.buffer, out);
            return Ok(available);
        }
        let input = &self.buffer[self.taken..];
        let taken = self.body.take(input, out, self.reframe)?;
        self.taken += taken;
        if self.is_empty() {
            self.buffer.clear();
            self.taken = 0;
        }
        Ok(taken)
    }

    /// Notes that the connection has ended; whether that is the end of the body.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) -> bool {
        let ends = matches!(self.body, Body::UntilClose);
        if ends {
            self.body = Body::Done;
            write_end(out, self.reframe);
        }
        ends
    }

    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut (impl AsyncRead + Unpin),
    ) -> Poll<io::Result<usize>> {
        let read = ready!(poll_read_more(source, cx, self.buffer, self.last_read));
        if let Ok(size) = read {
            self.last_read = size;
            self.read += size as u64;
        }
        Poll::Ready(read)
    }
}

#[derive(Debug)]
pub(crate) struct Outgoing<'b> {
    pub(super) buffer: &'b mut Vec<u8>,
    /// End of what was written of the buffer.
    written: usize,
    /// Bytes written, whatever has become of the buffer since.
    sent: u64,
}

impl<'b> Outgoing<'b> {
    pub(crate) const fn new(buffer: &'b mut Vec<u8>) -> Self {
        Self {
            buffer,
            written: 0,
            sent: 0,
        }
    }

    pub(crate) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether nothing that is in the buffer has been written.
    pub(crate) const fn is_unsent(&self) -> bool {
        self.written == 0
    }

    /// Writes what is in the buffer from its beginning again.
    pub(crate) fn rewind(&mut self) {
        self.written = 0;
    }

    pub(crate) fn clear(&mut self) {
        self.buffer.clear();
        self.written = 0;
    }

    /// Ready when all of it is written and flushed.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        while self.written < self.buffer.len() {
            let rest = &self.buffer[self.written..];
            match ready!(Pin::new(&mut *sink).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => {
                    self.written += sent;
                    self.sent += sent as u64;
                }
            }
        }
        Pin::new(sink).poll_flush(cx)
    }
}
