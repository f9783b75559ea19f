//! Requests whose length could be read in two ways (RFC 9112 §6): each is refused, and nothing of
//! it reaches the backend.

use testkit::table::rows;

use crate::support::{Backend, CHUNKED, POST, assert_refused_unseen, ok, proxied, table};

#[test]
fn length_and_chunked_at_once() {
    let text = r"
CL, TE | Content-Length: 5\r\nTransfer-Encoding: chunked
TE, CL | Transfer-Encoding: chunked\r\nContent-Length: 5
TE, CL 0 | Transfer-Encoding: chunked\r\nContent-Length: 0
CL, TE in capitals | CONTENT-LENGTH: 5\r\nTRANSFER-ENCODING: CHUNKED
";
    assert_refused_unseen(&table(
        "POST / HTTP/1.1\r\nHost: a\r\n",
        text,
        "\r\n\r\n0\r\n\r\n",
        &[400],
    ));
}

#[test]
fn content_length() {
    let twice = r"
twice, equal | Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd
twice, different | Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde
twice, the last in capitals | Content-Length: 4\r\nCONTENT-LENGTH: 5\r\n\r\nabcd
";
    let twice = table("POST / HTTP/1.1\r\nHost: a\r\n", twice, "", &[400]);
    let wrong = r#"
a list of equals | 4, 4
a list | 4,5
a list with an empty member | 4,
plus | +4
minus | -4
minus zero | -0
empty |
hexadecimal | 0x4
hexadecimal digits | a
a space inside | 4 4
letters after | 4abc
a point | 4.0
an exponent | 4e0
an underscore | 1_0
quoted | "4"
a digit that is not ASCII | \xef\xbc\x94
a vertical tab before | \x0b4
a form feed after | 4\x0c
a no-break space before | \xc2\xa04
"#;
    let wrong = table(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ",
        wrong,
        "\r\n\r\nabcd",
        &[400],
    );
    let too_long = r"
2^63 | 9223372036854775808
2^64 - 1 | 18446744073709551615
2^64 | 18446744073709551616
2^64 + 4 | 18446744073709551620
2^32 + 4 | 4294967300
sixty digits | 999999999999999999999999999999999999999999999999999999999999
";
    let too_long = table(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ",
        too_long,
        "\r\n\r\nabcd",
        &[400, 413],
    );
    assert_refused_unseen(&[twice, wrong, too_long].concat());
}

#[test]
fn transfer_encoding() {
    let lines = r"
twice | Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked
folded | Transfer-Encoding:\r\n chunked
a space before the colon | Transfer-Encoding : chunked
a tab before the colon | Transfer-Encoding\t: chunked
a line break before the colon | Transfer-Encoding\r\n: chunked
a NUL in the name | Transfer-Encoding\0: chunked
hidden behind a bare CR | X: y\rTransfer-Encoding: chunked
hidden behind a bare LF | X: y\nTransfer-Encoding: chunked
a leading space | \sTransfer-Encoding: chunked
";
    let lines = table(
        "POST / HTTP/1.1\r\nHost: a\r\n",
        lines,
        "\r\n\r\n0\r\n\r\n",
        &[400],
    );
    let old = r"
on HTTP/1.0 | Transfer-Encoding: chunked
on HTTP/1.0, kept alive | Connection: keep-alive\r\nTransfer-Encoding: chunked
";
    let old = table(
        "POST / HTTP/1.0\r\nHost: a\r\n",
        old,
        "\r\n\r\n0\r\n\r\n",
        &[400],
    );
    let values = r#"
another coding before | gzip, chunked
another coding after | chunked, gzip
chunked twice | chunked, chunked
identity | identity
unknown | cow
nearly chunked | xchunked
chunked-ish | chunkedx
a parameter | chunked;q=1
quoted | "chunked"
in ticks | 'chunked'
an empty member after | chunked,
an empty member before | , chunked
empty |
a vertical tab before | \x0bchunked
a vertical tab after | chunked\x0b
a NUL after | chunked\0
a backspace | chunke\x08d
a no-break space | \xc2\xa0chunked
two words | chunked chunked
a bare CR after | chunked\r
twice, identity | identity\r\nTransfer-Encoding: chunked
"#;
    let values = table(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ",
        values,
        "\r\n\r\n0\r\n\r\n",
        &[400, 501],
    );
    assert_refused_unseen(&[lines, old, values].concat());
}

/// Strictness must not cost what is legal.
#[test]
fn legal_oddities_are_served() {
    let (backend, proxy) = proxied(Backend::answering(|request| {
        ok(&String::from_utf8_lossy(&request.body))
    }));
    let zeros = "0".repeat(1000);
    let many_zeros = format!("{CHUNKED}{zeros}3\r\nabc\r\n{zeros}\r\n\r\n");
    let empty_lines = format!("{}{POST}Content-Length: 3\r\n\r\nabc", "\r\n".repeat(100));
    for (name, request, body) in [
        (
            "a size in both cases",
            format!("{CHUNKED}a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n"),
            "01234567890123456789a",
        ),
        (
            "a port and an IPv6 host",
            "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n".to_owned(),
            "",
        ),
        (
            "more zeros before a size than it has digits",
            many_zeros,
            "abc",
        ),
        (
            "a hundred empty lines before the request",
            empty_lines,
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
    let lengths = r"
zeros before a length | Content-Length: 0003
space around a length | Content-Length: \t 3 \t
no space before a length | Content-Length:3
an empty value | X:\r\nContent-Length: 3
a tab in a value | X: a\tb\r\nContent-Length: 3
every sign a name may have | !#$%&'*+-.^_`|~09aZ: x\r\nContent-Length: 3
";
    let lengths = rows(POST, lengths, "\r\n\r\nabc");
    let others = r"
chunked in capitals | POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n
an empty line before the request | \r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc
a later minor version | POST / HTTP/1.2\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc
";
    let others = rows("", others, "");
    let chunks = r#"
zeros before a size | 0003\r\nabc\r\n000\r\n\r\n
chunk extensions | 3;a=b;c="d"\r\nabc\r\n0;last\r\n\r\n
blanks around what makes up an extension | 3 \t; a = b ; c\r\nabc\r\n0 ;z\r\n\r\n
"#;
    let chunks = rows(CHUNKED, chunks, "");
    for (name, request) in [lengths, others, chunks].concat() {
        let response = proxy.client().provoke(&request).unwrap();
        assert_eq!(
            (response.status, response.text().as_str()),
            (200, "abc"),
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
