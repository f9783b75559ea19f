//! Finding and parsing message heads.
//!
//! `httparse` is the tokenizer; it already refuses folding, bad names, control bytes and space
//! before the colon. What it tolerates and we don't, because recipients disagree about it, is
//! checked here: bare LF, and anything before the start line but empty lines.

use std::mem::MaybeUninit;

use memchr::memchr;

use super::SyntaxError;

/// Largest head, in bytes, start line included.
pub(crate) const MAX_HEAD: usize = 64 * 1024;
/// Most header fields in a request.
pub(crate) const MAX_FIELDS: usize = 100;
/// Most header fields in a response.
pub(crate) const MAX_RESPONSE_FIELDS: usize = 500;
/// Longest request line, in bytes (RFC 9112 §3 recommends at least 8000).
pub(crate) const MAX_REQUEST_LINE: usize = 16 * 1024;

/// Which side wrote the head: requests have more rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Request,
    Response,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    Http10,
    /// HTTP/1.1, and what a later minor version is treated as (RFC 9110 §2.5).
    Http11,
}

impl Version {
    const fn from_minor(minor: Option<u8>) -> Self {
        match minor {
            Some(0) => Self::Http10,
            _ => Self::Http11,
        }
    }
}

/// Removes the empty lines in front of a request line. A server should ignore one at least (RFC 9112
/// §2.2); how many there are decides nothing, so that it is the same however they arrive.
pub(crate) fn skip_empty_lines(buf: &mut Vec<u8>) {
    let lines = buf.chunks_exact(2).take_while(|line| line == b"\r\n");
    let length = 2 * lines.count();
    buf.drain(..length);
}

/// The methods that anything here depends on. All others are forwarded the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Options,
    Patch,
    Trace,
    /// Any other token.
    Other,
}

impl Method {
    /// Every variant, in the order of their numbers.
    pub(crate) const ALL: [Self; 9] = [
        Self::Get,
        Self::Head,
        Self::Post,
        Self::Put,
        Self::Delete,
        Self::Options,
        Self::Patch,
        Self::Trace,
        Self::Other,
    ];

    fn from_token(token: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|method| method.name() == token)
            .unwrap_or(Self::Other)
    }

    /// The method's name, `OTHER` for those without a variant.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Patch => "PATCH",
            Self::Trace => "TRACE",
            Self::Other => "OTHER",
        }
    }

    /// Whether doing it twice has the effect of doing it once (RFC 9110 §9.2.2).
    pub(crate) const fn is_idempotent(self) -> bool {
        !matches!(self, Self::Post | Self::Patch | Self::Other)
    }
}

/// Looks for the end of a head in a growing buffer without reading any byte twice.
///
/// Checking as bytes arrive also means that a hopeless head is refused at once instead of after
/// the header timeout.
#[derive(Debug, Default, Clone, Copy)]
pub struct HeadScanner {
    /// Start of the line being scanned.
    line: usize,
    /// Bytes of it that are known to hold no LF.
    scanned: usize,
    /// Whether the start line has been seen whole.
    started: bool,
}

impl HeadScanner {
    /// Looks at `buf`, which holds what it held the last time and perhaps more.
    ///
    /// Returns the length of the head with its empty line once all of it is there.
    pub fn scan(&mut self, buf: &[u8], side: Side) -> Result<Option<usize>, SyntaxError> {
        while let Some(at) = buf.get(self.scanned..).and_then(|rest| memchr(b'\n', rest)) {
            let feed = self.scanned + at;
            let line = &buf[self.line..feed];
            let [line @ .., b'\r'] = line else {
                return Err(SyntaxError::BareLineFeed);
            };
            self.line = feed + 1;
            self.scanned = feed + 1;
            if !self.started {
                check_start_line(line, side)?;
                self.started = true;
            } else if line.is_empty() {
                return if self.line > MAX_HEAD {
                    Err(SyntaxError::HeadTooLarge)
                } else {
                    Ok(Some(self.line))
                };
            }
        }
        self.scanned = buf.len();
        if !self.started {
            check_partial_start(&buf[self.line..], side)?;
        }
        if buf.len() >= MAX_HEAD {
            return Err(SyntaxError::HeadTooLarge);
        }
        Ok(None)
    }
}

/// The version decides at once; the rest of the line waits for the parser.
fn check_start_line(line: &[u8], side: Side) -> Result<(), SyntaxError> {
    if side == Side::Response {
        return Ok(());
    }
    if line.len() > MAX_REQUEST_LINE {
        return Err(SyntaxError::TargetTooLong);
    }
    let version = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    match version {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            if *major == b'1' {
                Ok(())
            } else {
                Err(SyntaxError::Version)
            }
        }
        _ => Err(SyntaxError::StartLine),
    }
}

