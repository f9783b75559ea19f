//! `Upgrade` (RFC 9110 §7.8): WebSocket passes, everything else stays HTTP.

use crate::support::{Backend, BackendConnection, TestProxy, assert_within, ok, proxied};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket};

type Client = WebSocket<TcpStream>;

/// Greets, then echoes until the client closes; closes by itself when told `close`.
fn echo(connection: &mut BackendConnection) {
    let stream = connection.stream().try_clone().unwrap();
    let Ok(mut socket) = tungstenite::accept(stream) else {
        return;
    };
    socket.send(Message::text("welcome")).unwrap();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) if text == "close" => {
                let frame = CloseFrame {
                    code: CloseCode::Away,
                    reason: "told to".into(),
                };
                socket.close(Some(frame)).unwrap();
            }
            Ok(Message::Text(text)) if text == "drop" => return,
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                socket.send(message).unwrap();
            }
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

fn connect(proxy: &TestProxy) -> Client {
    let stream = TcpStream::connect(proxy.address).unwrap();
    let (mut socket, response) =
        tungstenite::client("ws://example.test/socket", stream).expect("a WebSocket");
    assert_eq!(response.status(), 101);
    assert!(response.headers().contains_key("x-request-id"));
    assert_eq!(socket.read().unwrap(), Message::text("welcome"));
    socket
}

#[test]
fn messages_pass_both_ways() {
    let (_backend, proxy) = proxied(Backend::start(echo));
    let mut sockets = [connect(&proxy), connect(&proxy), connect(&proxy)];
    for round in 0..50 {
        for socket in &mut sockets {
            let text = Message::text(format!("message {round}"));
            socket.send(text.clone()).unwrap();
            assert_eq!(socket.read().unwrap(), text);
        }
    }
    let large = Message::binary(vec![7; 4 << 20]);
    let [socket, ..] = &mut sockets;
    socket.send(large.clone()).unwrap();
    assert!(
        socket.read().unwrap() == large,
        "MAX_BODY is not for tunnels"
    );
}

#[test]
fn the_client_closes() {
    let (_backend, proxy) = proxied(Backend::start(echo));
    let mut socket = connect(&proxy);
    let frame = CloseFrame {
        code: CloseCode::Normal,
        reason: "done".into(),
    };
    socket.close(Some(frame.clone())).unwrap();
    assert_eq!(
        socket.read().unwrap(),
        Message::Close(Some(frame)),
        "the backend's own close"
    );
    assert!(matches!(socket.read(), Err(Error::ConnectionClosed)));
}

#[test]
fn the_backend_closes() {
    let (_backend, proxy) = proxied(Backend::start(echo));
    let mut socket = connect(&proxy);
    socket.send(Message::text("close")).unwrap();
    let Message::Close(Some(frame)) = socket.read().unwrap() else {
        panic!("no close frame")
    };
    assert_eq!(
        (frame.code, frame.reason.as_str()),
        (CloseCode::Away, "told to")
    );
    assert!(matches!(socket.read(), Err(Error::ConnectionClosed)));
}

#[test]
fn the_backend_drops_the_connection() {
    let (_backend, proxy) = proxied(Backend::start(echo));
    let mut socket = connect(&proxy);
    socket.send(Message::text("drop")).unwrap();
    assert!(socket.read().is_err(), "the client is told");
}

#[test]
fn the_client_drops_the_connection() {
    let (ended, end) = std::sync::mpsc::channel();
    let ended = std::sync::Mutex::new(ended);
    let (_backend, proxy) = proxied(Backend::start(move |connection| {
        echo(connection);
        ended.lock().unwrap().send(()).unwrap();
    }));
    drop(connect(&proxy));
    end.recv_timeout(Duration::from_secs(10))
        .expect("the backend is told");
}

/// One direction may end before the other: what is under way still arrives.
#[test]
fn a_half_closed_tunnel_still_delivers() {
    let (_backend, proxy) = proxied(Backend::start(|connection| {
        connection.head().unwrap();
        connection.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: blob\r\n\r\n",
        );
        let (all, _) = connection.drain(Duration::from_secs(10));
        connection.send(format!("{} bytes", all.len()));
    }));
    let mut client = proxy.client();
    // What follows the head at once already belongs to the new protocol.
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: blob\r\n\r\n12345");
    let response = client.response("GET").unwrap();
    assert_eq!(response.status, 101);
    assert_eq!(response.head.get("upgrade"), Some("blob"));
    client.send(vec![b'x'; 100_000]);
    client.finish();
    let (answer, _) = client.drain(Duration::from_secs(10));
    assert_eq!(String::from_utf8_lossy(&answer), "100005 bytes");
}

