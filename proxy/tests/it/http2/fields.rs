//! What a request may say (RFC 9113 §8.1 to §8.3), and that nothing of it means anything else upstream.

use super::speaking;
use crate::support::http2::{
    Answer, DATA, END_STREAM, Frame, PROTOCOL_ERROR, Session, StreamEnd, get, request, with,
};
use crate::support::{Backend, Reading, Seen, ok};

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Status(u16),
    /// The stream was reset as malformed.
    Malformed,
    /// The session was ended: the request can't be told from an attack on its framing.
    Ended,
}

use Verdict::{Ended, Malformed, Status};

impl Verdict {
    fn of(answer: &Answer) -> Self {
        match answer.end {
            StreamEnd::Whole => Status(answer.status()),
            StreamEnd::Reset(PROTOCOL_ERROR) => Malformed,
            StreamEnd::GoAway(Some(PROTOCOL_ERROR)) => Ended,
            end => panic!("{end:?}: {answer:?}"),
        }
    }
}

/// The usual pseudo-header fields, of which those named are others.
fn changed<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = get("/");
    for (name, value) in changes {
        fields
            .iter_mut()
            .filter(|field| field.0 == *name)
            .for_each(|field| field.1 = value);
    }
    fields
}

fn without(name: &str) -> Vec<(&str, &str)> {
    let mut fields = get("/");
    fields.retain(|field| field.0 != name);
    fields
}

/// What it is, its fields, and what becomes of it.
type Case<'a> = (&'a str, Vec<(&'a str, &'a str)>, Verdict);

