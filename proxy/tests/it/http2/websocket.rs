//! `WebSocket` over streams (RFC 8441).

use super::speaking;
use crate::support::http2::{
    Answer, CANCEL, DATA, END_STREAM, Frame, NO_ERROR, RST_STREAM, Session, StreamEnd, request,
    with,
};
use crate::support::{Backend, BackendConnection, TestProxy, ok};
use tungstenite::handshake::derive_accept_key;

/// Agrees to a WebSocket, with this key's answer, and sends back what it gets.
fn agree(connection: &mut BackendConnection, accept: impl Fn(&str) -> String) {
    let head = connection.head().unwrap();
    assert!(
        head.start_line.starts_with("GET /chat HTTP/1.1"),
        "{head:?}"
    );
    assert_eq!(head.get("upgrade"), Some("websocket"));
    assert_eq!(head.get("sec-websocket-version"), Some("13"));
    let accept = accept(head.get("sec-websocket-key").unwrap());
    connection.send(format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
    ));
    while let Ok(bytes) = connection.take(4) {
        if connection.try_send(bytes).is_err() {
            return;
        }
    }
}

fn chat() -> Vec<(&'static str, &'static str)> {
    let mut fields = request("CONNECT", "/chat");
    fields.insert(1, (":protocol", "websocket"));
    with(
        fields,
        &[
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "chat"),
        ],
    )
}

fn opened(proxy: &TestProxy) -> (Session, Frame) {
    let mut session = Session::open(proxy.address);
    session.send(&Frame::headers(1, 0, &chat()));
    let head = session.next_of(1).unwrap();
    (session, head)
}

#[test]
fn a_websocket_is_a_stream() {
    let backend =
        Backend::start(|connection| agree(connection, |key| derive_accept_key(key.as_bytes())));
    let proxy = speaking(&backend, &[]);
    let (mut session, head) = opened(&proxy);
    let fields = head.fields();
    let field = |name: &str| {
        fields
            .iter()
            .find(|field| field.0 == name)
            .map(|field| &*field.1)
    };
    assert_eq!(field(":status"), Some("200"), "{fields:?}");
    assert_eq!(field("sec-websocket-protocol"), Some("chat"));
    assert_eq!(
        (field("sec-websocket-accept"), field("upgrade")),
        (None, None)
    );
    for said in ["ping", "pong"] {
        session.send(&Frame::new(DATA, 0, 1, said));
        assert_eq!(session.next_of(1).unwrap().payload, said.as_bytes());
    }
    session.send(&Frame::new(DATA, END_STREAM, 1, "last"));
    let rest = session.answer(1);
    assert_eq!(
        (rest.text(), rest.end),
        ("last".to_owned(), StreamEnd::Whole)
    );
    session.assert_open();
}

/// The proxy says that it is allowed (§3).
#[test]
fn it_is_offered() {
    let backend = Backend::answering(|_| ok(""));
    let proxy = speaking(&backend, &[]);
    let mut session = Session::open(proxy.address);
    session.get(1, "/");
    let settings = session.settings.unwrap().payload;
    assert!(
        settings
            .chunks(6)
            .any(|setting| setting == [0, 8, 0, 0, 0, 1]),
        "{settings:?}"
    );
}

#[test]
fn an_answer_to_another_key_is_none() {
    let backend = Backend::start(|connection| agree(connection, |_| derive_accept_key(b"another")));
    let proxy = speaking(&backend, &[]);
    let mut session = Session::open(proxy.address);
    session.send(&Frame::headers(1, 0, &chat()));
    assert_eq!(session.answer(1).status(), 502);
    session.assert_open();
}

#[test]
fn who_refuses_is_passed_on() {
    for (answer, status) in [
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", 403),
        // A success of HTTP/1.1 would be a tunnel here.
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", 502),
    ] {
        let backend = Backend::answering(move |_| answer.into());
        let proxy = speaking(&backend, &[]);
        let mut session = Session::open(proxy.address);
        session.send(&Frame::headers(1, 0, &chat()));
        let answer: Answer = session.answer(1);
        assert_eq!((answer.status(), answer.end), (status, StreamEnd::Whole));
        session.assert_open();
    }
}

#[test]
fn other_protocols_are_not_spoken() {
    let backend = Backend::answering(|_| ok(""));
    let proxy = speaking(&backend, &[]);
    let mut session = Session::open(proxy.address);
    let mut fields = chat();
    fields[1].1 = "connect-udp";
    session.send(&Frame::headers(1, 0, &fields));
    assert_eq!(session.answer(1).status(), 501);
    assert!(backend.requests().is_empty());
}

/// RFC 8441 §5: a reset of TCP is CANCEL, both ways.
#[test]
fn a_tunnel_that_breaks_is_cancelled() {
    let backend = Backend::start(|connection| {
        let head = connection.head().unwrap();
        let accept = derive_accept_key(head.get("sec-websocket-key").unwrap().as_bytes());
        connection.send(format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        ));
        let _ = connection.take(4);
        connection.reset_at_end();
    });
    let proxy = speaking(&backend, &[]);
    let (mut session, _) = opened(&proxy);
    session.send(&Frame::new(DATA, 0, 1, "stop"));
    let reset = session.wait_for(RST_STREAM, 0);
    assert_eq!((reset.stream, reset.code()), (1, CANCEL));
    // And the client's.
    let (mut session, _) = opened(&proxy);
    session.send(&Frame::reset(1, NO_ERROR));
    crate::support::wait_until("the backend to be left", || backend.open_connections() == 0);
    session.assert_open();
}
