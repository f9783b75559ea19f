//! SIGTERM: what is in flight is answered, nothing new is begun, and the end comes soon.

use crate::support::{
    Backend, RawClient, Signal, TestProxy, assert_within, free_address, ok, serving, wait_until,
};
use std::net::TcpStream;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// A backend that answers when it is told to.
fn on_command() -> (Backend, Sender<()>) {
    Backend::held_at(free_address(), "finished")
}

/// A request that the backend has and has not answered.
fn in_flight(proxy: &TestProxy, backend: &Backend) -> RawClient {
    let before = backend.requests().len();
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    backend.wait_for_requests(before + 1);
    client
}

fn wait_for_closed_listener(proxy: &TestProxy) {
    wait_until("the listener to be closed", || {
        TcpStream::connect(proxy.address).is_err()
    });
}

#[test]
fn what_is_in_flight_is_finished() {
    for signal in [Signal::TERM, Signal::INT] {
        let (backend, answer) = on_command();
        let mut proxy = TestProxy::with(&backend, &[("DRAIN_TIMEOUT", "30s")]);
        let mut idle = proxy.client();
        let mut client = in_flight(&proxy, &backend);

        proxy.signal(signal);
        wait_for_closed_listener(&proxy);
        assert!(proxy.is_running(), "a request is in flight");
        assert_eq!(proxy.admin_get("/readyz").status, 503);
        assert_eq!(proxy.admin_get("/healthz").status, 200);
        idle.assert_closed();

        answer.send(()).unwrap();
        let response = client.response("GET").unwrap();
        response.assert_is(200, "finished");
        assert_eq!(response.head.get("connection"), Some("close"));
        client.assert_closed();
        let answered = Instant::now();
        assert_eq!(proxy.ended().code(), Some(0));
        assert_within(Duration::from_secs(5), answered);
    }
}

#[test]
fn an_upload_in_flight_is_finished() {
    let backend = Backend::answering(|request| ok(&String::from_utf8_lossy(&request.body)));
    let mut proxy = TestProxy::with(&backend, &[("DRAIN_TIMEOUT", "30s")]);
    let mut client = proxy.client();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(format!("{head}8\r\nbefo"));
    wait_until("the upload to begin", || backend.connections() == 1);
    proxy.signal(Signal::TERM);
    wait_for_closed_listener(&proxy);
    client.send("re++\r\n0\r\n\r\n");
    assert_eq!(client.response("POST").unwrap().text(), "before++");
    assert_eq!(proxy.ended().code(), Some(0));
}

/// What was pipelined behind the request in flight was never begun: the client is told by the
/// close, and may send it again elsewhere.
#[test]
fn nothing_new_is_begun() {
    let (backend, answer) = on_command();
    let mut proxy = TestProxy::with(&backend, &[("DRAIN_TIMEOUT", "30s")]);
    let mut client = in_flight(&proxy, &backend);
    proxy.signal(Signal::TERM);
    wait_for_closed_listener(&proxy);
    client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    answer.send(()).unwrap();
    answer.send(()).unwrap();
    assert_eq!(
        client.response("GET").unwrap().head.get("connection"),
        Some("close")
    );
    client.assert_closed();
    assert_eq!(proxy.ended().code(), Some(0));
    assert_eq!(backend.targets(), ["/"]);
}

#[test]
fn all_that_the_kernel_has_let_in_are_served() {
    let (_backend, mut proxy) = serving(&[("WORKERS", "1")]);
    proxy.signal(Signal::STOP);
    // More than a task of the runtime may take in at one time.
    let mut clients: Vec<RawClient> = (0..400).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    proxy.signal(Signal::TERM);
    proxy.signal(Signal::CONT);
    for client in &mut clients {
        assert_eq!(client.response("GET").unwrap().status, 200);
    }
    assert_eq!(proxy.ended().code(), Some(0));
}

#[test]
fn with_nothing_in_flight_the_end_comes_at_once() {
    let (_backend, mut proxy) = serving(&[("DRAIN_TIMEOUT", "30s")]);
    let mut idle: Vec<_> = (0..10).map(|_| proxy.client()).collect();
    for client in &mut idle[..5] {
        assert_eq!(client.get("/").status, 200);
    }
    let signalled = Instant::now();
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.ended().code(), Some(0));
    assert_within(Duration::from_secs(5), signalled);
    for client in &mut idle {
        client.assert_closed();
    }
}

#[test]
fn the_drain_timeout_is_the_end() {
    let (backend, _answer) = on_command();
    let mut proxy = TestProxy::with(&backend, &[("DRAIN_TIMEOUT", "500ms")]);
    let mut clients = [in_flight(&proxy, &backend), proxy.client()];
    clients[1].send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
    let signalled = Instant::now();
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.ended().code(), Some(0));
    let took = signalled.elapsed();
    assert!(took >= Duration::from_millis(490), "{took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_tunnel_does_not_outlive_the_drain_timeout() {
    let backend = Backend::start(|connection| {
        connection.head().ok();
        connection
            .send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
        connection.drain(Duration::from_secs(30));
    });
    let mut proxy = TestProxy::with(&backend, &[("DRAIN_TIMEOUT", "500ms")]);
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
    assert_eq!(client.response("GET").unwrap().status, 101);
    let signalled = Instant::now();
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.ended().code(), Some(0));
    assert_within(Duration::from_secs(5), signalled);
}

#[test]
fn a_second_signal_is_the_end_at_once() {
    let (backend, _answer) = on_command();
    let mut proxy = TestProxy::with(&backend, &[("DRAIN_TIMEOUT", "60s")]);
    let _client = in_flight(&proxy, &backend);
    proxy.signal(Signal::TERM);
    wait_for_closed_listener(&proxy);
    assert!(proxy.is_running());
    let again = Instant::now();
    proxy.signal(Signal::TERM);
    proxy.ended();
    assert_within(Duration::from_secs(5), again);
}

/// Without an upstream there is nothing to drain either.
#[test]
fn it_stops_before_it_ever_served() {
    let mut proxy = TestProxy::builder("no-such-host.invalid:9090").start_alive();
    let signalled = Instant::now();
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.ended().code(), Some(0));
    assert_within(Duration::from_secs(5), signalled);
}