#[test]
fn each_rule_has_its_answer() {
    let backend = Backend::answering(|_| ok("served"));
    let proxy = speaking(&backend, &[]);
    let and = |more: &[(&'static str, &'static str)]| with(get("/"), more);
    let first = |field: (&'static str, &'static str)| {
        let mut fields = vec![field];
        fields.extend(get("/"));
        fields
    };
    let long = format!("/{}", "x".repeat(16 << 10));
    let huge = "x".repeat(40 << 10);
    let many = with(get("/"), &[("x", "1"); 101]);
    let cases: Vec<Case<'_>> = vec![
        ("nothing else", get("/"), Status(200)),
        // §8.3.1
        ("no method", without(":method"), Malformed),
        ("no scheme", without(":scheme"), Malformed),
        ("no path", without(":path"), Malformed),
        ("no authority", without(":authority"), Status(400)),
        (
            "a host instead",
            with(without(":authority"), &[("host", "a")]),
            Status(200),
        ),
        (
            "the same host again",
            and(&[("host", "A.Example")]),
            Status(200),
        ),
        ("another host", and(&[("host", "b.example")]), Status(400)),
        (
            "two hosts",
            with(without(":authority"), &[("host", "a"), ("host", "b")]),
            Status(400),
        ),
        (
            "the same host twice",
            with(without(":authority"), &[("host", "a"), ("host", "a")]),
            Status(400),
        ),
        (
            "a user",
            changed(&[(":authority", "user@a.example")]),
            Status(400),
        ),
        (
            "an authority with a path",
            changed(&[(":authority", "a.example/b")]),
            Malformed,
        ),
        (
            "an authority with a blank",
            changed(&[(":authority", "a b")]),
            Malformed,
        ),
        (
            "an empty authority",
            changed(&[(":authority", "")]),
            Malformed,
        ),
        (
            "two authorities",
            changed(&[(":authority", "a,b")]),
            Status(400),
        ),
        ("https", changed(&[(":scheme", "https")]), Status(200)),
        ("another scheme", changed(&[(":scheme", "ftp")]), Malformed),
        ("no scheme at all", changed(&[(":scheme", "")]), Malformed),
        ("an empty path", changed(&[(":path", "")]), Malformed),
        (
            "a path with a blank",
            changed(&[(":path", "/a b")]),
            Malformed,
        ),
        (
            "a path with a line",
            changed(&[(":path", "/ HTTP/1.1\r\nx: y")]),
            Malformed,
        ),
        ("a path with a NUL", changed(&[(":path", "/\0")]), Malformed),
        (
            "a path with a DEL",
            changed(&[(":path", "/\x7f")]),
            Malformed,
        ),
        ("a relative path", changed(&[(":path", "a")]), Malformed),
        ("a query alone", changed(&[(":path", "?a")]), Malformed),
        (
            "an absolute form",
            changed(&[(":path", "http://b/")]),
            Malformed,
        ),
        ("an asterisk", changed(&[(":path", "*")]), Status(400)),
        (
            "an asterisk for OPTIONS",
            changed(&[(":path", "*"), (":method", "OPTIONS")]),
            Status(200),
        ),
        ("two slashes", changed(&[(":path", "//b/")]), Status(200)),
        ("a long path", changed(&[(":path", &long)]), Status(414)),
        ("TRACE", changed(&[(":method", "TRACE")]), Status(405)),
        (
            "CONNECT",
            vec![(":method", "CONNECT"), (":authority", "a:80")],
            Status(405),
        ),
        (
            "CONNECT with a path",
            changed(&[(":method", "CONNECT")]),
            Malformed,
        ),
        (
            "another method",
            changed(&[(":method", "PURGE")]),
            Status(200),
        ),
        (
            "a method with a blank",
            changed(&[(":method", "GET /x")]),
            Ended,
        ),
        (
            "a method with a line",
            changed(&[(":method", "GET\r\n")]),
            Ended,
        ),
        // §8.3
        (
            "a field before a pseudo-header",
            first(("x", "y")),
            Malformed,
        ),
        ("an unknown pseudo-header", and(&[(":x", "y")]), Ended),
        (
            "a pseudo-header of responses",
            and(&[(":status", "200")]),
            Malformed,
        ),
        ("two methods", first((":method", "GET")), Malformed),
        ("two paths", first((":path", "/")), Malformed),
        ("two schemes", first((":scheme", "http")), Malformed),
        (
            "two authorities in two fields",
            first((":authority", "a")),
            Malformed,
        ),
        (
            "a protocol without CONNECT",
            and(&[(":protocol", "websocket")]),
            Malformed,
        ),
        // §8.2
        ("an upper-case name", and(&[("X-Y", "z")]), Ended),
        ("an empty name", and(&[("", "z")]), Ended),
        ("a name with a blank", and(&[("x y", "z")]), Ended),
        ("a name with a colon", and(&[("x:y", "z")]), Ended),
        ("a name with a line", and(&[("x\r\ny", "z")]), Ended),
        ("a value with a CR", and(&[("x", "a\rb")]), Ended),
        ("a value with a LF", and(&[("x", "a\nb: c")]), Ended),
        ("a value with a NUL", and(&[("x", "a\0")]), Ended),
        (
            "a value that begins with a blank",
            and(&[("x", " a")]),
            Malformed,
        ),
        (
            "a value that ends with a tab",
            and(&[("x", "a\t")]),
            Malformed,
        ),
        ("an empty value", and(&[("x", "")]), Status(200)),
        ("a value beyond ASCII", and(&[("x", "é")]), Status(200)),
        // §8.2.2
        ("connection", and(&[("connection", "close")]), Malformed),
        ("keep-alive", and(&[("keep-alive", "1")]), Malformed),
        (
            "proxy-connection",
            and(&[("proxy-connection", "close")]),
            Malformed,
        ),
        (
            "transfer-encoding",
            and(&[("transfer-encoding", "chunked")]),
            Malformed,
        ),
        ("upgrade", and(&[("upgrade", "x")]), Malformed),
        ("TE: trailers", and(&[("te", "trailers")]), Status(200)),
        ("another TE", and(&[("te", "gzip")]), Malformed),
        (
            "TE: trailers, gzip",
            and(&[("te", "trailers, gzip")]),
            Malformed,
        ),
        (
            "http2-settings",
            and(&[("http2-settings", "x")]),
            Status(200),
        ),
        // §8.1.1
        (
            "a length without a body",
            and(&[("content-length", "1")]),
            Malformed,
        ),
        ("no length", and(&[("content-length", "0")]), Status(200)),
        (
            "a length with a sign",
            and(&[("content-length", "+0")]),
            Malformed,
        ),
        (
            "a list of lengths",
            and(&[("content-length", "0, 0")]),
            Malformed,
        ),
        (
            "an empty length",
            and(&[("content-length", "")]),
            Status(400),
        ),
        (
            "two lengths",
            and(&[("content-length", "0"), ("content-length", "1")]),
            Malformed,
        ),
        (
            "the same length twice",
            and(&[("content-length", "0"), ("content-length", "0")]),
            Status(400),
        ),
        // As in HTTP/1.1
        ("too many fields", many, Status(431)),
        (
            "too large a head",
            with(get("/"), &[("x", &huge), ("y", &huge)]),
            Status(431),
        ),
    ];
    let mut failed = Vec::new();
    for (name, fields, expected) in cases {
        let mut session = Session::open(proxy.address);
        session.send_fields(1, &fields);
        let answer = session.answer(1);
        let verdict = Verdict::of(&answer);
        if verdict != expected {
            failed.push(format!("{name}: {verdict:?}"));
        }
        if verdict != Ended {
            session.get(3, "/").assert_is(200, "served");
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// What arrives behind the proxy is the same to every parser, however lax.
#[test]
fn nothing_becomes_ambiguous_upstream() {
    let backend = Backend::answering(|_| ok("served"));
    let proxy = speaking(&backend, &[]);
    let mut session = Session::open(proxy.address);
    let body = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut stream = 1;
    for more in [
        &[("content_length", "0")][..],
        &[("transfer_encoding", "chunked")],
        &[("x", "\u{85}content-length: 0")],
        &[
            ("x-http-method-override", "PUT"),
            ("expect", "100-continue"),
        ],
        &[("trailer", "content-length")],
        &[("content-length", "34")],
        &[("content-length", "0")],
    ] {
        let fields = with(request("POST", "/"), more);
        session.send(&Frame::headers(stream, 0, &fields));
        session.send(&Frame::new(DATA, END_STREAM, stream, body));
        session.answer(stream);
        stream += 2;
    }
    session.get(stream, "/last").assert_is(200, "served");
    let mut strict: Vec<_> = backend
        .requests()
        .into_iter()
        .map(|request| Seen {
            method: request.method,
            target: request.target,
            body: Some(request.body),
        })
        .collect();
    strict.sort();
    for reading in Reading::all() {
        let received = backend.received();
        let mut seen: Vec<_> = received
            .iter()
            .flat_map(|bytes| reading.requests(bytes))
            .collect();
        seen.sort();
        assert_eq!(seen, strict, "{reading:?}");
    }
    assert!(!backend.targets().contains(&"/smuggled".to_owned()));
}
