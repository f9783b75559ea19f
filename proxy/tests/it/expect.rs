//! `Expect: 100-continue` (RFC 9110 §10.1.1): the backend decides whether it wants the body.

use crate::support::{Backend, TestProxy, ok, proxied, serving};
use std::time::Duration;

const HEAD: &str = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n";

#[test]
fn accepted_by_the_backend() {
    let (backend, proxy) = proxied(Backend::start(|connection| {
        while let Ok(head) = connection.head() {
            assert_eq!(head.get("expect"), Some("100-continue"));
            connection.send("HTTP/1.1 100 Continue\r\n\r\n");
            let body = connection.take(4).unwrap();
            connection.send(ok(&String::from_utf8_lossy(&body)));
        }
    }));
    let mut client = proxy.client();
    for _ in 0..3 {
        client.send(format!("{HEAD}Content-Length: 4\r\n\r\n"));
        assert_eq!(client.response("POST").unwrap().status, 100);
        client.send("body");
        assert_eq!(client.response("POST").unwrap().text(), "body");
    }
    assert_eq!(backend.connections(), 1);
}

#[test]
fn accepted_with_a_chunked_body() {
    let (_backend, proxy) = proxied(Backend::start(|connection| {
        if connection.head().is_ok() {
            connection.send("HTTP/1.1 100 Continue\r\n\r\n");
            assert_eq!(connection.chunk().unwrap(), b"body");
            assert_eq!(connection.chunk().unwrap(), b"");
            connection.trailers().unwrap();
            connection.send(ok("whole"));
        }
    }));
    let mut client = proxy.client();
    client.send(format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n"));
    assert_eq!(client.response("POST").unwrap().status, 100);
    client.send("4\r\nbody\r\n0\r\n\r\n");
    assert_eq!(client.response("POST").unwrap().text(), "whole");
}

/// The body was never asked for, so the connection can't be used again.
#[test]
fn refused_by_the_backend() {
    for (status, reason) in [(417, "Expectation Failed"), (413, "Content Too Large")] {
        let backend = Backend::start(move |connection| {
            if connection.head().is_ok() {
                connection.send(format!(
                    "HTTP/1.1 {status} {reason}\r\nContent-Length: 2\r\n\r\nno"
                ));
                let (body, _) = connection.drain(Duration::from_secs(5));
                assert_eq!(body, b"", "the body was not wanted");
            }
        });
        let proxy = TestProxy::before(backend.address());
        let mut client = proxy.client();
        client.send(format!("{HEAD}Content-Length: 4\r\n\r\n"));
        let response = client.response("POST").unwrap();
        response.assert_is(status, "no");
        assert_eq!(response.head.get("connection"), Some("close"));
        client.assert_closed();
    }
}

/// A client need not wait for the 100 (RFC 9110 §10.1.1).
#[test]
fn a_client_that_does_not_wait() {
    let (_backend, proxy) = proxied(Backend::start(|connection| {
        while connection.head().is_ok() {
            let body = connection.take(4).unwrap();
            connection.send(ok(&String::from_utf8_lossy(&body)));
        }
    }));
    let mut client = proxy.client();
    for _ in 0..2 {
        client.send(format!("{HEAD}Content-Length: 4\r\n\r\nbody"));
        let response = client.response("POST").unwrap();
        response.assert_is(200, "body");
    }
}

/// Too large by its own account: refused before the client sends it, and before the backend hears.
#[test]
fn refused_by_the_proxy() {
    let (backend, proxy) = serving(&[("MAX_BODY", "1KiB")]);
    let mut client = proxy.client();
    client.send(format!("{HEAD}Content-Length: 1025\r\n\r\n"));
    assert_eq!(client.response("POST").unwrap().status, 413);
    client.assert_closed();
    assert_eq!(backend.connections(), 0);
}
