//! Requests whose framing or syntax could be read in two ways (RFC 9112 §2.2, §3, §5, §6, §7.1):
//! each is refused, the connection is closed, and nothing of it can pass for a request upstream.

use crate::support::{Backend, End, RawClient, TestProxy, ok};
use std::time::Duration;

/// Follows every case on the wire: what a smuggler would like the backend to run.
const SMUGGLED: &[u8] = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    allowed: &'static [u16],
}

fn case(name: &'static str, bytes: impl AsRef<[u8]>, allowed: &'static [u16]) -> Case {
    Case {
        name,
        bytes: bytes.as_ref().to_vec(),
        allowed,
    }
}

/// A POST with these header lines (each with its CRLF) and this body.
fn post(name: &'static str, lines: &str, body: &str) -> Case {
    case(
        name,
        format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n{body}"),
        &[400],
    )
}

/// A GET with these header lines.
fn get(name: &'static str, lines: impl AsRef<[u8]>) -> Case {
    let head = [b"GET / HTTP/1.1\r\nHost: a\r\n", lines.as_ref(), b"\r\n"].concat();
    case(name, head, &[400])
}

/// A chunked POST with this as its body.
fn chunked(name: &'static str, body: impl AsRef<[u8]>) -> Case {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    case(name, [head, body.as_ref()].concat(), &[400])
}

/// Sends the case; says what is wrong with the answer, if anything is.
fn refused(proxy: &TestProxy, case: &Case) -> Result<(), String> {
    let mut client = RawClient::connect(proxy.address);
    let bytes = [case.bytes.as_slice(), SMUGGLED].concat();
    let response = client
        .provoke(&bytes)
        .map_err(|error| format!("no answer: {error:?}"))?;
    if !case.allowed.contains(&response.status) {
        return Err(format!(
            "status {}, expected {:?}",
            response.status, case.allowed
        ));
    }
    if response.head.get("connection") != Some("close") {
        return Err("the refusal does not say Connection: close".to_owned());
    }
    match client.drain(Duration::from_secs(10)) {
        (_, End::StillOpen) => Err("the connection stays open".to_owned()),
        (rest, _) if rest.is_empty() => Ok(()),
        (rest, _) => Err(format!("more after the refusal: {}", rest.escape_ascii())),
    }
}

/// Runs every case against one proxy, and reports all that fail.
#[track_caller]
fn assert_all_refused(proxy: &TestProxy, cases: &[Case]) {
    let failures: Vec<_> = cases
        .iter()
        .filter_map(|case| refused(proxy, case).err().map(|why| (case.name, why)))
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {}: {failures:#?}",
        failures.len(),
        cases.len()
    );
    assert_eq!(proxy.get("/after").status, 200, "the proxy still serves");
}

/// For faults in the head: the backend must not see a single byte.
#[track_caller]
fn assert_refused_unseen(cases: &[Case]) {
    let backend = Backend::answering(|_| ok("served"));
    let proxy = TestProxy::before(backend.address());
    assert_all_refused(&proxy, cases);
    assert_eq!(backend.only_request().target, "/after");
    assert_eq!(
        backend.connections(),
        1,
        "the backend got bytes of a refused request"
    );
}

/// For faults in the body: the backend may have begun to read, but never sees a whole request.
#[track_caller]
fn assert_refused_unfinished(cases: &[Case]) {
    let backend = Backend::answering(|_| ok("served"));
    let proxy = TestProxy::before(backend.address());
    assert_all_refused(&proxy, cases);
    assert_eq!(backend.only_request().target, "/after");
    for received in backend.received() {
        let received = String::from_utf8_lossy(&received).into_owned();
        assert!(!received.contains("/smuggled"), "{received}");
    }
}

