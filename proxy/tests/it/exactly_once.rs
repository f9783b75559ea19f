//! With a token the upstream knows requests by their ids, so that every method may be repeated.

use crate::error_pages::assert_error_page;
use crate::support::{Backend, BackendConnection, ProxyBuilder, TestProxy, ok, wait_until};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::NamedTempFile;

const TOKEN: &str = "0123456789-the-token";

fn token_file() -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    writeln!(file, "{TOKEN}\nanother-0123456789").unwrap();
    file
}

/// Starts the proxy with the token; the file is read by then.
pub(crate) fn with_token(builder: ProxyBuilder) -> TestProxy {
    let file = token_file();
    builder
        .set("UPSTREAM_TOKEN_FILE", file.path().display())
        .start()
}

/// Answers `/break` with what `broken` sends before the connection ends, the first so many times.
fn breaking(times: usize, broken: &'static str) -> Backend {
    let breaks = AtomicUsize::new(0);
    Backend::start(move |connection: &mut BackendConnection| {
        while let Ok(request) = connection.request() {
            let first = request.target == "/break" && breaks.fetch_add(1, Ordering::SeqCst) < times;
            if first {
                connection.send(broken);
                return;
            }
            connection.send(ok(&String::from_utf8_lossy(&request.body)));
        }
    })
}

#[test]
fn the_token_goes_to_the_upstream_and_nowhere_else() {
    let backend = Backend::answering(|_| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Proxy-Token: {TOKEN}\r\n\r\n")
            .into_bytes()
    });
    let guarded = with_token(TestProxy::builder(backend.address()).set("ACCESS_LOG", "on"));
    let open = TestProxy::before(backend.address());
    for lines in [
        "",
        "X-Proxy-Token: mine\r\n",
        "x-proxy-token: a\r\nX-PROXY-TOKEN: b\r\nConnection: X-Proxy-Token\r\n",
    ] {
        for (proxy, expected) in [(&guarded, Some(TOKEN)), (&open, None)] {
            let response = proxy.client().get_with("/", lines);
            assert!(!response.head.has("x-proxy-token"), "{response:?}");
            let request = backend.requests().pop().unwrap();
            assert_eq!(request.head.get("x-proxy-token"), expected, "{lines:?}");
            assert_eq!(
                request.head.get("x-request-id"),
                Some(response.request_id())
            );
        }
    }
    guarded.access_entry(guarded.get("/").request_id());
    assert!(!guarded.log().contains(TOKEN));
}

#[test]
fn every_method_is_repeated_once_under_one_id() {
    for broken in [
        "",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 100 Continue\r\n\r\n",
    ] {
        for method in ["GET", "POST", "PATCH", "ANY"] {
            let backend = breaking(1, broken);
            let proxy = with_token(TestProxy::builder(backend.address()));
            let mut client = proxy.client();
            client.send(format!(
                "{method} /break HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
            ));
            let mut response = client.response(method).unwrap();
            if response.status == 100 {
                response = client.response(method).unwrap();
            }
            assert_eq!(
                (response.status, response.text().as_str()),
                (200, "body"),
                "{method} {broken:?}"
            );
            let requests = backend.requests();
            assert_eq!(requests.len(), 2, "{method} {broken:?}");
            for request in requests {
                assert_eq!(
                    request.head.get("x-request-id"),
                    Some(response.request_id())
                );
                assert_eq!(request.body, b"body");
            }
            // Counted when the exchange is over, which is after its last byte.
            wait_until("the retry to be counted", || {
                proxy.metric("proxy_retries_total", &[]) == 1
            });
        }
    }
}

#[test]
fn without_a_token_only_idempotent_methods_are() {
    for (method, status, requests) in [
        ("GET", 200, 2),
        ("PUT", 200, 2),
        ("POST", 502, 1),
        ("ANY", 502, 1),
    ] {
        let backend = breaking(1, "");
        let proxy = TestProxy::before(backend.address());
        let response = proxy.client().exchange(method, "/break", "", "body");
        assert_eq!(response.status, status, "{method}");
        assert_eq!(backend.requests().len(), requests, "{method}");
    }
}

/// A stale idle connection doesn't use up the repetition: the request is sent at most three times.
#[test]
fn what_keeps_breaking_is_given_up() {
    for (times, status, requests) in [(2, 200, 3), (usize::MAX, 502, 3)] {
        let backend = breaking(times, "");
        let proxy = with_token(TestProxy::builder(backend.address()));
        let mut client = proxy.client();
        assert_eq!(client.get("/").status, 200);
        let response = client.exchange("POST", "/break", "", "body");
        assert_eq!(response.status, status);
        assert_eq!(backend.requests().len(), 1 + requests);
        if status == 502 {
            assert_error_page(&response, 502);
        }
    }
}

/// What was sent is only kept up to a limit; a client can't be asked to send the rest again.
#[test]
fn a_long_body_is_not_repeated() {
    let backend = breaking(usize::MAX, "");
    let proxy = with_token(TestProxy::builder(backend.address()));
    let mut client = proxy.client();
    let head = "POST /break HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n";
    client.send(head);
    for _ in 0..20 {
        client.send("x".repeat(10_000));
    }
    assert_eq!(client.response("POST").unwrap().status, 502);
    assert_eq!(backend.requests().len(), 1);
}

/// Nothing can be taken back from a client that has the head of a response.
#[test]
fn a_response_cut_after_its_head_is_not_repeated() {
    let backend = breaking(1, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    let proxy = with_token(TestProxy::builder(backend.address()));
    let mut client = proxy.client();
    client.send("POST /break HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    client.response("POST").unwrap_err();
    assert_eq!(backend.requests().len(), 1);
}
