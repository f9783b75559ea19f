//! The answers that are our own: why a request failed, as a status and a short page.

use std::io::{self, Write};

use crate::{
    http1::SyntaxError,
    rewrite::{VIA_NAME, error_format::Format, request_id::RequestId, response::HSTS},
};

/// Why a request got no answer from the upstream, or only half of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The request breaks the rules.
    Request(SyntaxError),
    /// The client stopped sending in the middle of its request.
    ClientTimeout,
    /// The client took no more of the response.
    ClientStalled,
    ClientGone,
    /// The connection was closed to make room for others.
    Evicted,
    NoBackend,
    /// All backends have as many requests as they are given.
    Busy,
    /// Connecting failed, to every backend that was tried.
    Unreachable,
    /// Connecting timed out, to every backend that was tried.
    ConnectTimeout,
    /// The backend closed the connection before its response was complete.
    Broken,
    /// The backend's kernel acknowledges nothing any more.
    Vanished,
    /// The backend's response breaks the rules.
    Response(SyntaxError),
    /// The backend fell silent.
    ResponseTimeout,
}

impl Failure {
    /// The status that the client gets. 499, for a client that is gone or takes nothing, is
    /// only logged.
    pub(crate) const fn status(self) -> u16 {
        match self {
            Self::Request(error) => error.status(),
            Self::ClientTimeout => 408,
            Self::ClientGone | Self::ClientStalled => 499,
            Self::NoBackend | Self::Busy | Self::Evicted => 503,
            Self::Unreachable | Self::Broken | Self::Response(_) => 502,
            Self::ConnectTimeout | Self::Vanished | Self::ResponseTimeout => 504,
        }
    }

    /// Why a connection to a backend broke.
    pub(crate) fn of_backend(error: &io::Error) -> Self {
        // What the kernel ends a connection with, also where a router in between says why.
        match error.kind() {
            io::ErrorKind::TimedOut
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable => Self::Vanished,
            _ => Self::Broken,
        }
    }

    /// What happened, as one of few words, for traces.
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::Request(_) => "invalid_request",
            Self::ClientTimeout => "client_timeout",
            Self::ClientStalled => "client_stalled",
            Self::ClientGone => "client_gone",
            Self::Evicted => "evicted",
            Self::NoBackend => "upstream_unknown",
            Self::Busy => "upstream_busy",
            Self::Unreachable => "upstream_unreachable",
            Self::ConnectTimeout => "upstream_connect_timeout",
            Self::Broken => "upstream_broken",
            Self::Vanished => "upstream_vanished",
            Self::Response(_) => "upstream_invalid_response",
            Self::ResponseTimeout => "upstream_timeout",
        }
    }

    /// What happened, for the page and the log.
    pub(crate) fn reason(self) -> String {
        match self {
            Self::Request(error) => error.to_string(),
            Self::ClientTimeout => "request not received in time".to_owned(),
            Self::ClientStalled => "response not taken in time".to_owned(),
            Self::ClientGone => "client closed the connection".to_owned(),
            Self::Evicted => "too many slow clients, this one had to make room".to_owned(),
            Self::NoBackend => "no upstream server is known".to_owned(),
            Self::Busy => "too many requests are waiting for the upstream server".to_owned(),
            Self::Unreachable => "upstream server can't be reached".to_owned(),
            Self::ConnectTimeout => "connection to the upstream server timed out".to_owned(),
            Self::Broken => "upstream server closed the connection".to_owned(),
            Self::Vanished => "upstream server can't be reached any more".to_owned(),
            Self::Response(error) => format!("invalid response from the upstream server: {error}"),
            Self::ResponseTimeout => "upstream server did not answer in time".to_owned(),
        }
    }
}

/// The reason phrases of the statuses that we answer with.
const fn phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}

impl Format {
    const fn media_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/json",
        }
    }

    fn page(self, status: u16, reason: &str, id: &RequestId) -> String {
        let phrase = phrase(status);
        match self {
            Self::Text => format!("{status} {phrase}\n{reason}\nRequest id: {id}\n"),
            // None of our reasons holds a character that HTML or JSON would need escaped.
            Self::Html => format!(
                "<!doctype html>\n<title>{status} {phrase}</title>\n<h1>{status} {phrase}</h1>\n\
                 <p>{reason}</p>\n<p>Request id: <code>{id}</code></p>\n"
            ),
            Self::Json => {
                let mut page = serde_json::json!({
                    "status": status, "error": phrase, "reason": reason, "request_id": id.as_str(),
                })
                .to_string();
                page.push('\n');
                page
            }
        }
    }
}

/// How a page is to be sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delivery<'a> {
    pub(crate) format: Format,
    /// Whether to leave the body out: the request was HEAD.
    pub(crate) head_only: bool,
    /// Whether the connection is closed afterwards.
    pub(crate) close: bool,
    /// `Strict-Transport-Security`
    pub(crate) hsts: Option<&'a str>,
    pub(crate) date: &'a [u8],
}

/// Appends the whole response for `failure` to `out`.
pub(crate) fn write(out: &mut Vec<u8>, failure: Failure, id: &RequestId, delivery: Delivery<'_>) {
    let status = failure.status();
    let page = delivery.format.page(status, &failure.reason(), id);
    // Writing to a Vec can't fail, here and below.
    let _ = write!(
        out,
        "HTTP/1.1 {status} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n\
         X-Request-Id: {id}\r\nVia: 1.1 {VIA_NAME}\r\nCache-Control: no-store\r\n",
        phrase(status),
        delivery.format.media_type(),
        page.len(),
    );
    push_hsts(out, delivery.hsts);
    out.extend_from_slice(b"Date: ");
    out.extend_from_slice(delivery.date);
    out.extend_from_slice(b"\r\n");
    let extra: &[u8] = match status {
        405 => ALLOW,
        503 => b"Retry-After: 1\r\n",
        _ => b"",
    };
    out.extend_from_slice(extra);
    out.extend_from_slice(if delivery.close {
        b"Connection: close\r\n\r\n"
    } else {
        b"\r\n"
    });
    if !delivery.head_only {
        out.extend_from_slice(page.as_bytes());
    }
}

