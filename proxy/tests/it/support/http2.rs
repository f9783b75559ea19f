//! A client of HTTP/2 that sends whatever frames a test wants.

use super::hpack;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const WITH_PRIORITY: u8 = 32;

pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const INTERNAL_ERROR: u32 = 2;
pub(crate) const FLOW_CONTROL_ERROR: u32 = 3;
pub(crate) const STREAM_CLOSED: u32 = 5;
pub(crate) const FRAME_SIZE_ERROR: u32 = 6;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const COMPRESSION_ERROR: u32 = 9;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn new(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Self {
        Self {
            kind,
            flags,
            stream,
            payload: payload.as_ref().to_vec(),
        }
    }

    /// Fields that are all in one frame.
    pub(crate) fn headers(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Self {
        Self::new(HEADERS, flags | END_HEADERS, stream, hpack::encode(fields))
    }

    pub(crate) fn window_update(stream: u32, increment: u32) -> Self {
        Self::new(WINDOW_UPDATE, 0, stream, increment.to_be_bytes())
    }

    pub(crate) fn reset(stream: u32, code: u32) -> Self {
        Self::new(RST_STREAM, 0, stream, code.to_be_bytes())
    }

    pub(crate) fn settings(settings: &[(u16, u32)]) -> Self {
        let mut payload = Vec::new();
        for (id, value) in settings {
            payload.extend(id.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        Self::new(SETTINGS, 0, 0, payload)
    }

    pub(crate) fn ping(payload: [u8; 8]) -> Self {
        Self::new(PING, 0, 0, payload)
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.with_length(self.payload.len())
    }

    /// As if its payload had this length.
    pub(crate) fn with_length(&self, length: usize) -> Vec<u8> {
        let mut bytes = u32::try_from(length).unwrap().to_be_bytes()[1..].to_vec();
        bytes.extend([self.kind, self.flags]);
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }

    pub(crate) fn is(&self, kind: u8, flag: u8) -> bool {
        self.kind == kind && self.flags & flag == flag
    }

    /// The error code of a reset or GOAWAY.
    pub(crate) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    pub(crate) fn fields(&self) -> Vec<(String, String)> {
        hpack::decode(&self.payload)
    }
}

/// Why no frame comes any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    Closed,
    Waited,
}

/// How a stream has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    Whole,
    Reset(u32),
    /// GOAWAY, with this code, or the end of the connection.
    GoAway(Option<u32>),
}

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The last heads, interim ones before it.
    pub(crate) heads: Vec<Vec<(String, String)>>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<Vec<(String, String)>>,
    pub(crate) end: StreamEnd,
}

impl Answer {
    /// The final status; 0 without one.
    pub(crate) fn status(&self) -> u16 {
        self.field(":status")
            .map_or(0, |status| status.parse().unwrap())
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let fields = self.heads.last()?.iter();
        let mut values = fields.filter(|field| field.0 == name);
        values.next().map(|field| field.1.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn assert_is(&self, status: u16, body: &str) {
        assert_eq!(
            (self.status(), self.text()),
            (status, body.to_owned()),
            "{self:?}"
        );
        assert_eq!(self.end, StreamEnd::Whole, "{self:?}");
    }
}

pub(crate) struct Session {
    stream: TcpStream,
    input: Vec<u8>,
    /// Frames of streams that nobody has asked for yet.
    waiting: BTreeMap<u32, Vec<Frame>>,
    /// What may be sent on a stream, and in all; what the proxy's settings say is known before.
    windows: BTreeMap<u32, i64>,
    /// The last one.
    pub(crate) goaway: Option<Frame>,
    /// Streams that the proxy has reset, with the codes.
    pub(crate) resets: Vec<(u32, u32)>,
    /// Whether what is received may be sent again.
    pub(crate) opens_windows: bool,
    pub(crate) settings: Option<Frame>,
}

impl Session {
    /// One that has said what has to be said first.
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self::with_settings(address, &[])
    }

    pub(crate) fn with_settings(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        Self::silent(address).begun(settings)
    }

    /// The same over a connection that there is.
    pub(crate) fn over(stream: TcpStream) -> Self {
        Self::on(stream).begun(&[])
    }

    fn begun(mut self, settings: &[(u16, u32)]) -> Self {
        self.send_bytes(PREFACE);
        let mut all = vec![(1, 0)];
        all.extend(settings);
        self.send(&Frame::settings(&all));
        self
    }

    /// One that has said nothing.
    pub(crate) fn silent(address: SocketAddr) -> Self {
        Self::on(TcpStream::connect(address).unwrap())
    }

    fn on(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream,
            input: Vec::new(),
            waiting: BTreeMap::new(),
            windows: BTreeMap::from([(0, 65_535)]),
            goaway: None,
            resets: Vec::new(),
            opens_windows: true,
            settings: None,
        }
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        &self.stream
    }

    #[track_caller]
    pub(crate) fn send(&mut self, frame: &Frame) {
        self.try_send_frame(frame).expect("the proxy takes it");
    }