/// Silence in both directions has the same limit as anywhere else.
#[test]
fn a_silent_tunnel_is_closed() {
    let backend = Backend::start(echo);
    let proxy = TestProxy::with(&backend, &[("READ_TIMEOUT", "1s")]);
    let mut socket = connect(&proxy);
    for _ in 0..6 {
        std::thread::sleep(Duration::from_millis(250));
        socket.send(Message::text("awake")).unwrap();
        assert_eq!(socket.read().unwrap(), Message::text("awake"));
    }
    let silent = Instant::now();
    assert!(socket.read().is_err());
    assert_within(Duration::from_secs(5), silent);
}

#[test]
fn an_upgrade_that_the_backend_declines_is_an_ordinary_exchange() {
    let (backend, proxy) = proxied(Backend::answering(|_| ok("plain")));
    let mut client = proxy.client();
    for _ in 0..2 {
        let lines = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
        assert_eq!(client.get_with("/", lines).text(), "plain");
    }
    let request = backend.requests().remove(0);
    assert_eq!(request.head.get("upgrade"), Some("websocket"));
    assert_eq!(backend.connections(), 1);
}

/// HTTP/2 in clear would carry requests past every check that the proxy makes; and `Upgrade`
/// without `Connection: upgrade` is for somebody else.
#[test]
fn what_is_not_to_be_upgraded_is_not() {
    let (backend, proxy) = proxied(Backend::answering(|_| ok("plain")));
    for lines in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
        "Connection: Upgrade\r\nUpgrade: H2C\r\n",
        "Upgrade: websocket\r\n",
    ] {
        let response = proxy.client().get_with("/", lines);
        assert_eq!(response.text(), "plain", "{lines}");
        let request = backend.requests().pop().unwrap();
        assert!(!request.head.has("upgrade"), "{lines} {:#?}", request.head);
        assert!(!request.head.has("http2-settings"), "{lines}");
    }
}

#[test]
fn h2c_is_not_offered_beside_another_protocol() {
    let (backend, proxy) = proxied(Backend::answering(|_| ok("plain")));
    for protocols in ["websocket, h2c", "h2c,websocket"] {
        let lines = format!("Connection: Upgrade\r\nUpgrade: {protocols}\r\n");
        assert_eq!(proxy.client().get_with("/", &lines).text(), "plain");
        let request = backend.requests().pop().unwrap();
        let offered = request.head.all("upgrade").join(",");
        assert!(!offered.contains("h2c"), "{offered}");
    }
}

/// Where a body ends and the new protocol begins could be read in two ways.
#[test]
fn a_request_with_a_body_is_not_upgraded() {
    let (backend, proxy) = proxied(Backend::answering(|_| ok("plain")));
    let lines = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let response = proxy.client().exchange("POST", "/", lines, "body");
    assert_eq!(response.text(), "plain");
    assert!(!backend.only_request().head.has("upgrade"));
}

/// Only HTTP/1.1 has `Upgrade` (RFC 9110 §7.8).
#[test]
fn http_1_0_is_not_upgraded() {
    let (backend, proxy) = proxied(Backend::answering(|_| ok("plain")));
    let mut client = proxy.client();
    client.send(
        "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive, upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    assert_eq!(client.response("GET").unwrap().text(), "plain");
    assert!(!backend.only_request().head.has("upgrade"));
}

/// A client that takes the switch for granted could otherwise send requests past the proxy's
/// checks: nothing that it sends before the 101 reaches the backend unchecked.
#[test]
fn what_follows_an_upgrade_waits_for_the_switch() {
    let (backend, proxy) = proxied(Backend::answering(|_| ok("plain")));
    let mut client = proxy.client();
    client.send(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\
         GET /unchecked HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\n",
    );
    assert_eq!(client.response("GET").unwrap().text(), "plain");
    assert_eq!(client.response("GET").unwrap().status, 400);
    client.drain(Duration::from_secs(10));
    assert_eq!(backend.targets(), ["/"]);
    let received = backend.received().concat();
    assert!(!String::from_utf8_lossy(&received).contains("unchecked"));
}