#[test]
fn length_and_chunked_at_once() {
    const BODY: &str = "0\r\n\r\n";
    assert_refused_unseen(&[
        post(
            "CL, TE",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            BODY,
        ),
        post(
            "TE, CL",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            BODY,
        ),
        post(
            "TE, CL 0",
            "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
            BODY,
        ),
        post(
            "CL, TE in capitals",
            "CONTENT-LENGTH: 5\r\nTRANSFER-ENCODING: CHUNKED\r\n",
            BODY,
        ),
    ]);
}

#[test]
fn content_length() {
    let twice = "Content-Length: 4\r\nContent-Length: 4\r\n";
    let differing = "Content-Length: 4\r\nContent-Length: 5\r\n";
    let mut cases = vec![
        post("twice, equal", twice, "abcd"),
        post("twice, different", differing, "abcde"),
        post(
            "twice, the last in capitals",
            "Content-Length: 4\r\nCONTENT-LENGTH: 5\r\n",
            "abcd",
        ),
    ];
    for (name, value) in [
        ("a list of equals", "4, 4"),
        ("a list", "4,5"),
        ("a list with an empty member", "4,"),
        ("plus", "+4"),
        ("minus", "-4"),
        ("minus zero", "-0"),
        ("empty", ""),
        ("hexadecimal", "0x4"),
        ("hexadecimal digits", "a"),
        ("a space inside", "4 4"),
        ("letters after", "4abc"),
        ("a point", "4.0"),
        ("an exponent", "4e0"),
        ("an underscore", "1_0"),
        ("quoted", "\"4\""),
        ("a digit that is not ASCII", "４"),
        ("a vertical tab before", "\x0b4"),
        ("a form feed after", "4\x0c"),
        ("a no-break space before", "\u{a0}4"),
    ] {
        cases.push(post(name, &format!("Content-Length: {value}\r\n"), "abcd"));
    }
    for (name, value) in [
        ("2^63", "9223372036854775808"),
        ("2^64 - 1", "18446744073709551615"),
        ("2^64", "18446744073709551616"),
        ("2^64 + 4", "18446744073709551620"),
        ("2^32 + 4", "4294967300"),
        (
            "sixty digits",
            "999999999999999999999999999999999999999999999999999999999999",
        ),
    ] {
        let mut too_long = post(name, &format!("Content-Length: {value}\r\n"), "abcd");
        too_long.allowed = &[400, 413];
        cases.push(too_long);
    }
    assert_refused_unseen(&cases);
}

#[test]
fn transfer_encoding() {
    const BODY: &str = "0\r\n\r\n";
    let mut cases = vec![
        post(
            "twice",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            BODY,
        ),
        post(
            "twice, identity",
            "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
            BODY,
        ),
        post("folded", "Transfer-Encoding:\r\n chunked\r\n", BODY),
        post(
            "a space before the colon",
            "Transfer-Encoding : chunked\r\n",
            BODY,
        ),
        post(
            "a tab before the colon",
            "Transfer-Encoding\t: chunked\r\n",
            BODY,
        ),
        post(
            "a line break before the colon",
            "Transfer-Encoding\r\n: chunked\r\n",
            BODY,
        ),
        post(
            "a NUL in the name",
            "Transfer-Encoding\0: chunked\r\n",
            BODY,
        ),
        post(
            "hidden behind a bare CR",
            "X: y\rTransfer-Encoding: chunked\r\n",
            BODY,
        ),
        post(
            "hidden behind a bare LF",
            "X: y\nTransfer-Encoding: chunked\r\n",
            BODY,
        ),
        post("a leading space", " Transfer-Encoding: chunked\r\n", BODY),
        case(
            "on HTTP/1.0",
            format!("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{BODY}"),
            &[400],
        ),
        case(
            "on HTTP/1.0, kept alive",
            format!(
                "POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n{BODY}"
            ),
            &[400],
        ),
    ];
    for (name, value) in [
        ("another coding before", "gzip, chunked"),
        ("another coding after", "chunked, gzip"),
        ("chunked twice", "chunked, chunked"),
        ("identity", "identity"),
        ("unknown", "cow"),
        ("nearly chunked", "xchunked"),
        ("chunked-ish", "chunkedx"),
        ("a parameter", "chunked;q=1"),
        ("quoted", "\"chunked\""),
        ("in ticks", "'chunked'"),
        ("an empty member after", "chunked,"),
        ("an empty member before", ", chunked"),
        ("empty", ""),
        ("a vertical tab before", "\x0bchunked"),
        ("a vertical tab after", "chunked\x0b"),
        ("a NUL after", "chunked\0"),
        ("a backspace", "chunke\x08d"),
        ("a no-break space", "\u{a0}chunked"),
        ("two words", "chunked chunked"),
        ("a bare CR after", "chunked\r"),
    ] {
        let mut unknown = post(name, &format!("Transfer-Encoding: {value}\r\n"), BODY);
        unknown.allowed = &[400, 501];
        cases.push(unknown);
    }
    assert_refused_unseen(&cases);
}

