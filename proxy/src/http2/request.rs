//! A request's fields as the head of an HTTP/1.1 request (RFC 9113 §8).
//!
//! What is written here is read by the parser of HTTP/1.1, which judges it as any client's: hosts,
//! lengths, targets, how many fields. So this has to see to one thing: that the parser sees each part as
//! what it is. What would read as something else there is malformed here.

use h2::{Reason, ext::Protocol};
use http::{HeaderName, Method, header, request::Parts};

use super::websocket::Key;

/// A request that isn't passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Reset(Reason),
    /// A protocol that nobody here speaks (RFC 8441 §5): 501.
    Protocol,
}

const MALFORMED: Refusal = Refusal::Reset(Reason::PROTOCOL_ERROR);

/// What comes after the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Nothing,
    /// As many bytes as `Content-Length` says; h2 sees to that.
    Counted,
    Chunked,
    /// What isn't for the upstream before it has agreed to a tunnel.
    Withheld,
}

#[derive(Debug)]
pub(super) struct Head {
    pub(super) text: Vec<u8>,
    pub(super) content: Content,
    /// Whether the method is HEAD.
    pub(super) without_body: bool,
    /// What the upstream has to understand for a tunnel, where one is asked for.
    pub(super) tunnel: Option<Key>,
}

/// The head of a request with nothing after it if it `ends`.
pub(super) fn head(request: &Parts, ends: bool) -> Result<Head, Refusal> {
    let (uri, fields) = (&request.uri, &request.headers);
    if uri.scheme_str().is_some_and(|scheme| !is_http(scheme)) {
        return Err(MALFORMED);
    }
    let protocol = request.extensions.get::<Protocol>();
    if protocol.is_some_and(|protocol| !protocol.as_str().eq_ignore_ascii_case("websocket")) {
        return Err(Refusal::Protocol);
    }
    let tunnel = match protocol {
        Some(_) => Some(Key::mint().ok_or(Refusal::Reset(Reason::INTERNAL_ERROR))?),
        None => None,
    };
    let content = if tunnel.is_some() {
        Content::Withheld
    } else if ends {
        Content::Nothing
    } else if fields.contains_key(header::CONTENT_LENGTH) {
        Content::Counted
    } else {
        Content::Chunked
    };

    let mut text = Vec::with_capacity(512);
    let method = match tunnel {
        Some(_) => "GET",
        None => request.method.as_str(),
    };
    text.extend_from_slice(method.as_bytes());
    text.push(b' ');
    push_target(&mut text, request, tunnel.is_some())?;
    text.extend_from_slice(b" HTTP/1.1\r\n");
    if let Some(authority) = uri.authority() {
        push(&mut text, b"host", authority.as_str().as_bytes())?;
    }
    for (name, value) in fields {
        let is_crumb = *name == header::COOKIE;
        let says_again = *name == header::HOST
            && uri.authority().is_some_and(|authority| {
                authority
                    .as_str()
                    .as_bytes()
                    .eq_ignore_ascii_case(value.as_bytes())
            });
        // A second host that is another one is refused as two are.
        if is_crumb || says_again || (tunnel.is_some() && is_of_handshake(name)) {
            continue;
        }
        push(&mut text, name.as_str().as_bytes(), value.as_bytes())?;
    }
    push_cookie(&mut text, request)?;
    if content == Content::Chunked {
        push(&mut text, b"transfer-encoding", b"chunked")?;
    }
    if let Some(key) = &tunnel {
        push(&mut text, b"sec-websocket-key", key.as_bytes())?;
        text.extend_from_slice(b"upgrade: websocket\r\nconnection: upgrade\r\n");
    }
    // A stream carries one request.
    text.extend_from_slice(b"connection: close\r\n\r\n");
    Ok(Head {
        text,
        content,
        without_body: request.method == Method::HEAD,
        tunnel,
    })
}

