//! HTTP/1.1 over HTTP/2: each request that a test writes becomes a stream, and what comes on the stream
//! reads as a response. So what is tested of HTTP/1.1 can be tested of HTTP/2 as well, where it isn't about
//! the bytes of either: the head has to be well-formed, a connection's end says nothing, and `Connection`,
//! `Keep-Alive` and `Transfer-Encoding` are left out (RFC 9113 §8.2.2).

use super::http2::{self, DATA, END_STREAM, Frame, HEADERS, RST_STREAM, Session, Silence};
use std::collections::VecDeque;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use testkit::http::{Carrier, Stream};
use testkit::wait::PATIENCE;

/// A session over `tcp` that reads and writes as HTTP/1.1.
pub(crate) fn over_http2(tcp: TcpStream) -> Stream {
    Stream::Carried(Box::new(OverHttp2 {
        session: Session::over(tcp),
        written: Vec::new(),
        request: None,
        next: 1,
        answers: VecDeque::new(),
        readable: VecDeque::new(),
    }))
}

struct OverHttp2 {
    session: Session,
    /// What a test has written, and no frame has taken yet.
    written: Vec<u8>,
    /// The stream whose body is being written, and how its end is known.
    request: Option<(u32, Body)>,
    next: u32,
    /// Whose turn it is to be read.
    answers: VecDeque<Answer>,
    /// What of it is translated, and not read yet.
    readable: VecDeque<u8>,
}

/// How much of a request's body is to come.
enum Body {
    Length(usize),
    Chunked,
}

struct Answer {
    stream: u32,
    /// To a HEAD.
    is_bodiless: bool,
    /// Set once its head has come.
    is_chunked: Option<bool>,
}

impl OverHttp2 {
    /// Sends what can be sent of what was written.
    fn translate(&mut self) -> Result<()> {
        loop {
            let sent = match self.request.take() {
                None => self.send_head()?,
                Some((stream, Body::Length(left))) => self.send_counted(stream, left)?,
                Some((stream, Body::Chunked)) => self.send_chunk(stream)?,
            };
            if !sent {
                return Ok(());
            }
        }
    }

    fn send_head(&mut self) -> Result<bool> {
        let Some(end) = find(&self.written, b"\r\n\r\n") else {
            return Ok(false);
        };
        let head: Vec<u8> = self.written.drain(..end + 4).collect();
        let head: String = head[..end].iter().map(|byte| char::from(*byte)).collect();
        let mut lines = head.split("\r\n");
        let line: Vec<_> = lines.next().unwrap().split(' ').collect();
        let [method, target, "HTTP/1.1"] = line[..] else {
            panic!("{head:?} can't be told in HTTP/2");
        };
        let (scheme, authority, path) = parts(target);
        let mut fields = vec![(":method", method), (":scheme", scheme), (":path", path)];
        let mut body = None;
        let mut regular = Vec::new();
        let mut host = authority;
        for line in lines {
            let (name, value) = line.split_once(':').expect("a field");
            let value = value.trim_matches([' ', '\t']);
            let name = name.to_ascii_lowercase();
            match name.as_str() {
                "host" => host = host.or(Some(value)),
                "connection" | "keep-alive" => {}
                "transfer-encoding" => body = Some(Body::Chunked),
                _ => {
                    if name == "content-length" {
                        body = Some(Body::Length(value.parse().unwrap()));
                    }
                    regular.push((name, value));
                }
            }
        }
        fields.extend(host.map(|host| (":authority", host)));
        fields.extend(regular.iter().map(|(name, value)| (&**name, *value)));

        let stream = self.next;
        self.next += 2;
        let body = body.filter(|body| !matches!(body, Body::Length(0)));
        let end = if body.is_none() { END_STREAM } else { 0 };
        self.session.try_send_head(stream, end, &fields)?;
        self.answers.push_back(Answer {
            stream,
            is_bodiless: method == "HEAD",
            is_chunked: None,
        });
        self.request = body.map(|body| (stream, body));
        Ok(true)
    }

    fn send_counted(&mut self, stream: u32, left: usize) -> Result<bool> {
        let size = left.min(self.written.len());
        let bytes: Vec<u8> = self.written.drain(..size).collect();
        self.send_data(stream, &bytes)?;
        if size == left {
            self.end(stream)?;
            return Ok(true);
        }
        self.request = Some((stream, Body::Length(left - size)));
        Ok(false)
    }

    fn send_chunk(&mut self, stream: u32) -> Result<bool> {
        self.request = Some((stream, Body::Chunked));
        let Some(line) = find(&self.written, b"\r\n") else {
            return Ok(false);
        };
        let size = std::str::from_utf8(&self.written[..line]).unwrap();
        let size = size.split(';').next().unwrap().trim();
        let size = usize::from_str_radix(size, 16).expect("a chunk's size");
        if size > 0 {
            if self.written.len() < line + 2 + size + 2 {
                return Ok(false);
            }
            let chunk: Vec<u8> = self.written.drain(..line + 2 + size + 2).collect();
            self.send_data(stream, &chunk[line + 2..line + 2 + size])?;
            return Ok(true);
        }
        let Some(end) = find(&self.written[line..], b"\r\n\r\n") else {
            return Ok(false);
        };
        let last: Vec<u8> = self.written.drain(..line + end + 4).collect();
        self.request = None;
        let trailers = String::from_utf8(last[line..line + end].to_vec()).unwrap();
        let trailers: Vec<_> = trailers
            .split("\r\n")
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        if trailers.is_empty() {
            self.end(stream)?;
        } else {
            let fields: Vec<_> = trailers.iter().map(|(n, v)| (&**n, &**v)).collect();
            self.session
                .try_send_frame(&Frame::headers(stream, END_STREAM, &fields))?;
        }
        Ok(true)
    }