#[test]
fn line_ends_and_folds() {
    assert_refused_unseen(&[
        case("bare LF throughout", "GET / HTTP/1.1\nHost: a\n\n", &[400]),
        case(
            "bare LF after the request line",
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            &[400],
        ),
        case(
            "bare LF after a field",
            "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
            &[400],
        ),
        case(
            "bare LF as the empty line",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            &[400],
        ),
        case(
            "bare CR throughout",
            "GET / HTTP/1.1\rHost: a\r\r\n\r\n",
            &[400],
        ),
        case("CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", &[400]),
        case(
            "bare CR in the request line",
            "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n",
            &[400],
        ),
        get("bare CR in a value", "X: a\rb\r\n"),
        get("bare CR that hides a field", "X: a\rContent-Length: 5\r\n"),
        get("bare CR in a name", "X\rY: a\r\n"),
        get("a fold with a space", "X: a\r\n b\r\n"),
        get("a fold with a tab", "X: a\r\n\tb\r\n"),
        get(
            "a fold that hides a length",
            "X: a\r\n Content-Length: 5\r\n",
        ),
        get("a fold of nothing", "X: a\r\n \r\n"),
        case(
            "a fold of the request line",
            "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
            &[400],
        ),
    ]);
}

#[test]
fn field_names_and_values() {
    assert_refused_unseen(&[
        get("a space before the colon", "X : a\r\n"),
        get("a tab before the colon", "X\t: a\r\n"),
        get("a space in the name", "X Y: a\r\n"),
        get("no name", ": a\r\n"),
        get("no colon", "X\r\n"),
        get("only a colon", ":\r\n"),
        get("a NUL in the name", "X\0: a\r\n"),
        get("a bracket in the name", "X(Y): a\r\n"),
        get("an at sign in the name", "X@Y: a\r\n"),
        get("a slash in the name", "X/Y: a\r\n"),
        get("a quote in the name", "\"X\": a\r\n"),
        get("a byte over 127 in the name", b"X\xff: a\r\n"),
        get(
            "a soft hyphen in Content-Length",
            "Content\u{ad}-Length: 5\r\n",
        ),
        get("a NUL in the value", "X: a\0b\r\n"),
        get("SOH in the value", "X: a\x01b\r\n"),
        get("ESC in the value", "X: a\x1b[31mb\r\n"),
        get("a backspace in the value", "X: a\x08b\r\n"),
        get("DEL in the value", "X: a\x7fb\r\n"),
        get("a form feed in the value", "X: a\x0cb\r\n"),
    ]);
}