    pub(crate) fn try_send_frame(&mut self, frame: &Frame) -> std::io::Result<()> {
        match frame.kind {
            HEADERS => {
                self.windows.entry(frame.stream).or_insert(65_535);
            }
            DATA => {
                let size = i64::try_from(frame.payload.len()).unwrap();
                for stream in [0, frame.stream] {
                    *self.windows.entry(stream).or_insert(65_535) -= size;
                }
            }
            _ => {}
        }
        self.try_send(&frame.to_bytes())
    }

    #[track_caller]
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.try_send(bytes).expect("the proxy takes it");
    }

    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a head, and nothing after it, in as many frames as it takes.
    pub(crate) fn send_fields(&mut self, stream: u32, fields: &[(&str, &str)]) {
        self.try_send_head(stream, END_STREAM, fields)
            .expect("the proxy takes it");
    }

    /// Sends a head, with `end` as a flag, in as many frames as it takes.
    pub(crate) fn try_send_head(
        &mut self,
        stream: u32,
        end: u8,
        fields: &[(&str, &str)],
    ) -> std::io::Result<()> {
        let block = hpack::encode(fields);
        let pieces: Vec<_> = block.chunks(1 << 14).collect();
        for (at, piece) in pieces.iter().enumerate() {
            let (kind, flags) = match at {
                0 => (HEADERS, end),
                _ => (CONTINUATION, 0),
            };
            let last = at == pieces.len() - 1;
            let flags = if last { flags | END_HEADERS } else { flags };
            self.try_send_frame(&Frame::new(kind, flags, stream, piece))?;
        }
        Ok(())
    }

    /// Sends the head of a GET and its end.
    pub(crate) fn ask(&mut self, stream: u32, path: &str) {
        self.send(&Frame::headers(stream, END_STREAM, &get(path)));
    }

    /// One GET.
    #[track_caller]
    pub(crate) fn get(&mut self, stream: u32, path: &str) -> Answer {
        self.ask(stream, path);
        self.answer(stream)
    }

    /// A POST with this body and no length.
    #[track_caller]
    pub(crate) fn post(&mut self, stream: u32, path: &str, body: &[u8]) -> Answer {
        self.send(&Frame::headers(stream, 0, &request("POST", path)));
        self.send(&Frame::new(DATA, END_STREAM, stream, body));
        self.answer(stream)
    }

    /// Sends a body, and its end, as the windows allow.
    #[track_caller]
    pub(crate) fn send_body(&mut self, stream: u32, body: &[u8]) {
        let sent = self
            .send_body_for(stream, body, PATIENCE)
            .expect("the proxy takes it");
        assert_eq!(sent, body.len(), "the windows stay open");
        self.send(&Frame::new(DATA, END_STREAM, stream, []));
    }

    /// The same without the end, for so long after the last time that it could, or until the stream is
    /// reset; returns how much was sent.
    pub(crate) fn send_body_for(
        &mut self,
        stream: u32,
        body: &[u8],
        patience: Duration,
    ) -> std::io::Result<usize> {
        let mut sent = 0;
        while sent < body.len() && !self.resets.iter().any(|reset| reset.0 == stream) {
            let window = self.windows[&stream]
                .min(self.windows[&0])
                .clamp(0, 1 << 14);
            let size = usize::try_from(window).unwrap().min(body.len() - sent);
            if size > 0 {
                self.try_send_frame(&Frame::new(DATA, 0, stream, &body[sent..sent + size]))?;
                sent += size;
            } else {
                match self.next_within(patience) {
                    Ok(frame) if frame.stream != 0 => {
                        self.waiting.entry(frame.stream).or_default().push(frame);
                    }
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
        }
        Ok(sent)
    }

    /// The next frame, whatever it is. Settings are acknowledged, and windows opened again.
    pub(crate) fn next_within(&mut self, patience: Duration) -> Result<Frame, Silence> {
        let end = Instant::now() + patience;
        loop {
            if let Some(frame) = self.take_frame() {
                self.react(&frame);
                return Ok(frame);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Silence::Waited);
            }
            self.stream.set_read_timeout(Some(left)).unwrap();
            let mut bytes = vec![0; 1 << 16];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(Silence::Closed),
                Ok(size) => self.input.extend(&bytes[..size]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(Silence::Waited),
                Err(_) => return Err(Silence::Closed),
            }
        }
    }

    pub(crate) fn next(&mut self) -> Result<Frame, Silence> {
        self.next_within(PATIENCE)
    }

    /// The next frame of this kind; those before it are dropped.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, kind: u8, flag: u8) -> Frame {
        loop {
            let frame = self.next().expect("a frame of the kind that is waited for");
            if frame.is(kind, flag) {
                return frame;
            }
        }
    }

    /// All that comes on a stream, to its end.
    #[track_caller]
    pub(crate) fn answer(&mut self, stream: u32) -> Answer {
        let answer = self.try_answer(stream);
        answer.unwrap_or_else(|answer| panic!("stream {stream} didn't end: {answer:?}"))
    }

    /// The same, or what has come of it so far.
    pub(crate) fn try_answer(&mut self, stream: u32) -> Result<Answer, Answer> {
        let mut answer = Answer {
            heads: Vec::new(),
            body: Vec::new(),
            trailers: None,
            end: StreamEnd::Whole,
        };
        loop {
            let frame = match self.next_of(stream) {
                Ok(frame) => frame,
                Err(Silence::Closed) => {
                    answer.end = StreamEnd::GoAway(self.goaway.as_ref().map(Frame::code));
                    return Ok(answer);
                }
                Err(Silence::Waited) => return Err(answer),
            };
            match frame.kind {
                HEADERS => {
                    assert!(frame.is(HEADERS, END_HEADERS), "a small head is one frame");
                    let fields = frame.fields();
                    if fields.first().is_some_and(|field| field.0 == ":status") {
                        answer.heads.push(fields);
                    } else {
                        answer.trailers = Some(fields);
                    }
                }
                DATA => answer.body.extend(&frame.payload),
                RST_STREAM => {
                    answer.end = StreamEnd::Reset(frame.code());
                    return Ok(answer);
                }
                _ => {}
            }
            if matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0 {
                return Ok(answer);
            }
        }
    }

    /// The next frame on a stream; those of others wait.
    pub(crate) fn next_of(&mut self, stream: u32) -> Result<Frame, Silence> {
        self.next_of_within(stream, PATIENCE)
    }

    pub(crate) fn next_of_within(
        &mut self,
        stream: u32,
        patience: Duration,
    ) -> Result<Frame, Silence> {
        loop {
            let waiting = self.waiting.entry(stream).or_default();
            if !waiting.is_empty() {
                return Ok(waiting.remove(0));
            }
            let frame = self.next_within(patience)?;
            if frame.stream != 0 {
                self.waiting.entry(frame.stream).or_default().push(frame);
            }
        }
    }

    /// Reads to the end of the connection; returns the code of the last GOAWAY.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> Option<u32> {
        let end = self.try_ended();
        assert!(end.is_ok(), "the session didn't end: {:?}", self.goaway);
        self.goaway.as_ref().map(Frame::code)
    }

    /// The same, unless it doesn't end.
    pub(crate) fn try_ended(&mut self) -> Result<(), Silence> {
        let end = Instant::now() + 3 * PATIENCE;
        while Instant::now() < end {
            match self.next() {
                Ok(_) => {}
                Err(Silence::Closed) => return Ok(()),
                Err(Silence::Waited) => break,
            }
        }
        Err(Silence::Waited)
    }

    /// Whether the session still answers.
    #[track_caller]
    pub(crate) fn assert_open(&mut self) {
        assert!(self.is_open(), "the session has ended: {:?}", self.goaway);
    }

    pub(crate) fn is_open(&mut self) -> bool {
        let payload = *b"open yet";
        let _already_gone = self.try_send(&Frame::ping(payload).to_bytes());
        while let Ok(frame) = self.next() {
            if frame.is(PING, ACK) && frame.payload == payload {
                return true;
            }
        }
        false
    }

    fn take_frame(&mut self) -> Option<Frame> {
        let head = self.input.get(..9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
        let frame = Frame {
            kind: head[3],
            flags: head[4],
            stream,
            payload: self.input.get(9..9 + length)?.to_vec(),
        };
        self.input.drain(..9 + length);
        Some(frame)
    }

    fn react(&mut self, frame: &Frame) {
        // It fails where the proxy is gone, which reading tells.
        let _ = match frame.kind {
            SETTINGS if frame.flags & ACK == 0 => {
                self.settings = Some(frame.clone());
                self.try_send(&Frame::new(SETTINGS, ACK, 0, []).to_bytes())
            }
            // The two steps of an end: the client has heard of the first.
            PING if frame.flags & ACK == 0 => {
                self.try_send(&Frame::new(PING, ACK, 0, &frame.payload).to_bytes())
            }
            RST_STREAM => {
                self.resets.push((frame.stream, frame.code()));
                Ok(())
            }
            WINDOW_UPDATE => {
                let increment = i64::from(frame.code());
                *self.windows.entry(frame.stream).or_insert(65_535) += increment;
                Ok(())
            }
            GOAWAY => {
                self.goaway = Some(frame.clone());
                Ok(())
            }
            DATA if self.opens_windows && !frame.payload.is_empty() => {
                let size = u32::try_from(frame.payload.len()).unwrap();
                let mut updates = Frame::window_update(0, size).to_bytes();
                if frame.flags & END_STREAM == 0 {
                    updates.extend(Frame::window_update(frame.stream, size).to_bytes());
                }
                self.try_send(&updates)
            }
            _ => Ok(()),
        };
    }
}

/// The fields of a request.
pub(crate) fn request<'a>(method: &'a str, path: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        (":method", method),
        (":scheme", "http"),
        (":path", path),
        (":authority", "a.example"),
    ]
}

pub(crate) fn get(path: &str) -> Vec<(&str, &str)> {
    request("GET", path)
}

/// These, and others after them.
pub(crate) fn with<'a>(
    mut fields: Vec<(&'a str, &'a str)>,
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    fields.extend(more);
    fields
}