    /// As the windows allow. Where the stream is reset meanwhile, the rest is of no use to anybody.
    fn send_data(&mut self, stream: u32, bytes: &[u8]) -> Result<()> {
        self.session
            .send_body_for(stream, bytes, PATIENCE)
            .map(drop)
    }

    fn end(&mut self, stream: u32) -> Result<()> {
        self.session
            .try_send_frame(&Frame::new(DATA, END_STREAM, stream, []))
    }

    /// Waits for a frame of the answer whose turn it is, and translates it.
    fn receive(&mut self) -> Result<()> {
        let patience = self.session.tcp().read_timeout()?.unwrap_or(PATIENCE);
        let Some(answer) = self.answers.front_mut() else {
            // Nobody is waited for: only the end can come.
            return match self.session.next_within(patience) {
                Ok(_) => Ok(()),
                Err(Silence::Closed) => Err(ErrorKind::UnexpectedEof.into()),
                Err(Silence::Waited) => Err(ErrorKind::WouldBlock.into()),
            };
        };
        let frame = match self.session.next_of_within(answer.stream, patience) {
            Ok(frame) => frame,
            Err(Silence::Closed) => return Err(ErrorKind::UnexpectedEof.into()),
            Err(Silence::Waited) => return Err(ErrorKind::WouldBlock.into()),
        };
        let ends = frame.flags & END_STREAM != 0;
        let mut text = Vec::new();
        match frame.kind {
            HEADERS if answer.is_chunked.is_none() => {
                text = response_head(&frame, answer, ends);
            }
            HEADERS => {
                text.extend(b"0\r\n");
                push_fields(&mut text, &frame.fields());
                text.extend(b"\r\n");
            }
            DATA if answer.is_chunked == Some(true) => {
                if !frame.payload.is_empty() {
                    text.extend(format!("{:x}\r\n", frame.payload.len()).bytes());
                    text.extend(&frame.payload);
                    text.extend(b"\r\n");
                }
                if ends {
                    text.extend(b"0\r\n\r\n");
                }
            }
            DATA => text.extend(&frame.payload),
            RST_STREAM => {
                let code = frame.code();
                self.answers.pop_front();
                // Of a stream that was answered in full, it says that the rest of the body isn't wanted.
                return match code {
                    http2::NO_ERROR => Ok(()),
                    code => Err(Error::new(
                        ErrorKind::ConnectionReset,
                        format!("code {code}"),
                    )),
                };
            }
            _ => {}
        }
        if ends {
            self.answers.pop_front();
        }
        self.readable.extend(text);
        Ok(())
    }
}

/// The head of an HTTP/1.1 response; a body without a length is chunked.
fn response_head(frame: &Frame, answer: &mut Answer, ends: bool) -> Vec<u8> {
    let mut fields = frame.fields();
    let (name, status) = fields.remove(0);
    assert_eq!(name, ":status", "{fields:?}");
    let mut text = format!("HTTP/1.1 {status} Status\r\n").into_bytes();
    push_fields(&mut text, &fields);
    if !status.starts_with('1') {
        let counted = fields.iter().any(|(name, _)| name == "content-length");
        let bodiless = answer.is_bodiless || status == "204" || status == "304";
        answer.is_chunked = Some(!counted && !bodiless && !ends);
        if answer.is_chunked == Some(true) {
            text.extend(b"transfer-encoding: chunked\r\n");
        } else if !counted && !bodiless {
            text.extend(b"content-length: 0\r\n");
        }
    }
    text.extend(b"\r\n");
    text
}

fn push_fields(text: &mut Vec<u8>, fields: &[(String, String)]) {
    for (name, value) in fields {
        text.extend(format!("{name}: {value}\r\n").bytes());
    }
}

/// The scheme, the authority and the path of a target.
fn parts(target: &str) -> (&str, Option<&str>, &str) {
    let Some((scheme, rest)) = target
        .split_once("://")
        .filter(|_| !target.starts_with('/'))
    else {
        return ("http", None, target);
    };
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    (
        scheme,
        Some(authority),
        if path.is_empty() { "/" } else { path },
    )
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

impl Carrier for OverHttp2 {
    fn tcp(&self) -> &TcpStream {
        self.session.tcp()
    }
}

impl Write for OverHttp2 {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.written.extend(bytes);
        self.translate()?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Read for OverHttp2 {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        while self.readable.is_empty() {
            match self.receive() {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                received => received?,
            }
        }
        self.readable.read(buffer)
    }
}
