//! Requests and responses, whichever way they go.

use super::speaking;
use crate::support::http2::{
    DATA, END_STREAM, Frame, NO_ERROR, Session, StreamEnd, get, request, with,
};
use crate::support::{Backend, Framing, TestProxy, ok, proxied, wait_until};
use std::time::Duration;

fn echo() -> (Backend, TestProxy) {
    let backend = Backend::answering(|request| ok(&String::from_utf8_lossy(&request.body)));
    let proxy = speaking(&backend, &[]);
    (backend, proxy)
}

#[test]
fn a_request_is_one_of_http_1_upstream() {
    let (backend, proxy) = echo();
    let mut session = Session::open(proxy.address);
    let fields = with(
        get("/a?b=c"),
        &[
            ("cookie", "a=1"),
            ("x-y", "z"),
            ("cookie", "b=2"),
            ("te", "trailers"),
        ],
    );
    session.send(&Frame::headers(1, END_STREAM, &fields));
    let answer = session.answer(1);
    answer.assert_is(200, "");
    assert_eq!(answer.field("via"), Some("1.1 causeway"));
    assert_eq!(answer.field("connection"), None);
    let request = backend.only_request();
    assert_eq!((&*request.method, &*request.target), ("GET", "/a?b=c"));
    for (name, value) in [
        ("host", "a.example"),
        ("cookie", "a=1; b=2"),
        ("x-y", "z"),
        ("te", "trailers"),
        ("connection", "TE"),
        ("via", "2.0 causeway"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "a.example"),
        ("x-forwarded-for", "127.0.0.1"),
    ] {
        assert_eq!(request.head.all(name), [value], "{name}");
    }
    let id = answer.field("x-request-id").unwrap();
    assert_eq!(request.head.get("x-request-id"), Some(id));
    let entry = proxy.access_entry(id);
    assert_eq!(
        (&entry["protocol"], &entry["path"]),
        (&"HTTP/2.0".into(), &"/a?b=c".into())
    );
}

#[test]
fn bodies_pass_with_and_without_a_length() {
    let (backend, proxy) = echo();
    let mut session = Session::open(proxy.address);
    session.post(1, "/", b"without").assert_is(200, "without");
    let fields = with(request("POST", "/"), &[("content-length", "4")]);
    session.send(&Frame::headers(3, 0, &fields));
    session.send(&Frame::new(DATA, 0, 3, "wi"));
    session.send(&Frame::new(DATA, END_STREAM, 3, "th"));
    session.answer(3).assert_is(200, "with");
    let framings: Vec<_> = backend
        .requests()
        .iter()
        .map(|request| request.framing)
        .collect();
    assert_eq!(framings, [Framing::Chunked, Framing::Length]);
}

#[test]
fn streams_do_not_wait_for_each_other() {
    let backend = Backend::answering(|request| {
        if request.target == "/slow" {
            std::thread::sleep(Duration::from_millis(300));
        }
        ok(&request.target)
    });
    let proxy = speaking(&backend, &[]);
    let mut session = Session::open(proxy.address);
    session.ask(1, "/slow");
    for stream in (3..203).step_by(2) {
        session.ask(stream, "/quick");
    }
    for stream in (3..203).step_by(2) {
        session.answer(stream).assert_is(200, "/quick");
    }
    session.answer(1).assert_is(200, "/slow");
    assert_eq!(proxy.metric("proxy_http2_streams_total", &[]), 101);
    wait_until("all streams to end", || {
        proxy.metric("proxy_http2_streams_open", &[]) == 0
    });
    assert_eq!(proxy.metric("proxy_client_connections_open", &[]), 1);
}

#[test]
fn http_1_is_spoken_on_the_same_port() {
    let (_backend, proxy) = echo();
    proxy.get("/").assert_is(200, "");
    let mut client = proxy.client();
    client
        .exchange("POST", "/", "", "PRI")
        .assert_is(200, "PRI");
    // Its first bytes might be those of HTTP/2.
    let mut client = proxy.client();
    client.send("PR");
    client.send("OPFIND / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response("PROPFIND").unwrap().status, 200);
}

#[test]
fn a_preface_is_refused_where_it_is_not_configured() {
    let (_backend, proxy) = proxied(Backend::answering(|_| ok("")));
    let mut client = proxy.client();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!(client.response("PRI").unwrap().status, 505);
}

#[test]
fn a_body_beyond_the_limit_is_answered_while_it_comes() {
    let backend = Backend::answering(|_| ok(""));
    let proxy = speaking(
        &backend,
        &[("MAX_BODY", "100"), ("LINGER_TIMEOUT", "500ms")],
    );
    let mut session = Session::open(proxy.address);
    session.send(&Frame::headers(1, 0, &request("POST", "/")));
    session.send(&Frame::new(DATA, 0, 1, [b'x'; 200]));
    let answer = session.answer(1);
    assert_eq!((answer.status(), answer.end), (413, StreamEnd::Whole));
    // It is heard out for a while, and told that no more is wanted.
    session.send(&Frame::new(DATA, 0, 1, [b'x'; 200]));
    assert_eq!(session.answer(1).end, StreamEnd::Reset(NO_ERROR));
    session.get(3, "/").assert_is(200, "");
}