#[test]
fn request_lines() {
    let line = |name, line: &str| case(name, format!("{line}\r\nHost: a\r\n\r\n"), &[400]);
    assert_refused_unseen(&[
        line("two spaces before the target", "GET  / HTTP/1.1"),
        line("two spaces after the target", "GET /  HTTP/1.1"),
        line("a leading space", " GET / HTTP/1.1"),
        line("a trailing space", "GET / HTTP/1.1 "),
        line("tabs for spaces", "GET\t/\tHTTP/1.1"),
        line("no target", "GET HTTP/1.1"),
        line("only a method", "GET"),
        line("a space in the target", "GET /a b HTTP/1.1"),
        line("a control byte in the target", "GET /\x01 HTTP/1.1"),
        line("a NUL in the target", "GET /\0 HTTP/1.1"),
        line("DEL in the target", "GET /\x7f HTTP/1.1"),
        line("a bracket in the method", "G(T / HTTP/1.1"),
        line("a colon in the method", "GET: / HTTP/1.1"),
        line("no method", " / HTTP/1.1"),
        line("a relative target", "GET index.html HTTP/1.1"),
        line("an asterisk that is not for OPTIONS", "GET * HTTP/1.1"),
        line("an authority as the target", "GET a:80 HTTP/1.1"),
        line("a word after the version", "GET / HTTP/1.1 x"),
        line("HTTP in small letters", "GET / http/1.1"),
        line("a version without a point", "GET / HTTP/11"),
        line("a version with two points", "GET / HTTP/1.1.1"),
        line("a version with a leading zero", "GET / HTTP/01.1"),
        line("a version with two digits", "GET / HTTP/1.10"),
        line("a version with a sign", "GET / HTTP/+1.1"),
        line("another protocol", "GET / HTTPS/1.1"),
    ]);
}

#[test]
fn versions_and_protocols() {
    const NOT_OURS: &[u16] = &[400, 505];
    assert_refused_unseen(&[
        case("HTTP/0.9", "GET /\r\n", NOT_OURS),
        case(
            "HTTP/0.9 in full",
            "GET / HTTP/0.9\r\nHost: a\r\n\r\n",
            NOT_OURS,
        ),
        case("HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", NOT_OURS),
        case("HTTP/3", "GET / HTTP/3\r\nHost: a\r\n\r\n", NOT_OURS),
        case("HTTP/9.9", "GET / HTTP/9.9\r\nHost: a\r\n\r\n", NOT_OURS),
        case(
            "the preface of HTTP/2",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            NOT_OURS,
        ),
        case(
            "a TLS ClientHello",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
            NOT_OURS,
        ),
        case(
            "the PROXY protocol",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
            NOT_OURS,
        ),
        case("SMTP", "EHLO a\r\n\r\n", NOT_OURS),
        case(
            "a response",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            NOT_OURS,
        ),
        case("zeros", [0; 64], NOT_OURS),
        case(
            "CONNECT",
            "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
            &[400, 405, 501],
        ),
        case(
            "CONNECT to a path",
            "CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n",
            &[400, 405, 501],
        ),
    ]);
}

#[test]
fn host() {
    let mut cases = vec![
        case("missing", "GET / HTTP/1.1\r\nX: y\r\n\r\n", &[400]),
        get("twice, equal", "Host: a\r\n"),
        get("twice, different", "host: b\r\n"),
        case(
            "missing, absolute target",
            "GET http://a/ HTTP/1.1\r\n\r\n",
            &[400],
        ),
    ];
    for (name, value) in [
        ("a space", "a b"),
        ("a comma", "a,b"),
        ("a path", "a/b"),
        ("a user", "user@a"),
        ("a query", "a?b"),
        ("a fragment", "a#b"),
        ("a backslash", "a\\b"),
        ("a quote", "a\"b"),
        ("an angle bracket", "<a>"),
        ("a port of letters", "a:b"),
        ("two ports", "a:1:2"),
        ("a bracket left open", "[::1"),
        ("a NUL", "a\0b"),
    ] {
        let bytes = format!("GET / HTTP/1.1\r\nHost: {value}\r\n\r\n");
        cases.push(case(name, bytes, &[400]));
    }
    assert_refused_unseen(&cases);
}

