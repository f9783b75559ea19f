//! Requests whose length could be read in two ways (RFC 9112 §6): each is refused, and nothing of
//! it reaches the backend.

use crate::support::{Backend, TestProxy, assert_refused_unseen, case, ok, post};

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
    let lines = "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n";
    let mut identity = post("twice, identity", lines, BODY);
    identity.allowed = &[400, 501];
    cases.push(identity);
    assert_refused_unseen(&cases);
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
        (
            "a hundred empty lines before the request",
            format!("{}{head}Content-Length: 3\r\n\r\nabc", "\r\n".repeat(100)),
            "abc",
        ),
        (
            "a later minor version",
            "POST / HTTP/1.2\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc".to_owned(),
            "abc",
        ),
        (
            "more zeros before a size than it has digits",
            format!(
                "{head}Transfer-Encoding: chunked\r\n\r\n{0}3\r\nabc\r\n{0}\r\n\r\n",
                "0".repeat(1000)
            ),
            "abc",
        ),
        (
            "blanks around what makes up an extension",
            format!(
                "{head}Transfer-Encoding: chunked\r\n\r\n3 \t; a = b ; c\r\nabc\r\n0 ;z\r\n\r\n"
            ),
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
