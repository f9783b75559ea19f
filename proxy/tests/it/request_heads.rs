//! Request heads that RFC 9112 §2.2, §3 and §5 don't allow: each is refused, and nothing of it
//! reaches the backend.

use crate::support::{assert_refused_unseen, case, get};

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
        case("HTTP/1.2 without Host", "GET / HTTP/1.2\r\n\r\n", NOT_OURS),
        case(
            "HTTP/1.2 with a fold",
            "GET / HTTP/1.2\r\nHost: a\r\n b\r\n\r\n",
            NOT_OURS,
        ),
        case(
            "HTTP/1.2 with two lengths",
            "POST / HTTP/1.2\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
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
            "the preface of HTTP/2 after an empty line",
            "\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
            NOT_OURS,
        ),
        case(
            "a byte order mark",
            "\u{feff}GET / HTTP/1.1\r\nHost: a\r\n\r\n",
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
        ("empty", ""),
        ("only a port", ":80"),
        ("a scheme", "http://a"),
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
        ("a negative port", "a:-1"),
        ("a port of six digits", "a:100000"),
        ("an address that is none", "[a]"),
        ("something after the bracket", "[::1]a"),
        ("a bracket left open", "[::1"),
        ("a NUL", "a\0b"),
    ] {
        let bytes = format!("GET / HTTP/1.1\r\nHost: {value}\r\n\r\n");
        cases.push(case(name, bytes, &[400]));
    }
    assert_refused_unseen(&cases);
}

/// Forms of the target other than a path (RFC 9112 §3.2.2 to §3.2.4).
#[test]
fn targets() {
    let mut cases = Vec::new();
    for (name, method, target) in [
        ("another scheme", "GET", "ftp://a/"),
        ("no scheme", "GET", "://a/"),
        ("a scheme and one slash", "GET", "http:/a"),
        ("a scheme and no slash", "GET", "http:a"),
        ("only a scheme", "GET", "http://"),
        ("no host", "GET", "http://:80/"),
        ("a user", "GET", "http://a@b/"),
        ("an empty user", "GET", "http://@b/"),
        ("a backslash in the authority", "GET", "http://a\\@b/"),
        ("a comma in the authority", "GET", "http://a,b/"),
        ("a percent sign alone as the host", "GET", "http://a%2fb:c/"),
        ("a port of letters", "GET", "http://a:b/"),
        ("an open bracket", "GET", "http://[::1/"),
        ("a fragment", "GET", "/a#b"),
        ("a fragment in the absolute form", "GET", "http://a/#b"),
        ("an authority", "POST", "a:80"),
        ("an address", "GET", "[::1]:80"),
        ("an asterisk and more", "OPTIONS", "*/"),
        ("an asterisk", "POST", "*"),
        ("a query alone", "GET", "?a"),
        ("a backslash alone", "GET", "\\a"),
        ("a dot", "GET", "./a"),
        ("percent-encoded slash alone", "GET", "%2fa"),
    ] {
        let bytes = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        cases.push(case(name, bytes, &[400]));
    }
    // However well the target names its host, Host has to be there, once, and be one.
    for (name, lines) in [
        ("no Host", ""),
        ("Host twice", "Host: a\r\nHost: a\r\n"),
        ("an empty Host", "Host:\r\n"),
        ("a Host that is none", "Host: a/b\r\n"),
    ] {
        let bytes = format!("GET http://a/ HTTP/1.1\r\n{lines}\r\n");
        cases.push(case(name, bytes, &[400]));
    }
    for (name, lines) in [
        ("on HTTP/1.0: Host twice", "Host: a\r\nHost: b\r\n"),
        ("on HTTP/1.0: an empty Host", "Host:\r\n"),
    ] {
        cases.push(case(name, format!("GET / HTTP/1.0\r\n{lines}\r\n"), &[400]));
    }
    assert_refused_unseen(&cases);
}