fn is_http(scheme: &str) -> bool {
    ["http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
}

/// In the origin form, or `*`: anything else would be read as another form.
fn push_target(text: &mut Vec<u8>, request: &Parts, tunnels: bool) -> Result<(), Refusal> {
    let uri = &request.uri;
    let target = if request.method == Method::CONNECT && !tunnels {
        uri.authority().map_or("", |authority| authority.as_str())
    } else {
        let target = uri.path_and_query().map_or("", |path| path.as_str());
        if !target.starts_with('/') && target != "*" {
            return Err(MALFORMED);
        }
        target
    };
    let splits = |byte: &u8| *byte <= b' ' || *byte == 0x7f;
    if target.is_empty() || target.as_bytes().iter().any(splits) {
        return Err(MALFORMED);
    }
    text.extend_from_slice(target.as_bytes());
    Ok(())
}

/// Fields of the handshake that is made here.
fn is_of_handshake(name: &HeaderName) -> bool {
    *name == header::SEC_WEBSOCKET_KEY || *name == header::CONTENT_LENGTH
}

/// Crumbs are one field in HTTP/1.1 (RFC 9113 §8.2.3).
fn push_cookie(text: &mut Vec<u8>, request: &Parts) -> Result<(), Refusal> {
    let mut crumbs = request.headers.get_all(header::COOKIE).iter();
    let Some(first) = crumbs.next() else {
        return Ok(());
    };
    let mut cookie = first.as_bytes().to_vec();
    for crumb in crumbs {
        cookie.extend_from_slice(b"; ");
        cookie.extend_from_slice(crumb.as_bytes());
    }
    push(text, b"cookie", &cookie)
}

/// Appends a field line. Blanks around a value are malformed (RFC 9113 §8.2.1), and what ends a line
/// can't be in it.
fn push(text: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Result<(), Refusal> {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let splits = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0);
    if blank(value.first()) || blank(value.last()) || value.iter().any(splits) {
        return Err(MALFORMED);
    }
    text.extend_from_slice(name);
    text.extend_from_slice(b": ");
    text.extend_from_slice(value);
    text.extend_from_slice(b"\r\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn written(request: http::request::Builder, ends: bool) -> Result<String, Refusal> {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        head(&parts, ends).map(|head| String::from_utf8(head.text).unwrap())
    }

    fn get(uri: &str) -> http::request::Builder {
        Request::get(uri)
    }

    #[test]
    fn the_usual_request() {
        let request = get("https://a.example/x?y=z")
            .header("cookie", "a=1")
            .header("accept", "*/*")
            .header("cookie", "b=2")
            .header("host", "A.example");
        assert_eq!(
            written(request, true).unwrap(),
            "GET /x?y=z HTTP/1.1\r\nhost: a.example\r\naccept: */*\r\ncookie: a=1; b=2\r\n\
             connection: close\r\n\r\n"
        );
    }

    #[test]
    fn what_follows_is_framed() {
        let post = || Request::post("http://a/");
        let chunked = written(post(), false).unwrap();
        assert!(chunked.contains("\r\ntransfer-encoding: chunked\r\n"));
        for ends in [true, false] {
            let counted = written(post().header("content-length", "3"), ends).unwrap();
            assert!(!counted.contains("transfer-encoding"), "{counted}");
        }
    }

    #[test]
    fn two_hosts_that_differ_are_left_to_be_refused() {
        let both = written(get("http://a/").header("host", "b"), true).unwrap();
        assert!(both.contains("host: a\r\nhost: b\r\n"), "{both}");
        let one = written(get("/").header("host", "b"), true).unwrap();
        assert!(one.contains("\r\nhost: b\r\n"), "{one}");
    }

    #[test]
    fn what_would_read_as_something_else_is_malformed() {
        for request in [
            get("ftp://a/"),
            get("http://a/").header("x", " a"),
            get("http://a/").header("x", "a\t"),
            get("http://a/").header("cookie", "a "),
        ] {
            assert_eq!(written(request, true), Err(MALFORMED));
        }
    }

    #[test]
    fn a_websocket_is_asked_for_as_in_http_1() {
        let request = Request::builder()
            .method("CONNECT")
            .uri("https://a/chat")
            .extension(Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "theirs");
        let text = written(request, false).unwrap();
        assert!(
            text.starts_with("GET /chat HTTP/1.1\r\nhost: a\r\n"),
            "{text}"
        );
        assert!(text.contains("\r\nconnection: upgrade\r\n"), "{text}");
        assert!(text.contains("\r\nupgrade: websocket\r\n") && !text.contains("theirs"));
        let other = Request::builder()
            .method("CONNECT")
            .uri("https://a/")
            .extension(Protocol::from_static("connect-udp"));
        assert_eq!(written(other, false), Err(Refusal::Protocol));
    }
}
