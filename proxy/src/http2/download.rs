//! The response of HTTP/1.1 that a stream is written, as what goes out in HTTP/2.
//!
//! It is our own text, of [`crate::rewrite::response`] or an error page: whole heads at a time, one way
//! to frame a chunk. So what doesn't parse here is a fault of ours, and resets the stream.

use std::{
    io,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, SendStream, server::SendResponse};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use memchr::memmem;

use super::{load::Load, upload::into_io, websocket::Key};
use crate::http1::{
    Field,
    framing::FramingFields,
    head::{MAX_RESPONSE_FIELDS, ResponseFields, parse_fields, parse_response},
};

/// Most trailers: as many as the decoder of their body lets pass.
const MAX_TRAILERS: usize = 32;

/// Where in the response one is.
enum Progress {
    Head,
    /// So many bytes of the body are left.
    Counted(u64),
    /// In the framing between chunks, or so many bytes before the end of one.
    Chunked(usize),
    Tunnel,
    Ended,
}

/// What a response may be to.
pub(super) struct Asked {
    /// The method was HEAD.
    pub(super) without_body: bool,
    /// For a tunnel.
    pub(super) tunnel: Option<Key>,
}

pub(super) struct Download {
    asked: Asked,
    progress: Progress,
    respond: SendResponse<Bytes>,
    /// Once the head is sent.
    body: Option<SendStream<Bytes>>,
    load: Arc<Load>,
}

impl Download {
    pub(super) fn new(asked: Asked, respond: SendResponse<Bytes>, load: Arc<Load>) -> Self {
        Self {
            asked,
            progress: Progress::Head,
            respond,
            body: None,
            load,
        }
    }

    pub(super) const fn has_ended(&self) -> bool {
        matches!(self.progress, Progress::Ended)
    }

    pub(super) const fn is_tunnel(&self) -> bool {
        matches!(self.progress, Progress::Tunnel)
    }

