//! Peers that vanish: their machine is off, or cut off, and no packet says so. That is noticed in seconds;
//! who is only slow is waited for.

use crate::error_pages::assert_error_page;
use crate::exactly_once::with_token;
use crate::support::{
    Answer, Backend, End, NameServer, ProxyBuilder, RawClient, TestProxy, assert_within,
    free_address, loopback, ok, wait_until,
};
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};
use testkit::net::cut_off;

/// With the defaults: three seconds until a backend has vanished, two to find that it can't be connected
/// to, and as much for a busy machine. `READ_TIMEOUT` would be sixty.
const SOON: Duration = Duration::from_secs(10);

/// A proxy to be whose upstream's name has two addresses, and these.
fn before_two() -> (ProxyBuilder, NameServer, [SocketAddr; 2]) {
    let port = free_address().port();
    let addresses = [1, 2].map(|n| SocketAddr::new(loopback(n), port));
    let ips: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).collect();
    let names = NameServer::start(Answer::Addresses(ips));
    let upstream = format!("flask-app:{port}");
    let builder = TestProxy::builder(upstream).asking(&names);
    (builder, names, addresses)
}

fn named(address: SocketAddr) -> Backend {
    Backend::answering_at(address, move |_| ok(&address.ip().to_string()))
}

/// Sends a request whose answer isn't read yet.
fn ask(proxy: &TestProxy, method: &str) -> RawClient {
    let mut client = proxy.client();
    client.send(format!(
        "{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
    ));
    client
}

#[test]
fn requests_in_flight_are_answered_by_another_and_later_ones_at_once() {
    let (builder, _names, [first, second]) = before_two();
    let (vanishes, _gate) = Backend::held_at(first, "never");
    let stays = named(second);
    let proxy = with_token(builder);
    let mut waiting = Vec::new();
    wait_until("a request that waits at the first backend", || {
        waiting.push(ask(&proxy, "POST"));
        thread::sleep(Duration::from_millis(20));
        !vanishes.requests().is_empty()
    });
    vanishes.vanish();
    let start = Instant::now();
    for client in &mut waiting {
        let response = client.response("POST").unwrap();
        assert_eq!(
            (response.status, response.text()),
            (200, second.ip().to_string())
        );
    }
    assert_within(SOON, start);
    assert!(
        start.elapsed() > Duration::from_secs(2),
        "it may have been only slow"
    );
    for unanswered in vanishes.requests() {
        let id = unanswered.head.get("x-request-id");
        let again = stays.requests();
        let again = again.iter().filter(|it| it.head.get("x-request-id") == id);
        assert_eq!(again.count(), 1, "sent again once, under its id");
    }
    let start = Instant::now();
    for _ in 0..10 {
        assert_eq!(proxy.get("/").status, 200);
    }
    assert_within(Duration::from_secs(2), start);
    assert_eq!(proxy.metric("proxy_upstream_ejections_total", &[]), 1);
}

/// What is sent over a connection whose other end has vanished isn't even acknowledged.
#[test]
fn a_request_over_an_idle_connection_to_it_is_answered_by_another() {
    let (builder, _names, [first, second]) = before_two();
    let (vanishes, _stays) = (named(first), named(second));
    let proxy = with_token(builder);
    wait_until("an idle connection to both", || {
        assert_eq!(proxy.get("/").status, 200);
        vanishes.requests().len() >= 2
    });
    vanishes.vanish();
    let start = Instant::now();
    // They take turns: the first or the second of these was for the other.
    for _ in 0..2 {
        let response = proxy.client().exchange("POST", "/", "", "");
        assert_eq!(
            (response.status, response.text()),
            (200, second.ip().to_string())
        );
    }
    assert_within(SOON, start);
    assert_eq!(proxy.metric("proxy_upstream_ejections_total", &[]), 1);
}

#[test]
fn what_may_not_be_repeated_is_a_504() {
    let (backend, _gate) = Backend::held_at(free_address(), "never");
    let proxy = TestProxy::before(backend.address());
    for method in ["POST", "GET"] {
        let mut client = ask(&proxy, method);
        if method == "POST" {
            backend.wait_for_requests(1);
            backend.vanish();
        }
        let start = Instant::now();
        assert_error_page(&client.response(method).unwrap(), 504);
        assert_within(SOON, start);
    }
    assert_eq!(backend.requests().len(), 1);
}

/// Its kernel acknowledges, also for a process that does nothing.
#[test]
fn a_backend_that_is_only_slow_is_waited_for() {
    let backend = Backend::answering(|_| {
        thread::sleep(Duration::from_secs(5));
        ok("at last")
    });
    let proxy = TestProxy::with(&backend, &[("TCP_USER_TIMEOUT", "1s")]);
    let start = Instant::now();
    proxy.get("/").assert_is(200, "at last");
    assert!(start.elapsed() >= Duration::from_secs(5));
    backend.only_request();
}

/// Then its window is closed, and what was sent stays unacknowledged.
#[test]
fn a_backend_that_reads_a_body_late_is_waited_for() {
    let backend = Backend::start(|connection| {
        thread::sleep(Duration::from_secs(5));
        while let Ok(request) = connection.request() {
            connection.send(ok(&request.body.len().to_string()));
        }
    });
    let proxy = TestProxy::with(&backend, &[("TCP_USER_TIMEOUT", "1s")]);
    let mut client = proxy.client();
    let long = client.exchange("POST", "/", "", &"x".repeat(900_000));
    long.assert_is(200, "900000");
    // Over the same connection, whose limit holds again.
    client.exchange("POST", "/", "", "four").assert_is(200, "4");
    assert_eq!(backend.connections(), 1);
}

#[test]
fn a_response_whose_backend_vanishes_breaks_off() {
    let backend = Backend::start(|connection| {
        connection.request().unwrap();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        thread::park();
    });
    let proxy = TestProxy::before(backend.address());
    let mut client = ask(&proxy, "GET");
    client.head().unwrap();
    assert_eq!(client.take(4).unwrap(), b"half");
    backend.vanish();
    let start = Instant::now();
    let (rest, end) = client.drain(SOON);
    assert_ne!(end, End::StillOpen);
    assert_eq!(rest, b"");
    assert_within(SOON, start);
}

#[test]
fn a_tunnel_whose_backend_vanishes_ends() {
    let backend = Backend::start(|connection| {
        connection.request().unwrap();
        connection
            .send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
        thread::park();
    });
    let proxy = TestProxy::before(backend.address());
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    assert!(client.head().unwrap().start_line.contains("101"));
    backend.vanish();
    let start = Instant::now();
    let (_, end) = client.drain(SOON);
    assert_ne!(end, End::StillOpen);
    assert_within(SOON, start);
}

/// A stream of little to somebody who has vanished fits into what the kernel has room for, for long.
#[test]
fn a_client_that_vanishes_is_left() {
    for (head, proxied) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
            "",
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
            "Connection: upgrade\r\nUpgrade: x\r\n",
        ),
    ] {
        let backend = Backend::start(move |connection| {
            connection.request().unwrap();
            connection.send(head);
            while connection.try_send("data: x\n\n").is_ok() {
                thread::sleep(Duration::from_millis(50));
            }
        });
        let proxy = TestProxy::with(&backend, &[("READ_TIMEOUT", "2s")]);
        let mut client = proxy.client();
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{proxied}\r\n"));
        client.head().unwrap();
        // It is there, and is kept for longer than that.
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(3) {
            client.take(1).unwrap();
        }
        assert_eq!(backend.open_connections(), 1);
        cut_off(client.stream());
        wait_until("the backend is let go", || backend.open_connections() == 0);
    }
}
