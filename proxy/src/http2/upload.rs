//! A stream's request as bytes of HTTP/1.1: the head, then the body in its framing.

use std::{
    io::{self, Write},
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use h2::RecvStream;
use http::HeaderMap;
use tokio::io::ReadBuf;

use super::request::Content;

/// Room that a chunk's framing takes: size, and two line ends.
const CHUNK_FRAMING: usize = 20;

#[derive(Debug)]
enum Body {
    /// As it comes.
    Plain,
    Chunked,
    /// Not before the tunnel is there.
    Withheld,
    Ended,
}

#[derive(Debug)]
pub(super) struct Upload {
    /// What is read next: the head, later the end of a chunked body.
    text: Vec<u8>,
    read: usize,
    body: Body,
    /// What has been taken of the body, and isn't read yet.
    data: Bytes,
    /// The length of that frame: the client may send as much again when it is read.
    frame: usize,
    stream: RecvStream,
}

impl Upload {
    pub(super) fn new(head: Vec<u8>, content: Content, stream: RecvStream) -> Self {
        Self {
            text: head,
            read: 0,
            body: match content {
                Content::Nothing => Body::Ended,
                Content::Counted => Body::Plain,
                Content::Chunked => Body::Chunked,
                Content::Withheld => Body::Withheld,
            },
            data: Bytes::new(),
            frame: 0,
            stream,
        }
    }

    /// What comes from now on is no request any more.
    pub(super) fn open_tunnel(&mut self) {
        self.body = Body::Plain;
    }

    /// Whether there is nothing left to read.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.body, Body::Ended | Body::Withheld) && self.read == self.text.len()
    }

    /// Fills `buf`, unless [`Self::has_ended`].
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.read < self.text.len() {
                let rest = &self.text[self.read..];
                let taken = rest.len().min(buf.remaining());
                buf.put_slice(&rest[..taken]);
                self.read += taken;
                if self.read == self.text.len() {
                    self.text = Vec::new();
                    self.read = 0;
                }
                return Poll::Ready(Ok(()));
            }
            if self.data.is_empty() {
                if let Some(data) = ready!(self.stream.poll_data(cx)) {
                    self.data = data.map_err(into_io)?;
                    self.frame = self.data.len();
                    continue;
                }
                let trailers = ready!(self.stream.poll_trailers(cx)).map_err(into_io)?;
                let is_chunked = matches!(self.body, Body::Chunked);
                self.body = Body::Ended;
                if !is_chunked {
                    return Poll::Ready(Ok(()));
                }
                self.text = last_chunk(trailers.as_ref())?;
                continue;
            }
            self.put_data(buf);
            if self.data.is_empty() {
                let flow = self.stream.flow_control();
                // It fails for a stream that is over, which the next read tells.
                let _ = flow.release_capacity(self.frame);
            }
            return Poll::Ready(Ok(()));
        }
    }

    fn put_data(&mut self, buf: &mut ReadBuf<'_>) {
        if !matches!(self.body, Body::Chunked) {
            let taken = self.data.len().min(buf.remaining());
            buf.put_slice(&self.data[..taken]);
            self.data.advance(taken);
            return;
        }
        if buf.remaining() <= CHUNK_FRAMING {
            self.text = chunk(&self.data.split_to(1));
            let taken = self.text.len().min(buf.remaining());
            buf.put_slice(&self.text[..taken]);
            self.read = taken;
            return;
        }
        let taken = self.data.len().min(buf.remaining() - CHUNK_FRAMING);
        let mut size = [0; CHUNK_FRAMING];
        let mut rest = size.as_mut_slice();
        // It fits: 16 digits and a line end.
        let _ = write!(rest, "{taken:x}\r\n");
        let unused = rest.len();
        buf.put_slice(&size[..CHUNK_FRAMING - unused]);
        buf.put_slice(&self.data[..taken]);
        buf.put_slice(b"\r\n");
        self.data.advance(taken);
    }
}

fn chunk(data: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
    chunk.extend_from_slice(data);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

/// The end of a chunked body; its reader decides which trailers pass.
fn last_chunk(trailers: Option<&HeaderMap>) -> io::Result<Vec<u8>> {
    let mut text = b"0\r\n".to_vec();
    for (name, value) in trailers.into_iter().flatten() {
        let splits = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0);
        if value.as_bytes().iter().any(splits) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    Ok(text)
}

pub(super) fn into_io(error: h2::Error) -> io::Error {
    if error.is_io() {
        error
            .into_io()
            .unwrap_or_else(|| io::ErrorKind::Other.into())
    } else {
        io::Error::new(io::ErrorKind::ConnectionReset, error)
    }
}
