//! Connections that carry more than one request, on both sides of the proxy.

use crate::support::{Backend, Framing, TestProxy, ok, proxied, wait_until};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[test]
fn one_client_connection_and_one_upstream_connection_carry_many_requests() {
    let (backend, proxy) = proxied(Backend::answering(|request| ok(&request.target)));
    let mut client = proxy.client();
    for number in 0..50 {
        let target = format!("/{number}");
        assert_eq!(client.get(&target).text(), target);
    }
    assert_eq!(backend.connections(), 1);
}

#[test]
fn clients_share_the_upstream_connections() {
    let (backend, proxy) = proxied(Backend::answering(|request| ok(&request.target)));
    for number in 0..20 {
        let target = format!("/{number}");
        assert_eq!(proxy.get(&target).text(), target);
    }
    assert_eq!(backend.connections(), 1);
}

#[test]
fn a_client_that_says_close_is_told_close_and_closed() {
    let (backend, proxy) = proxied(Backend::answering(|_| ok("bye")));
    let mut client = proxy.client();
    let response = client.get_with("/", "Connection: close\r\n");
    assert_eq!(response.head.get("connection"), Some("close"));
    client.assert_closed();

    assert_eq!(proxy.get("/").status, 200);
    assert_eq!(
        backend.connections(),
        1,
        "the client's close is not the upstream's"
    );
}

#[test]
fn an_upstream_that_says_close_does_not_close_the_client() {
    let (backend, proxy) = proxied(Backend::start(|connection| {
        if connection.request().is_ok() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        }
    }));
    let mut client = proxy.client();
    for _ in 0..5 {
        let response = client.get("/");
        assert_eq!(response.text(), "ok");
        assert_ne!(response.head.get("connection"), Some("close"));
    }
    assert_eq!(backend.connections(), 5);
}

/// The upstream closes a pooled connection behind the proxy's back, again and again: no client
/// may notice, even with a method that must not be sent twice.
#[test]
fn a_stale_upstream_connection_is_never_used() {
    let (backend, proxy) = proxied(Backend::answering(|_| ok("fresh")));
    let mut client = proxy.client();
    for round in 1..=10 {
        let response = client.exchange("POST", "/", "", "once");
        assert_eq!(response.text(), "fresh");
        assert_eq!(backend.requests().len(), round);
        // On loopback the FIN has reached the proxy's socket when this returns.
        backend.close_connections();
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let (backend, proxy) = proxied(Backend::answering(|request| {
        if request.target == "/slow" {
            std::thread::sleep(Duration::from_millis(100));
        }
        ok(&format!(
            "{} {}",
            request.target,
            String::from_utf8_lossy(&request.body)
        ))
    }));
    let mut client = proxy.client();
    client.send(
        "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n\
         POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
         POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ndef\r\n0\r\n\r\n\
         HEAD /head HTTP/1.1\r\nHost: a\r\n\r\n\
         GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n\
         GET /never HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    for (method, body) in [
        ("GET", "/slow "),
        ("POST", "/length abc"),
        ("POST", "/chunked def"),
        ("HEAD", ""),
        ("GET", "/last "),
    ] {
        let response = client.response(method).unwrap();
        response.assert_is(200, body);
    }
    client.assert_closed();
    assert_eq!(
        backend.targets(),
        ["/slow", "/length", "/chunked", "/head", "/last"]
    );
}

#[test]
fn a_hundred_pipelined_requests_in_one_write() {
    let (_backend, proxy) = proxied(Backend::answering(|request| ok(&request.target)));
    let mut client = proxy.client();
    let requests = (0..100).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n"));
    client.send(requests.collect::<String>());
    for number in 0..100 {
        assert_eq!(client.response("GET").unwrap().text(), format!("/{number}"));
    }
}

#[test]
fn a_request_in_tiny_pieces_is_still_one_request() {
    let (_backend, proxy) = proxied(Backend::answering(|request| {
        ok(&format!(
            "{} {}",
            request.target,
            String::from_utf8_lossy(&request.body)
        ))
    }));
    let mut client = proxy.client();
    let request = "POST /bytes HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
    for byte in request.as_bytes() {
        client.send([*byte]);
        std::thread::sleep(Duration::from_micros(200));
    }
    assert_eq!(client.response("POST").unwrap().text(), "/bytes abcdefg");
}

#[test]
fn http_1_0_is_closed_unless_it_asks_for_keep_alive() {
    let (_backend, proxy) = proxied(Backend::answering(|request| ok(&request.target)));

    let mut client = proxy.client();
    client.send("GET /plain HTTP/1.0\r\n\r\n");
    assert_eq!(client.response("GET").unwrap().text(), "/plain");
    client.assert_closed();

    let mut client = proxy.client();
    for target in ["/first", "/second"] {
        client.send(format!(
            "GET {target} HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"
        ));
        let response = client.response("GET").unwrap();
        assert_eq!(response.text(), target);
        assert_eq!(response.framing, Framing::Length);
        assert_eq!(response.head.get("connection"), Some("keep-alive"));
    }
}

/// With NTLM and Negotiate, who has logged in is a matter of the connection: it is that client's then.
#[test]
fn a_connection_that_somebody_logs_in_over_is_nobody_elses() {
    for scheme in ["NTLM", "Negotiate"] {
        let number = AtomicUsize::new(0);
        let backend = Backend::start(move |connection| {
            let own = number.fetch_add(1, Ordering::Relaxed);
            while let Ok(request) = connection.request() {
                connection.send(
                    if request.head.has("authorization") || request.target == "/own" {
                        ok(&format!("connection {own}"))
                    } else {
                        let body = format!("connection {own}");
                        let length = body.len();
                        format!(
                            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {scheme}\r\n\
                         Content-Length: {length}\r\n\r\n{body}"
                        )
                        .into_bytes()
                    },
                );
            }
        });
        let proxy = TestProxy::before(backend.address());
        let mut client = proxy.client();
        let own = client.get("/");
        assert_eq!(own.status, 401);
        for _ in 0..3 {
            let other = proxy.get("/own");
            assert_ne!(other.text(), own.text());
            let logged_in = client.get_with("/", "Authorization: x\r\n");
            assert_eq!((logged_in.status, logged_in.text()), (200, own.text()));
        }
        // The client's end is its connection's.
        drop(client);
        wait_until("the connection to be closed", || {
            backend.open_connections() == 1
        });
    }
}
