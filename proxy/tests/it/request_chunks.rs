//! Chunked bodies that RFC 9112 §7.1 doesn't allow: each is refused, and the backend never sees
//! the end of such a request; and what the proxy makes of those that are allowed.

use crate::support::{Backend, TestProxy, assert_refused_unfinished, chunked, ok};

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
        ("a tab after", "3\t"),
        ("a space and another size after", "3 3;a"),
        ("a form feed before an extension", "3\x0c;a"),
        ("a space alone before an extension", " ;a"),
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
