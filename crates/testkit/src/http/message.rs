//! Requests and responses as they were read off a connection.

/// Why a message could not be read.
#[derive(Debug, PartialEq, Eq)]
pub enum WireError {
    /// The peer closed in an orderly way where a message might have begun.
    Closed,
    /// The peer closed or reset in the middle of a message, having sent these bytes of it.
    Truncated(Vec<u8>),
    /// Nothing came in time.
    TimedOut,
    /// Not HTTP/1.1 as RFC 9112 has it.
    Malformed(String),
}

/// How a body's end was told (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// By `Content-Length`.
    Length,
    /// By the last chunk.
    Chunked,
    /// By the connection's.
    UntilClose,
}

/// A message's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Without its CRLF.
    pub start_line: String,
    /// Names and values, in order.
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// The only value of `name`, or none; panics when the field is repeated.
    pub fn get(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() < 2, "{name} is repeated: {self:#?}");
        values.first().copied()
    }

    /// The values of every field `name`.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let same = |(field, _): &&(String, String)| field.eq_ignore_ascii_case(name);
        self.fields
            .iter()
            .filter(same)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// Whether there is a field `name`.
    pub fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    /// The comma-separated members of every `name` field, lower-cased.
    fn members(&self, name: &str) -> Vec<String> {
        let all = self.all(name).join(",").to_ascii_lowercase();
        all.split(',')
            .map(|member| member.trim().to_owned())
            .filter(|m| !m.is_empty())
            .collect()
    }
}

/// A request as a server read it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are HTTP's words")]
pub struct Request {
    pub method: String,
    pub target: String,
    pub head: Head,
    pub framing: Framing,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

/// A response as a client read it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are HTTP's words")]
pub struct Response {
    pub status: u16,
    pub head: Head,
    pub framing: Framing,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

impl Response {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Asserts that it has this status and this body.
    #[track_caller]
    pub fn assert_is(&self, status: u16, body: impl AsRef<str>) {
        let expected = (status, body.as_ref().to_owned());
        assert_eq!((self.status, self.text()), expected);
    }

    /// The id that the proxy gave the request; it is always there.
    pub fn request_id(&self) -> &str {
        self.head
            .get("x-request-id")
            .expect("a response has an X-Request-Id")
    }
}

/// A 200 with this body and a Content-Length.
pub fn ok(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

impl Request {
    /// A request from what was read of it.
    pub(super) fn from_parts(
        head: Head,
        body: Vec<u8>,
        trailers: Vec<(String, String)>,
    ) -> Result<Self, WireError> {
        let mut parts = head.start_line.split(' ');
        let (Some(method), Some(target), Some("HTTP/1.1"), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(WireError::Malformed(format!(
                "request line {:?}",
                head.start_line
            )));
        };
        let (method, target) = (method.to_owned(), target.to_owned());
        Ok(Self {
            method,
            target,
            framing: framing_of(&head)?,
            head,
            body,
            trailers,
        })
    }
}

/// The status of a response's head.
pub(super) fn status_of(head: &Head) -> Result<u16, WireError> {
    let malformed = || WireError::Malformed(format!("status line {:?}", head.start_line));
    let rest = head
        .start_line
        .strip_prefix("HTTP/1.1 ")
        .ok_or_else(malformed)?;
    let (code, _reason) = rest.split_once(' ').ok_or_else(malformed)?;
    match code.parse() {
        Ok(status) if code.len() == 3 => Ok(status),
        _ => Err(malformed()),
    }
}

/// How the body after this head is framed, as far as its fields say.
pub(super) fn framing_of(head: &Head) -> Result<Framing, WireError> {
    let codings = head.members("transfer-encoding");
    let lengths = head.all("content-length");
    match (codings.as_slice(), lengths.as_slice()) {
        ([], []) => Ok(Framing::None),
        ([], [_]) => Ok(Framing::Length),
        ([chunked], []) if chunked == "chunked" => Ok(Framing::Chunked),
        _ => Err(WireError::Malformed(format!(
            "ambiguous framing: {head:#?}"
        ))),
    }
}
