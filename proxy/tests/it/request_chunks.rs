//! Chunked bodies that RFC 9112 §7.1 doesn't allow: each is refused, and the backend never sees
//! the end of such a request; and what the proxy makes of those that are allowed.

use crate::support::{CHUNKED, assert_refused_unfinished, chunked, serving, table};

#[test]
fn chunk_sizes() {
    let wrong = r"
empty |
a letter | x
0x | 0x3
plus | +3
minus | -3
a space before | \s3
a tab before | \t3
a space after | 3\s
a tab after | 3\t
a space and another size after | 3 3;a
a form feed before an extension | 3\x0c;a
a space alone before an extension | \s;a
an underscore | 0_3
a point | 3.0
a letter after | 3g
a NUL after | 3\0
a comma | 3,3
2^64 + 3 | 10000000000000003
2^68 | 100000000000000000
an extension with a control byte | 3;a\x01b
an extension with a bare CR | 3;a\rb
an extension with a bare LF | 3;a\nb
a bare CR after | 3\r
";
    let wrong = table(CHUNKED, wrong, "\r\nabc\r\n0\r\n\r\n", &[400]);
    let too_large = r"
2^63 - 1 | 7fffffffffffffff
2^64 - 1 | FFFFFFFFFFFFFFFF
";
    let too_large = table(CHUNKED, too_large, "\r\nabc\r\n0\r\n\r\n", &[400, 413]);
    assert_refused_unfinished(&[wrong, too_large].concat());
}

#[test]
fn chunk_ends() {
    let text = r"
bare LF after a size | 3\nabc\r\n0\r\n\r\n
bare LF after the data | 3\r\nabc\n0\r\n\r\n
bare CR after the data | 3\r\nabc\r0\r\n\r\n
nothing after the data | 3\r\nabc0\r\n\r\n
other bytes after the data | 3\r\nabcXX0\r\n\r\n
more data than the size | 3\r\nabcd\r\n0\r\n\r\n
less data than the size | 4\r\nabc\r\n0\r\n\r\n
bare LF after the last size | 3\r\nabc\r\n0\n\r\n
bare LF after the trailers | 3\r\nabc\r\n0\r\n\n
bare CR after the trailers | 3\r\nabc\r\n0\r\n\r\r\n
";
    assert_refused_unfinished(&table(CHUNKED, text, "", &[400]));
}

#[test]
fn trailers() {
    let cases = r"
a space before the colon | X : y
a leading space | \sX: y
a fold | X: y\r\n z
no colon | X
no name | : y
a bare LF | X: y\nZ: z
a bare CR | X: y\rZ: z
a NUL | X: \0
a request for a trailer | GET /smuggled HTTP/1.1
";
    let mut cases = table(
        &format!("{CHUNKED}3\r\nabc\r\n0\r\n"),
        cases,
        "\r\n\r\n",
        &[400],
    );
    let many: String = (0..2000).map(|n| format!("X-{n}: y\r\n")).collect();
    let long = format!("X: {}\r\n", "y".repeat(256 * 1024));
    for (name, trailers) in [("2,000 trailers", many), ("a trailer of 256 KiB", long)] {
        let mut too_large = chunked(name, format!("3\r\nabc\r\n0\r\n{trailers}\r\n"));
        too_large.allowed = &[400, 413, 431];
        cases.push(too_large);
    }
    assert_refused_unfinished(&cases);
}

/// RFC 9110 §6.5.1: framing, routing and authentication fields have no business in trailers.
#[test]
fn trailers_cannot_change_the_request() {
    let (backend, proxy) = serving(&[]);
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
        let response = client.provoke(&request.bytes).unwrap();
        assert_eq!(response.status, 200, "{trailer}");
        assert_eq!(client.get("/next").status, 200, "{trailer}");
    }
    for request in backend.requests() {
        assert_eq!(request.trailers, [], "a forbidden trailer was passed on");
    }
}

/// Whatever lengths and chunks say, the bytes reach the backend with one meaning only.
#[test]
fn a_chunked_body_is_framed_anew() {
    let (backend, proxy) = serving(&[]);
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
