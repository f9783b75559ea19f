//! A POST to the receiver: one connection for each of the few, and nothing that waits without a limit.

use std::{
    error::Error,
    fmt,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream, ToSocketAddrs as _},
    time::{Duration, Instant},
};

use httparse::{EMPTY_HEADER, Header, Response, Status};

/// Limit on connecting to one address.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// The largest answer that is read, and the most fields in it.
const MAX_ANSWER: usize = 64 << 10;
const MAX_FIELDS: usize = 64;
/// The longest wait that a receiver may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Where spans are sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    host: String,
    port: u16,
    /// As `Host` has them.
    authority: String,
    /// With `/v1/traces` at its end.
    path: String,
}

/// Why spans weren't taken.
#[derive(Debug)]
pub(super) enum Failed {
    /// They may be, later: no sooner than this, where the receiver says so.
    Now(String, Option<Duration>),
    /// They never will be.
    Forever(String),
}

/// What was answered.
#[derive(Debug)]
struct Answer {
    status: u16,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

impl Endpoint {
    /// The one at this base, `http://HOST[:PORT][/PATH]`.
    pub(super) fn parse(url: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_graphic() && !br#"@?#"<>\"#.contains(&byte);
        let rest = url
            .strip_prefix("http://")
            .filter(|rest| rest.bytes().all(plain))?;
        let (authority, prefix) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        // The colons of an address of IPv6 are in brackets.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
            _ => (authority, 80),
        };
        let bare = host
            .strip_prefix('[')
            .map_or(Some(host), |host| host.strip_suffix(']'))?;
        let bracketed = bare.len() < host.len();
        if bare.is_empty() || bare.contains(':') != bracketed || port == 0 {
            return None;
        }
        Some(Self {
            host: bare.to_owned(),
            port,
            authority: authority.to_owned(),
            path: format!("{}/v1/traces", prefix.trim_end_matches('/')),
        })
    }

    /// Has the receiver take `body`, and returns what it answers. All of it ends within `limit`, but for
    /// looking up the name.
    pub(super) fn post(&self, body: &[u8], limit: Duration) -> Result<Vec<u8>, Failed> {
        let answer = self.exchange(body, Instant::now() + limit);
        let answer = answer.map_err(|error| Failed::Now(error.to_string(), None))?;
        let said = format!("status {}", answer.status);
        // <https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>
        match answer.status {
            200..=299 => Ok(answer.body),
            429 | 502 | 503 | 504 => Err(Failed::Now(said, answer.retry_after)),
            _ => Err(Failed::Forever(said)),
        }
    }

    fn exchange(&self, body: &[u8], deadline: Instant) -> io::Result<Answer> {
        let mut stream = self.connect(deadline)?;
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: causeway/{}\r\n\
             Content-Type: application/x-protobuf\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.path,
            self.authority,
            env!("CARGO_PKG_VERSION"),
            body.len(),
        );
        write_all(&mut stream, head.as_bytes(), deadline)?;
        write_all(&mut stream, body, deadline)?;
        read_answer(&mut stream, deadline)
    }

    fn connect(&self, deadline: Instant) -> io::Result<TcpStream> {
        let mut last = io::Error::other("the name has no address");
        for address in (self.host.as_str(), self.port).to_socket_addrs()? {
            let limit = left(deadline)?.min(CONNECT_LIMIT);
            match TcpStream::connect_timeout(&address, limit) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = at(address, &error),
            }
        }
        Err(last)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)
    }
}

fn at(address: SocketAddr, error: &dyn Error) -> io::Error {
    io::Error::other(format!("{address}: {error}"))
}

/// The time that is left; an error where there is none.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left)
}

fn write_all(stream: &mut TcpStream, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(left(deadline)?))?;
        match stream.write(bytes)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => bytes = &bytes[written..],
        }
    }
    Ok(())
}

/// Reads up to the end of the answer. One that is chunked, which none so short has to be, has no body
/// here.
fn read_answer(stream: &mut TcpStream, deadline: Instant) -> io::Result<Answer> {
    let mut input = Vec::new();
    let mut piece = [0; 4096];
    let (head_len, length, mut answer) = loop {
        if let Some(head) = head_of(&input)? {
            break head;
        }
        match receive(stream, &mut piece, deadline)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ if input.len() > MAX_ANSWER => {
                return Err(io::Error::other("the answer is too long"));
            }
            read => input.extend_from_slice(&piece[..read]),
        }
    };
    input.drain(..head_len);
    let length = length.min(MAX_ANSWER);
    while input.len() < length {
        match receive(stream, &mut piece, deadline)? {
            0 => break,
            read => input.extend_from_slice(&piece[..read]),
        }
    }
    input.truncate(length);
    answer.body = input;
    Ok(answer)
}

fn receive(stream: &mut TcpStream, piece: &mut [u8], deadline: Instant) -> io::Result<usize> {
    stream.set_read_timeout(Some(left(deadline)?))?;
    stream.read(piece).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    })
}

/// The head that `input` begins with, once it is complete: its length, the body's, and what it says.
fn head_of(input: &[u8]) -> io::Result<Option<(usize, usize, Answer)>> {
    let mut fields = [EMPTY_HEADER; MAX_FIELDS];
    let mut response = Response::new(&mut fields);
    let parsed = response.parse(input).map_err(io::Error::other)?;
    let Status::Complete(head_len) = parsed else {
        return Ok(None);
    };
    let retry_after = number(response.headers, "retry-after").map(Duration::from_secs);
    let length = number(response.headers, "content-length").unwrap_or_default();
    let answer = Answer {
        status: response.code.unwrap_or_default(),
        retry_after: retry_after.map(|wait| wait.min(MAX_RETRY_AFTER)),
        body: Vec::new(),
    };
    Ok(Some((
        head_len,
        usize::try_from(length).unwrap_or(usize::MAX),
        answer,
    )))
}

fn number(fields: &[Header<'_>], name: &str) -> Option<u64> {
    let mut fields = fields.iter();
    let field = fields.find(|field| field.name.eq_ignore_ascii_case(name))?;
    str::from_utf8(field.value).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_where_v1_traces_is_added_to() {
        for (url, shown, host, port) in [
            ("http://a", "http://a/v1/traces", "a", 80),
            ("http://a:4318/", "http://a:4318/v1/traces", "a", 4318),
            ("http://a:4318/x//", "http://a:4318/x/v1/traces", "a", 4318),
            (
                "http://[::1]:4318",
                "http://[::1]:4318/v1/traces",
                "::1",
                4318,
            ),
            ("http://[::1]", "http://[::1]/v1/traces", "::1", 80),
        ] {
            let endpoint = Endpoint::parse(url).unwrap();
            assert_eq!(endpoint.to_string(), shown);
            assert_eq!((endpoint.host.as_str(), endpoint.port), (host, port));
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for url in [
            "",
            "a",
            "a:4318",
            "http://",
            "http://:80",
            "https://a",
            "HTTP://a",
            "http://a:0",
            "http://a:x",
            "http://a:99999",
            "http://u:p@a",
            "http://a b",
            "http://a/?q",
            "http://a/#f",
            "http://::1",
            "http://[::1",
            "http://[a]:1",
            "http://a\r\nX: y",
            "http://\u{e9}",
        ] {
            assert_eq!(Endpoint::parse(url), None, "{url:?}");
        }
    }
}