#[test]
fn chunk_sizes() {
    let mut cases = Vec::new();
    for (name, size) in [
        ("empty", ""),
        ("a letter", "x"),
        ("0x", "0x3"),
        ("plus", "+3"),
        ("minus", "-3"),
        ("a space before", " 3"),
        ("a tab before", "\t3"),
        ("a space after", "3 "),
        ("an underscore", "0_3"),
        ("a point", "3.0"),
        ("a letter after", "3g"),
        ("a NUL after", "3\0"),
        ("a comma", "3,3"),
        ("2^64 + 3", "10000000000000003"),
        ("2^68", "100000000000000000"),
        ("an extension with a control byte", "3;a\x01b"),
        ("an extension with a bare CR", "3;a\rb"),
        ("an extension with a bare LF", "3;a\nb"),
        ("a bare CR after", "3\r"),
    ] {
        cases.push(chunked(name, format!("{size}\r\nabc\r\n0\r\n\r\n")));
    }
    for (name, size) in [
        ("2^63 - 1", "7fffffffffffffff"),
        ("2^64 - 1", "FFFFFFFFFFFFFFFF"),
    ] {
        let mut too_large = chunked(name, format!("{size}\r\nabc\r\n0\r\n\r\n"));
        too_large.allowed = &[400, 413];
        cases.push(too_large);
    }
    assert_refused_unfinished(&cases);
}

#[test]
fn chunk_ends() {
    assert_refused_unfinished(&[
        chunked("bare LF after a size", "3\nabc\r\n0\r\n\r\n"),
        chunked("bare LF after the data", "3\r\nabc\n0\r\n\r\n"),
        chunked("bare CR after the data", "3\r\nabc\r0\r\n\r\n"),
        chunked("nothing after the data", "3\r\nabc0\r\n\r\n"),
        chunked("other bytes after the data", "3\r\nabcXX0\r\n\r\n"),
        chunked("more data than the size", "3\r\nabcd\r\n0\r\n\r\n"),
        chunked("less data than the size", "4\r\nabc\r\n0\r\n\r\n"),
        chunked("bare LF after the last size", "3\r\nabc\r\n0\n\r\n"),
        chunked("bare LF after the trailers", "3\r\nabc\r\n0\r\n\n"),
        chunked("bare CR after the trailers", "3\r\nabc\r\n0\r\n\r\r\n"),
    ]);
}

#[test]
fn trailers() {
    let last = |name, trailers: &str| chunked(name, format!("3\r\nabc\r\n0\r\n{trailers}\r\n"));
    let many = (0..2000)
        .map(|n| format!("X-{n}: y\r\n"))
        .collect::<String>();
    let long = format!("X: {}\r\n", "y".repeat(256 * 1024));
    let mut cases = vec![
        last("a space before the colon", "X : y\r\n"),
        last("a leading space", " X: y\r\n"),
        last("a fold", "X: y\r\n z\r\n"),
        last("no colon", "X\r\n"),
        last("no name", ": y\r\n"),
        last("a bare LF", "X: y\nZ: z\r\n"),
        last("a bare CR", "X: y\rZ: z\r\n"),
        last("a NUL", "X: \0\r\n"),
        last("a request for a trailer", "GET /smuggled HTTP/1.1\r\n"),
    ];
    for (name, trailers) in [("2,000 trailers", many), ("a trailer of 256 KiB", long)] {
        let mut too_large = last(name, &trailers);
        too_large.allowed = &[400, 413, 431];
        cases.push(too_large);
    }
    assert_refused_unfinished(&cases);
}

/// RFC 9110 §6.5.1: framing, routing and authentication fields have no business in trailers.
#[test]
fn trailers_cannot_change_the_request() {
    let backend = Backend::answering(|_| ok("served"));
    let proxy = TestProxy::before(backend.address());
    for trailer in [
        "Content-Length: 9",
        "Transfer-Encoding: gzip",
        "Host: evil.test",
        "Connection: keep-alive",
        "X-Forwarded-For: 192.0.2.66",
        "X-Real-IP: 192.0.2.66",
        "X-Request-Id: 000000000000000000000000",
    ] {
        let body = format!("3\r\nabc\r\n0\r\n{trailer}\r\n\r\n");
        let request = chunked("forbidden", body);
        let mut client = proxy.client();
        // Dropped or refused: both are safe, passed on is not.
        let response = client.provoke(&request.bytes).unwrap();
        assert!(
            [200, 400].contains(&response.status),
            "{trailer}: {}",
            response.status
        );
    }
    for request in backend.requests() {
        assert_eq!(request.trailers, [], "a forbidden trailer was passed on");
    }
}