fn push_hsts(out: &mut Vec<u8>, value: Option<&str>) {
    if let Some(value) = value {
        // Writing to a Vec can't fail.
        let _ = write!(out, "{HSTS}: {value}\r\n");
    }
}

/// The methods that nothing here refuses.
const ALLOW: &[u8] = b"Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH\r\n";

/// Appends the answer to an OPTIONS request that isn't to be forwarded (RFC 9110 §9.3.7): what this
/// server allows, whatever the one behind it does.
pub(crate) fn write_options(
    out: &mut Vec<u8>,
    id: &RequestId,
    close: bool,
    hsts: Option<&str>,
    date: &[u8],
) {
    // Writing to a Vec can't fail.
    let _ = write!(
        out,
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Request-Id: {id}\r\nVia: 1.1 {VIA_NAME}\r\n"
    );
    out.extend_from_slice(ALLOW);
    push_hsts(out, hsts);
    push_end(out, close, date);
}

/// Appends the answer to a request that has to come with TLS, to a port of the host that it names.
pub(crate) fn write_redirect(
    out: &mut Vec<u8>,
    (host, port, path): (&[u8], u16, &str),
    id: &RequestId,
    close: bool,
    date: &[u8],
) {
    // Writing to a Vec can't fail, here and below.
    let _ = write!(
        out,
        "HTTP/1.1 308 Permanent Redirect\r\nContent-Length: 0\r\nX-Request-Id: {id}\r\n\
         Via: 1.1 {VIA_NAME}\r\nLocation: https://"
    );
    let name = host.iter().rposition(|byte| *byte == b':');
    // An IPv6 address has colons of its own, in brackets.
    let name = name.filter(|colon| !host[*colon..].contains(&b']'));
    out.extend_from_slice(&host[..name.unwrap_or(host.len())]);
    if port != 443 {
        let _ = write!(out, ":{port}");
    }
    if !path.starts_with('/') {
        out.push(b'/');
    }
    // The server as a whole has no path.
    out.extend_from_slice(if path == "*" { b"" } else { path.as_bytes() });
    out.extend_from_slice(b"\r\n");
    push_end(out, close, date);
}

fn push_end(out: &mut Vec<u8>, close: bool, date: &[u8]) {
    out.extend_from_slice(b"Date: ");
    out.extend_from_slice(date);
    out.extend_from_slice(if close {
        b"\r\nConnection: close\r\n\r\n"
    } else {
        b"\r\n\r\n"
    });
}

/// Appends the answer to a question for the proof that a name is ours (RFC 8555 §8.3).
pub(crate) fn write_proof(out: &mut Vec<u8>, proof: &[u8], id: &RequestId, delivery: Delivery<'_>) {
    // Writing to a Vec can't fail.
    let _ = write!(
        out,
        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\n\
         X-Request-Id: {id}\r\nVia: 1.1 {VIA_NAME}\r\nCache-Control: no-store\r\nDate: ",
        proof.len(),
    );
    out.extend_from_slice(delivery.date);
    out.extend_from_slice(if delivery.close {
        b"\r\nConnection: close\r\n\r\n"
    } else {
        b"\r\n\r\n"
    });
    if !delivery.head_only {
        out.extend_from_slice(proof);
    }
}

/// The response to a connection too many, which is never read from.
pub(crate) const TOO_MANY_CONNECTIONS: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    Content-Type: text/plain; charset=utf-8\r\nContent-Length: 45\r\nRetry-After: 1\r\n\
    Connection: close\r\n\r\n503 Service Unavailable\ntoo many connections\n";

/// The response to a request that comes without TLS to the port that speaks it (nginx answers the same).
pub(crate) const PLAIN_ON_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\nContent-Length: 51\r\n\
    Connection: close\r\n\r\n400 Bad Request\nthis port speaks TLS: use https://\n";

#[cfg(test)]
mod tests {
    use memchr::memmem;

    use super::*;

    fn body_of(response: &[u8]) -> &[u8] {
        memmem::find(response, b"\r\n\r\n").map_or(&[][..], |end| &response[end + 4..])
    }

    #[test]
    fn lengths_are_right() {
        let id = RequestId::mint(std::time::UNIX_EPOCH);
        for format in [Format::Text, Format::Html, Format::Json] {
            let mut out = Vec::new();
            let delivery = Delivery {
                format,
                head_only: false,
                close: true,
                hsts: Some("max-age=1"),
                date: b"today",
            };
            write(&mut out, Failure::NoBackend, &id, delivery);
            let text = String::from_utf8(out.clone()).unwrap();
            let length = format!("Content-Length: {}\r\n", body_of(&out).len());
            assert!(
                text.contains(&length) && text.contains("Retry-After: 1\r\n"),
                "{text}"
            );
            assert!(String::from_utf8_lossy(body_of(&out)).contains(id.as_str()));
        }
        assert_eq!(body_of(TOO_MANY_CONNECTIONS).len(), 45);
        assert_eq!(body_of(PLAIN_ON_TLS).len(), 51);
    }
}