/// A start line that can't become one: TLS on a plain port, binary noise, endless targets.
fn check_partial_start(line: &[u8], side: Side) -> Result<(), SyntaxError> {
    if side == Side::Request && line.len() > MAX_REQUEST_LINE {
        return Err(SyntaxError::TargetTooLong);
    }
    match line.first() {
        Some(byte) if !byte.is_ascii_graphic() => Err(SyntaxError::StartLine),
        _ => Ok(()),
    }
}

/// A parsed request line; its fields are in the array that was handed to [`parse_request`].
#[derive(Debug)]
pub(crate) struct RequestLine<'b> {
    /// The method as it was sent.
    pub(crate) method_token: &'b str,
    /// The same, as far as anything depends on it.
    pub(crate) method: Method,
    /// The request target as it was sent.
    pub(crate) target: &'b str,
    pub(crate) version: Version,
}

/// Room for the fields of a head.
pub(crate) type Fields<'b> = [httparse::Header<'b>; MAX_FIELDS];

pub(crate) fn parse_request<'b, 'f>(
    head: &'b [u8],
    fields: &'f mut Fields<'b>,
) -> Result<(RequestLine<'b>, &'f [httparse::Header<'b>]), SyntaxError> {
    let mut request = httparse::Request::new(fields);
    let parsed = request.parse(head);
    let (Some(token), Some(target)) = (request.method, request.path) else {
        return Err(parsed.err().map_or(SyntaxError::StartLine, Into::into));
    };
    let line = RequestLine {
        method_token: token,
        method: Method::from_token(token),
        target,
        version: Version::from_minor(request.version),
    };
    match parsed {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {
            Ok((line, request.headers))
        }
        Ok(_) => Err(SyntaxError::StartLine),
        // `httparse` knows 1.0 and 1.1 only, and stops at the version, with the rest unread.
        Err(httparse::Error::Version) => {
            let rest = &head[token.len() + target.len() + 2..];
            match rest.strip_prefix(b"HTTP/1.") {
                Some([b'2'..=b'9', b'\r', b'\n', rest @ ..]) => {
                    parse_fields(rest, request.headers).map(|fields| (line, fields))
                }
                _ => Err(SyntaxError::StartLine),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// Parses header fields with the empty line after them, and nothing else.
pub(crate) fn parse_fields<'b, 'f>(
    section: &'b [u8],
    fields: &'f mut [httparse::Header<'b>],
) -> Result<&'f [httparse::Header<'b>], SyntaxError> {
    match httparse::parse_headers(section, fields) {
        Ok(httparse::Status::Complete((length, fields))) if length == section.len() => Ok(fields),
        Ok(_) => Err(SyntaxError::Field),
        Err(error) => Err(error.into()),
    }
}

#[derive(Debug)]
pub(crate) struct StatusLine<'b> {
    /// The status code, 100 to 999; above 599 it means what 500 means (RFC 9110 §15).
    pub(crate) status: u16,
    /// The reason phrase, often empty.
    pub(crate) reason: &'b str,
    pub(crate) version: Version,
}

/// Room for the fields of a response's head: not initialised, since most of it is never used.
pub(crate) type ResponseFields<'b> = [MaybeUninit<httparse::Header<'b>>; MAX_RESPONSE_FIELDS];

pub(crate) fn parse_response<'b, 'f>(
    head: &'b [u8],
    fields: &'f mut ResponseFields<'b>,
) -> Result<(StatusLine<'b>, &'f [httparse::Header<'b>]), SyntaxError> {
    let mut response = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    match parser.parse_response_with_uninit_headers(&mut response, head, fields) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Ok(_) => return Err(SyntaxError::StartLine),
        Err(error) => return Err(error.into()),
    }
    let Some(status @ 100..=999) = response.code else {
        return Err(SyntaxError::StartLine);
    };
    let line = StatusLine {
        status,
        reason: response.reason.unwrap_or_default(),
        version: Version::from_minor(response.version),
    };
    Ok((line, response.headers))
}

impl From<httparse::Error> for SyntaxError {
    fn from(error: httparse::Error) -> Self {
        match error {
            httparse::Error::TooManyHeaders => Self::TooManyFields,
            httparse::Error::Version | httparse::Error::Token | httparse::Error::Status => {
                Self::StartLine
            }
            _ => Self::Field,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(bytes: &[u8]) -> Result<Option<usize>, SyntaxError> {
        HeadScanner::default().scan(bytes, Side::Request)
    }

    fn parse(bytes: &[u8]) -> Result<(), SyntaxError> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        parse_request(bytes, &mut fields).map(|_| ())
    }

    #[test]
    fn finds_the_end_however_the_bytes_are_cut() {
        let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
        for cut in 1..bytes.len() {
            let mut scanner = HeadScanner::default();
            let first = scanner.scan(&bytes[..cut], Side::Request).unwrap();
            let found = match first {
                Some(length) => length,
                None => scanner.scan(bytes, Side::Request).unwrap().unwrap(),
            };
            assert_eq!(found, bytes.len() - 4, "cut at {cut}");
        }
    }

    #[test]
    fn later_minor_versions_are_read_as_1_1() {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let (line, fields) =
            parse_request(b"PUT /a?b HTTP/1.9\r\nHost: a\r\nX:y\r\n\r\n", &mut fields).unwrap();
        assert_eq!(
            (line.method_token, line.target, line.version),
            ("PUT", "/a?b", Version::Http11)
        );
        let read: Vec<_> = fields
            .iter()
            .map(|field| (field.name, field.value))
            .collect();
        assert_eq!(read, [("Host", &b"a"[..]), ("X", b"y")]);
        for bad in [
            "GET / HTTP/1.10\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.2 x\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.2\nHost: a\r\n\r\n",
            "GET / HTTP/1.2\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.2\r\nHost: a\r\n b\r\n\r\n",
            "GET  / HTTP/1.2\r\nHost: a\r\n\r\n",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn empty_lines_are_skipped_however_many_there_are() {
        for (before, after) in [
            ("\r\n\r\n\r\nGET", "GET"),
            ("GET\r\n", "GET\r\n"),
            ("\r\n\r", "\r"),
            ("\r\n\n\r\n", "\n\r\n"),
            ("\r\r\n", "\r\r\n"),
            ("", ""),
        ] {
            let mut buf = before.as_bytes().to_vec();
            skip_empty_lines(&mut buf);
            assert_eq!(buf, after.as_bytes(), "{before:?}");
        }
    }

    #[test]
    fn refuses_hopeless_heads_before_they_are_complete() {
        assert_eq!(scan(b"GET / HTTP/1.1\n"), Err(SyntaxError::BareLineFeed));
        assert_eq!(
            scan(b"GET / HTTP/1.1\r\nHost: a\n"),
            Err(SyntaxError::BareLineFeed)
        );
        assert_eq!(scan(b"GET /\r\n"), Err(SyntaxError::StartLine));
        assert_eq!(scan(b"PRI * HTTP/2.0\r\n"), Err(SyntaxError::Version));
        assert_eq!(scan(b"GET / HTTP/0.9\r\n"), Err(SyntaxError::Version));
        assert_eq!(scan(b"\x16\x03\x01"), Err(SyntaxError::StartLine));
        assert_eq!(scan(b" GET / HTTP/1.1"), Err(SyntaxError::StartLine));
        assert_eq!(
            scan(&vec![b'A'; MAX_REQUEST_LINE + 1]),
            Err(SyntaxError::TargetTooLong)
        );
    }

    #[test]
    fn refuses_heads_over_the_limit() {
        let mut head = b"GET / HTTP/1.1\r\nA: ".to_vec();
        head.resize(MAX_HEAD, b'a');
        assert_eq!(scan(&head), Err(SyntaxError::HeadTooLarge));
        let mut many = b"GET / HTTP/1.1\r\n".to_vec();
        for _ in 0..=MAX_FIELDS {
            many.extend_from_slice(b"A: b\r\n");
        }
        many.extend_from_slice(b"\r\n");
        assert_eq!(parse(&many), Err(SyntaxError::TooManyFields));
    }

    #[test]
    fn refuses_what_recipients_disagree_about() {
        for field in [
            "A : b",
            " A: b",
            "A: b\r\n folded",
            "A: b\rc",
            "A: b\0c",
            "A: b\x01",
            ": b",
            "A b: c",
            "A",
            "A\t: b",
            "A: \x7f",
            "(A): b",
            "A\u{e9}: b",
        ] {
            let head = format!("GET / HTTP/1.1\r\n{field}\r\n\r\n");
            assert!(parse(head.as_bytes()).is_err(), "{field:?}");
        }
        for line in [
            "GET  / HTTP/1.1",
            "GET /a b HTTP/1.1",
            "G(T / HTTP/1.1",
            "GET /\0 HTTP/1.1",
            "GET /\x7f HTTP/1.1",
            "GET\t/\tHTTP/1.1",
            "GET / HTTP/1.1 ",
        ] {
            let head = format!("{line}\r\nHost: a\r\n\r\n");
            let refused = scan(head.as_bytes()).is_err() || parse(head.as_bytes()).is_err();
            assert!(refused, "{line:?}");
        }
    }
}