/// Strictness must not cost what is legal.
#[test]
fn legal_oddities_are_served() {
    let backend = Backend::answering(|request| ok(&String::from_utf8_lossy(&request.body)));
    let proxy = TestProxy::before(backend.address());
    let head = "POST / HTTP/1.1\r\nHost: a\r\n";
    for (name, request, body) in [
        (
            "zeros before a length",
            format!("{head}Content-Length: 0003\r\n\r\nabc"),
            "abc",
        ),
        (
            "space around a length",
            format!("{head}Content-Length: \t 3 \t\r\n\r\nabc"),
            "abc",
        ),
        (
            "no space before a length",
            format!("{head}Content-Length:3\r\n\r\nabc"),
            "abc",
        ),
        (
            "chunked in capitals",
            format!("{head}Transfer-Encoding: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
            "abc",
        ),
        (
            "a size in both cases",
            format!(
                "{head}Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n"
            ),
            "01234567890123456789a",
        ),
        (
            "zeros before a size",
            format!("{head}Transfer-Encoding: chunked\r\n\r\n0003\r\nabc\r\n000\r\n\r\n"),
            "abc",
        ),
        (
            "chunk extensions",
            format!(
                "{head}Transfer-Encoding: chunked\r\n\r\n3;a=b;c=\"d\"\r\nabc\r\n0;last\r\n\r\n"
            ),
            "abc",
        ),
        (
            "an empty value",
            format!("{head}X:\r\nContent-Length: 3\r\n\r\nabc"),
            "abc",
        ),
        (
            "a tab in a value",
            format!("{head}X: a\tb\r\nContent-Length: 3\r\n\r\nabc"),
            "abc",
        ),
        (
            "every sign a name may have",
            format!("{head}!#$%&'*+-.^_`|~09aZ: x\r\nContent-Length: 3\r\n\r\nabc"),
            "abc",
        ),
        (
            "a port and an IPv6 host",
            "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n".to_owned(),
            "",
        ),
        (
            "an empty line before the request",
            format!("\r\n{head}Content-Length: 3\r\n\r\nabc"),
            "abc",
        ),
    ] {
        let response = proxy.client().provoke(request.as_bytes()).unwrap();
        assert_eq!(
            (response.status, response.text().as_str()),
            (200, body),
            "{name}"
        );
    }
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nX-Latin: caf\xe9\r\n\r\n";
    assert_eq!(proxy.client().provoke(bytes).unwrap().status, 200);
    let latin = backend.requests().pop().unwrap();
    assert_eq!(
        latin.head.get("x-latin"),
        Some("caf\u{e9}"),
        "obs-text passes as it is"
    );
}

/// Whatever lengths and chunks say, the bytes reach the backend with one meaning only.
#[test]
fn a_chunked_body_is_framed_anew() {
    let backend = Backend::answering(|_| ok("served"));
    let proxy = TestProxy::before(backend.address());
    let request = chunked(
        "extensions",
        "0003;evil=\"\r\\n\";x=y\r\nabc\r\n0;z\r\n\r\n",
    );
    let quoted_line_break = proxy.client().provoke(&request.bytes).unwrap();
    assert_eq!(quoted_line_break.status, 400);

    let request = chunked("extensions", "0003;evil=yes\r\nabc\r\n0;z\r\n\r\n");
    assert_eq!(proxy.client().provoke(&request.bytes).unwrap().status, 200);
    let received = backend.received().concat();
    let received = String::from_utf8_lossy(&received);
    assert!(
        !received.contains("evil") && !received.contains("0003"),
        "{received}"
    );
    assert_eq!(backend.only_request().body, b"abc");
}
