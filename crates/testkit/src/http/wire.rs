//! One end of an HTTP/1.1 connection, strict in what it accepts: every CR, LF and length has to be
//! right, so that whatever passes here is proof of what the proxy put on the wire.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::message::{Framing, Head, Request, Response, WireError, framing_of, status_of};
use super::stream::Stream;
use crate::wait::PATIENCE;

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// In order.
    Eof,
    /// As crashed peers end theirs.
    Reset,
    /// It goes on.
    StillOpen,
}

/// A connection with what has been read from it but not yet consumed.
pub struct Wire {
    stream: Stream,
    unread: Vec<u8>,
    /// Gets a copy of every byte that arrives, where a test wants to see them all.
    tap: Option<Arc<Mutex<Vec<u8>>>>,
}

impl Wire {
    /// One end of a connection.
    pub fn new(stream: impl Into<Stream>) -> Self {
        let stream = stream.into();
        stream.tcp().set_nodelay(true).unwrap();
        stream.tcp().set_read_timeout(Some(PATIENCE)).unwrap();
        stream.tcp().set_write_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream,
            unread: Vec::new(),
            tap: None,
        }
    }

    /// Copies what arrives into `tap`, too.
    #[must_use]
    pub fn tapped(mut self, tap: Arc<Mutex<Vec<u8>>>) -> Self {
        self.tap = Some(tap);
        self
    }

    /// Stops copying what arrives: for bodies too large to keep.
    pub fn untap(&mut self) {
        self.tap = None;
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        self.stream.tcp()
    }

    /// The TLS session, of a connection that has one.
    pub fn tls(&mut self) -> &mut rustls::ClientConnection {
        self.stream.tls()
    }

    /// Sends these bytes, which the peer must take.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the peer takes what is sent");
    }

    /// Sends these bytes.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends FIN: "nothing more from me".
    pub fn finish(&mut self) {
        self.stream.end().unwrap();
        self.stream().shutdown(Shutdown::Write).unwrap();
    }

    /// Has dropping this close with RST instead of FIN, as a crashed peer does.
    pub fn reset_on_drop(&self) {
        socket2::SockRef::from(self.stream())
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }

    /// Reads once. `Ok(0)` is the end of the stream.
    fn fill(&mut self) -> std::io::Result<usize> {
        let start = self.unread.len();
        self.unread.resize(start + 64 * 1024, 0);
        let read = self.stream.read(&mut self.unread[start..]);
        self.unread.truncate(start + *read.as_ref().unwrap_or(&0));
        let arrived = &self.unread[start..];
        if let Some(tap) = &self.tap {
            tap.lock().unwrap().extend_from_slice(arrived);
        }
        read
    }

    fn more(&mut self) -> Result<(), WireError> {
        match self.fill() {
            Ok(0) => Err(self.truncated()),
            Ok(_) => Ok(()),
            Err(error) if is_timeout(&error) => Err(WireError::TimedOut),
            Err(_) => Err(self.truncated()),
        }
    }

    fn truncated(&mut self) -> WireError {
        WireError::Truncated(std::mem::take(&mut self.unread))
    }

    /// Whatever comes within `wait`, up to the end of the connection.
    pub fn drain(&mut self, wait: Duration) -> (Vec<u8>, End) {
        self.stream().set_read_timeout(Some(wait)).unwrap();
        let end = loop {
            match self.fill() {
                Ok(0) => break End::Eof,
                Ok(_) => {}
                Err(error) if is_timeout(&error) => break End::StillOpen,
                Err(_) => break End::Reset,
            }
        };
        self.stream().set_read_timeout(Some(PATIENCE)).unwrap();
        (std::mem::take(&mut self.unread), end)
    }

    /// Waits for the peer to close, and asserts that it says nothing more before.
    #[track_caller]
    pub fn assert_closed(&mut self) {
        let (rest, end) = self.drain(PATIENCE);
        assert_ne!(end, End::StillOpen, "the peer should have closed");
        let rest = String::from_utf8_lossy(&rest);
        assert_eq!(rest, "", "the peer should have closed in silence");
    }

    /// Reads exactly `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<Vec<u8>, WireError> {
        while self.unread.len() < count {
            self.more()?;
        }
        Ok(self.unread.drain(..count).collect())
    }

    /// Reads and drops exactly `count` bytes, holding none of them.
    pub fn skip(&mut self, mut count: usize) -> Result<(), WireError> {
        loop {
            let now = count.min(self.unread.len());
            self.unread.drain(..now);
            count -= now;
            if count == 0 {
                return Ok(());
            }
            self.more()?;
        }
    }

    /// Reads up to and without the next CRLF.
    fn line(&mut self) -> Result<String, WireError> {
        let mut searched = 0;
        let end = loop {
            if let Some(at) = self.unread[searched..]
                .iter()
                .position(|&byte| byte == b'\n')
            {
                break searched + at;
            }
            searched = self.unread.len();
            self.more()?;
        };
        let line: Vec<u8> = self.unread.drain(..=end).collect();
        let Some(line) = line.strip_suffix(b"\r\n") else {
            return Err(WireError::Malformed(format!(
                "bare LF after {:?}",
                line.escape_ascii()
            )));
        };
        if line
            .iter()
            .any(|byte| byte.is_ascii_control() && *byte != b'\t')
        {
            return Err(WireError::Malformed(format!(
                "control byte in {}",
                line.escape_ascii()
            )));
        }
        // Field values may hold any byte from 0x80 (obs-text): shown here as Latin-1.
        Ok(line.iter().map(|&byte| char::from(byte)).collect())
    }

    fn fields(&mut self) -> Result<Vec<(String, String)>, WireError> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            let malformed = || WireError::Malformed(format!("field line {line:?}"));
            let (name, value) = line.split_once(':').ok_or_else(malformed)?;
            if name.is_empty() || name.contains([' ', '\t']) {
                return Err(malformed());
            }
            fields.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
        }
    }

    /// Reads a message's head, up to and with its empty line.
    pub fn head(&mut self) -> Result<Head, WireError> {
        if self.unread.is_empty() {
            match self.fill() {
                Ok(0) => return Err(WireError::Closed),
                Ok(_) => {}
                Err(error) if is_timeout(&error) => return Err(WireError::TimedOut),
                Err(_) => return Err(self.truncated()),
            }
        }
        Ok(Head {
            start_line: self.line()?,
            fields: self.fields()?,
        })
    }

    /// Reads one chunk; an empty one is the last, with trailers still to come.
    pub fn chunk(&mut self) -> Result<Vec<u8>, WireError> {
        let line = self.line()?;
        let malformed = |_| WireError::Malformed(format!("chunk size {line:?}"));
        let size = usize::from_str_radix(&line, 16).map_err(malformed)?;
        if size == 0 {
            return Ok(Vec::new());
        }
        let chunk = self.take(size)?;
        match self.take(2)?.as_slice() {
            b"\r\n" => Ok(chunk),
            other => Err(WireError::Malformed(format!("{other:?} after a chunk"))),
        }
    }

    /// Reads the fields after the last chunk.
    pub fn trailers(&mut self) -> Result<Vec<(String, String)>, WireError> {
        self.fields()
    }

    fn body(&mut self, framing: Framing, head: &Head) -> Result<Body, WireError> {
        let mut body = Vec::new();
        let mut trailers = Vec::new();
        match framing {
            Framing::None => {}
            Framing::Length => {
                let length = head.get("content-length").unwrap_or_default();
                let malformed = |_| WireError::Malformed(format!("Content-Length {length:?}"));
                body = self.take(length.parse().map_err(malformed)?)?;
            }
            Framing::Chunked => {
                loop {
                    let chunk = self.chunk()?;
                    if chunk.is_empty() {
                        break;
                    }
                    body.extend(chunk);
                }
                trailers = self.trailers()?;
            }
            Framing::UntilClose => match self.drain(PATIENCE) {
                (rest, End::Eof) => body = rest,
                (_, End::StillOpen) => return Err(WireError::TimedOut),
                (rest, End::Reset) => return Err(WireError::Truncated(rest)),
            },
        }
        Ok((body, trailers))
    }

    /// Reads one request, body and all.
    pub fn request(&mut self) -> Result<Request, WireError> {
        let head = self.head()?;
        let (body, trailers) = self.body(framing_of(&head)?, &head)?;
        Request::from_parts(head, body, trailers)
    }

    /// Reads one response to a request with `method`, body and all. An interim (1xx) response
    /// counts as one.
    pub fn response(&mut self, method: &str) -> Result<Response, WireError> {
        let head = self.head()?;
        let status = status_of(&head)?;
        let bodiless = method == "HEAD" || status < 200 || status == 204 || status == 304;
        let framing = match framing_of(&head)? {
            _ if bodiless => Framing::None,
            Framing::None => Framing::UntilClose,
            framing => framing,
        };
        let (body, trailers) = self.body(framing, &head)?;
        Ok(Response {
            status,
            head,
            framing,
            body,
            trailers,
        })
    }
}

type Body = (Vec<u8>, Vec<(String, String)>);

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