    /// Ready once the client wants no more of it.
    pub(super) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let reset = match &mut self.body {
            Some(body) => body.poll_reset(cx),
            None => self.respond.poll_reset(cx),
        };
        reset.map(|reason| match reason {
            Ok(reason) => io::Error::new(io::ErrorKind::ConnectionReset, reason.description()),
            Err(error) => into_io(error),
        })
    }

    /// Takes over from the front of `text`; returns how much that was.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        text: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.progress {
            Progress::Head => Poll::Ready(self.send_head(text)),
            Progress::Counted(left) => {
                let wanted = usize::try_from(left).map_or(text.len(), |left| left.min(text.len()));
                let sent = ready!(self.poll_data(cx, &text[..wanted], wanted as u64 == left))?;
                self.progress = match left - sent as u64 {
                    0 => Progress::Ended,
                    left => Progress::Counted(left),
                };
                Poll::Ready(Ok(sent))
            }
            Progress::Chunked(left) => self.poll_chunk(cx, text, left),
            Progress::Tunnel => self.poll_data(cx, text, false),
            // Nothing follows.
            Progress::Ended => Poll::Ready(Err(ours())),
        }
    }

    /// Ends a tunnel's way to the client.
    pub(super) fn end_tunnel(&mut self) -> io::Result<()> {
        if self.is_tunnel() {
            self.send(Bytes::new(), true)?;
        }
        Ok(())
    }

    /// Ends it wherever it is, for a client that would take it for whole otherwise.
    pub(super) fn reset(&mut self, reason: Reason) {
        self.progress = Progress::Ended;
        self.respond.send_reset(reason);
    }

    fn send_head(&mut self, text: &[u8]) -> io::Result<usize> {
        let end = memmem::find(text, b"\r\n\r\n").ok_or_else(ours)? + 4;
        let mut fields: ResponseFields<'_> =
            [const { std::mem::MaybeUninit::uninit() }; MAX_RESPONSE_FIELDS];
        let text = self.load.unsent_copy(&text[..end]);
        let (line, fields) = parse_response(&text, &mut fields).map_err(|_| ours())?;
        let framing = FramingFields::of(fields).map_err(|_| ours())?;
        let mut response = Response::new(());
        *response.headers_mut() = header_map(&text, fields)?;
        *response.status_mut() = StatusCode::from_u16(line.status).map_err(|_| ours())?;
        match (line.status, &self.asked.tunnel) {
            (101, Some(key)) => {
                let fields = response.headers_mut();
                let accept = fields.remove(header::SEC_WEBSOCKET_ACCEPT);
                if !accept.is_some_and(|accept| key.is_accepted_by(accept.as_bytes())) {
                    self.refuse_tunnel()?;
                    return Err(io::ErrorKind::InvalidData.into());
                }
                *response.status_mut() = StatusCode::OK;
                self.begin(response, false)?;
                self.progress = Progress::Tunnel;
            }
            (101, None) => return Err(ours()),
            (..200, _) => self.respond.send_informational(response).map_err(into_io)?,
            // A tunnel to the client, but not to the upstream.
            (..300, Some(_)) => {
                self.refuse_tunnel()?;
                return Err(io::ErrorKind::InvalidData.into());
            }
            (status, _) => {
                self.progress = match framing.content_length() {
                    _ if self.asked.without_body || matches!(status, 204 | 304) => Progress::Ended,
                    Some(0) => Progress::Ended,
                    Some(length) => Progress::Counted(length),
                    None if framing.is_chunked() => Progress::Chunked(0),
                    None => Progress::Ended,
                };
                self.begin(response, self.has_ended())?;
            }
        }
        Ok(end)
    }

    fn begin(&mut self, response: Response<()>, ends: bool) -> io::Result<()> {
        let body = self.respond.send_response(response, ends);
        self.body = Some(body.map_err(into_io)?);
        Ok(())
    }

    /// The upstream hasn't understood what it was asked.
    fn refuse_tunnel(&mut self) -> io::Result<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        self.progress = Progress::Ended;
        self.begin(response, true)
    }

    /// In the chunked coding; `left` bytes of a chunk are to come. A chunk that is the last is sent as
    /// that, where the end is known.
    fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
        text: &[u8],
        left: usize,
    ) -> Poll<io::Result<usize>> {
        let (framing, left) = match left {
            0 => {
                let line = memchr::memchr(b'\n', text).ok_or_else(ours)? + 1;
                let size = str::from_utf8(&text[..line])
                    .map_err(|_| ours())?
                    .trim_end();
                let size = usize::from_str_radix(size, 16).map_err(|_| ours())?;
                if size == 0 {
                    return Poll::Ready(self.send_trailers(&text[line..]).map(|end| line + end));
                }
                (line, size)
            }
            left => (0, left),
        };
        let data = &text[framing..];
        // Each chunk is written whole, with the line end after it.
        let data = &data[..data.len().min(left)];
        let after = &text[framing + data.len()..];
        let is_last = after == b"\r\n0\r\n\r\n";
        let sent = ready!(self.poll_data(cx, data, is_last))?;
        if sent < left {
            self.progress = Progress::Chunked(left - sent);
            return Poll::Ready(Ok(framing + sent));
        }
        if !after.starts_with(b"\r\n") {
            return Poll::Ready(Err(ours()));
        }
        if is_last {
            self.progress = Progress::Ended;
            return Poll::Ready(Ok(text.len()));
        }
        self.progress = Progress::Chunked(0);
        Poll::Ready(Ok(framing + sent + 2))
    }

    /// Ends a chunked body, whose trailer section `text` is.
    fn send_trailers(&mut self, text: &[u8]) -> io::Result<usize> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_TRAILERS];
        let copy = self.load.unsent_copy(text);
        let fields = parse_fields(&copy, &mut fields).map_err(|_| ours())?;
        if fields.is_empty() {
            self.send(Bytes::new(), true)?;
        } else {
            let trailers = header_map(&copy, fields)?;
            let body = self.body.as_mut().ok_or_else(ours)?;
            body.send_trailers(trailers).map_err(into_io)?;
        }
        self.progress = Progress::Ended;
        Ok(text.len())
    }

    /// Sends as much as the client lets us; all of it `is_last`.
    fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
        is_last: bool,
    ) -> Poll<io::Result<usize>> {
        let body = self.body.as_mut().ok_or_else(ours)?;
        body.reserve_capacity(data.len());
        let mut capacity = body.capacity();
        while capacity == 0 {
            match ready!(body.poll_capacity(cx)) {
                Some(Ok(size)) => capacity = size,
                Some(Err(error)) => return Poll::Ready(Err(into_io(error))),
                None => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            }
        }
        let sent = capacity.min(data.len());
        let copy = self.load.unsent_copy(&data[..sent]);
        self.send(copy, is_last && sent == data.len())?;
        Poll::Ready(Ok(sent))
    }

    fn send(&mut self, data: Bytes, ends: bool) -> io::Result<()> {
        let body = self.body.as_mut().ok_or_else(ours)?;
        body.send_data(data, ends).map_err(into_io)?;
        if ends {
            self.progress = Progress::Ended;
        }
        Ok(())
    }
}

/// Fields of HTTP/2; all values share the memory of `text`, in which they are.
fn header_map(text: &Bytes, fields: &[httparse::Header<'_>]) -> io::Result<HeaderMap> {
    let mut map = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let meaning = Field::of(field.name);
        if matches!(
            meaning,
            Field::Connection | Field::TransferEncoding | Field::Upgrade | Field::HopByHop
        ) {
            continue;
        }
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| ours())?;
        let value = if field.value.is_empty() {
            Bytes::new()
        } else {
            text.slice_ref(field.value)
        };
        let mut value = HeaderValue::from_maybe_shared(value).map_err(|_| ours())?;
        // No other response has it: it isn't worth a place in the table.
        value.set_sensitive(meaning == Field::XRequestId);
        map.try_append(name, value).map_err(|_| ours())?;
    }
    Ok(map)
}

/// What was written isn't what this module expects.
fn ours() -> io::Error {
    io::ErrorKind::InvalidInput.into()
}
