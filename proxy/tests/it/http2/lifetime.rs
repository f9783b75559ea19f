//! When a session ends, and that no request is lost with it.

use super::speaking;
use crate::support::http2::{
    DATA, Frame, GOAWAY, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM, Session, StreamEnd, request,
};
use crate::support::{Backend, Signal, assert_within, free_address, ok, wait_until};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Two steps (RFC 9113 §6.8): no more requests are wanted, then which was the last.
#[test]
fn a_drain_loses_no_request() {
    let (backend, answer) = Backend::held_at(free_address(), "finished");
    let mut proxy = speaking(&backend, &[("DRAIN_TIMEOUT", "30s")]);
    let mut idle = Session::open(proxy.address);
    idle.assert_open();
    let mut session = Session::open(proxy.address);
    session.ask(1, "/");
    backend.wait_for_requests(1);
    proxy.signal(Signal::TERM);
    wait_until("the listener to be closed", || {
        TcpStream::connect(proxy.address).is_err()
    });
    // On its way when the proxy said so.
    session.ask(3, "/");
    answer.send(()).unwrap();
    answer.send(()).unwrap();
    session.answer(1).assert_is(200, "finished");
    session.answer(3).assert_is(200, "finished");
    assert_eq!(session.ended(), Some(NO_ERROR));
    assert_eq!(idle.ended(), Some(NO_ERROR));
    let answered = Instant::now();
    assert_eq!(proxy.ended().code(), Some(0));
    assert_within(Duration::from_secs(5), answered);
}

/// One that doesn't answer the PING between the two steps is not waited for.
#[test]
fn an_idle_session_is_closed_after_the_last_call() {
    let backend = Backend::answering(|_| ok("served"));
    let mut proxy = speaking(&backend, &[("DRAIN_TIMEOUT", "30s")]);
    let mut session = Session::open(proxy.address);
    session.get(1, "/").assert_is(200, "served");
    let signalled = Instant::now();
    proxy.signal(Signal::TERM);
    // Nothing is read meanwhile, and so nothing answered.
    assert_eq!(proxy.ended().code(), Some(0));
    assert_within(Duration::from_secs(5), signalled);
    let goaway = session.wait_for(GOAWAY, 0);
    assert_eq!(goaway.code(), NO_ERROR);
}

#[test]
fn an_idle_session_is_closed_in_time() {
    let backend = Backend::answering(|_| ok("served"));
    let proxy = speaking(&backend, &[("IDLE_TIMEOUT", "500ms")]);
    let mut session = Session::open(proxy.address);
    session.get(1, "/").assert_is(200, "served");
    let since = Instant::now();
    // What is no request doesn't keep it.
    while session.goaway.is_none() && since.elapsed() < Duration::from_secs(5) {
        let _already_closed = session.try_send(&Frame::ping([0; 8]).to_bytes());
        while session.next_within(Duration::from_millis(50)).is_ok() {}
    }
    assert_eq!(session.ended(), Some(NO_ERROR));
    let took = since.elapsed();
    assert!(
        took >= Duration::from_millis(400) && took < Duration::from_secs(4),
        "{took:?}"
    );
}

#[test]
fn limits_hold_for_each_stream() {
    let backend = Backend::answering(|request| {
        if request.target == "/never" {
            std::thread::sleep(Duration::from_secs(5));
        }
        ok("served")
    });
    let proxy = speaking(&backend, &[("READ_TIMEOUT", "500ms")]);
    let mut session = Session::open(proxy.address);
    session.ask(1, "/never");
    session.send(&Frame::headers(3, 0, &request("POST", "/")));
    session.send(&Frame::new(DATA, 0, 3, "half"));
    session.get(5, "/").assert_is(200, "served");
    assert_eq!(session.answer(1).status(), 504);
    assert_eq!(session.answer(3).status(), 408);
    session.get(7, "/").assert_is(200, "served");
}

/// A body that breaks off never looks whole.
#[test]
fn a_response_that_breaks_off_is_reset() {
    for head in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let backend = Backend::start(move |connection| {
            let _ = connection.request();
            connection.send(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n5\r\nhello"));
        });
        let proxy = speaking(&backend, &[]);
        let mut session = Session::open(proxy.address);
        // The head may be left out.
        assert_eq!(session.get(1, "/").end, StreamEnd::Reset(INTERNAL_ERROR));
        session.assert_open();
    }
}

/// A client that wants no answer any more is one that is gone.
#[test]
fn a_reset_ends_the_request_upstream() {
    let backend = Backend::start(|connection| {
        let _ = connection.request();
        connection.drain(Duration::from_secs(10));
    });
    let proxy = speaking(&backend, &[]);
    let mut session = Session::open(proxy.address);
    session.ask(1, "/");
    backend.wait_for_requests(1);
    session.send(&Frame::reset(1, 8));
    wait_until("the backend to be left", || backend.open_connections() == 0);
    wait_until("the stream to end", || {
        proxy.metric("proxy_http2_streams_open", &[]) == 0
    });
    assert_eq!(proxy.metric("proxy_requests_total", &["code=\"499\""]), 1);
    assert_eq!(proxy.metric("proxy_http2_resets_total", &["client"]), 1);
    session.assert_open();
}

/// The end of the connection is the end of all its streams.
#[test]
fn a_connection_that_breaks_takes_its_streams_along() {
    let backend = Backend::start(|connection| {
        let _ = connection.request();
        connection.drain(Duration::from_secs(10));
    });
    let proxy = speaking(&backend, &[]);
    let mut session = Session::open(proxy.address);
    for stream in 0..10 {
        session.ask(1 + 2 * stream, "/");
    }
    backend.wait_for_requests(10);
    drop(session);
    wait_until("all to be left", || {
        backend.open_connections() == 0
            && proxy.metric("proxy_http2_streams_open", &[]) == 0
            && proxy.metric("proxy_client_connections_open", &[]) == 0
    });
}

/// A stream has a place as a connection has: where there is none, the client may ask again.
#[test]
fn streams_beyond_the_budget_are_refused() {
    let backend = Backend::start(|connection| while connection.request().is_ok() {});
    let proxy = speaking(&backend, &[("MAX_CONNECTIONS", "20")]);
    let mut session = Session::open(proxy.address);
    for stream in 0..40 {
        session.ask(1 + 2 * stream, "/");
    }
    assert_eq!(session.answer(79).end, StreamEnd::Reset(REFUSED_STREAM));
    session.assert_open();
}

/// A session that only is there makes room for others.
#[test]
fn idle_sessions_give_way() {
    let backend = Backend::answering(|_| ok("served"));
    let proxy = speaking(&backend, &[("MAX_CONNECTIONS", "10")]);
    let mut sessions: Vec<_> = (0..9).map(|_| Session::open(proxy.address)).collect();
    for session in &mut sessions {
        session.assert_open();
    }
    let mut others: Vec<_> = (0..5).map(|_| Session::open(proxy.address)).collect();
    for session in &mut others {
        session.assert_open();
    }
    assert_eq!(sessions[0].ended(), Some(NO_ERROR));
    proxy.get("/").assert_is(200, "served");
}
