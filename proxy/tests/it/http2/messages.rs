//! Requests and responses, whichever way they go.

use super::speaking;
use crate::support::http2::{
    DATA, END_STREAM, Frame, HEADERS, NO_ERROR, Session, StreamEnd, get, request, with,
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

#[test]
fn trailers_pass_both_ways() {
    let backend = Backend::answering(|_| {
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n\
         5\r\nhello\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n"
            .into()
    });
    let proxy = speaking(&backend, &[]);
    let mut session = Session::open(proxy.address);
    session.send(&Frame::headers(1, 0, &request("POST", "/")));
    session.send(&Frame::new(DATA, 0, 1, "up"));
    let trailers = [("x-theirs", "2"), ("content-length", "7"), ("host", "b")];
    session.send(&Frame::headers(1, END_STREAM, &trailers));
    let answer = session.answer(1);
    answer.assert_is(200, "hello");
    assert_eq!(
        answer.trailers.unwrap(),
        [("x-sum".to_owned(), "1".to_owned())]
    );
    let request = backend.only_request();
    assert_eq!(request.body, b"up");
    assert_eq!(request.trailers, [("x-theirs".to_owned(), "2".to_owned())]);
}

#[test]
fn interim_responses_pass() {
    let backend = Backend::answering(|_| {
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".into()
    });
    let proxy = speaking(&backend, &[]);
    let mut session = Session::open(proxy.address);
    let answer = session.get(1, "/");
    answer.assert_is(200, "ok");
    let statuses: Vec<_> = answer.heads.iter().map(|head| head[0].1.clone()).collect();
    assert_eq!(statuses, ["103", "200"]);
    assert!(answer.heads[0].contains(&("link".to_owned(), "</a>".to_owned())));
}

#[test]
fn who_waits_for_100_gets_it() {
    let backend = Backend::start(|connection| {
        let head = connection.head().unwrap();
        assert_eq!(head.get("expect"), Some("100-continue"));
        connection.send("HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(connection.take(4).unwrap(), b"body");
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let proxy = speaking(&backend, &[]);
    let mut session = Session::open(proxy.address);
    let fields = with(
        request("POST", "/"),
        &[("expect", "100-continue"), ("content-length", "4")],
    );
    session.send(&Frame::headers(1, 0, &fields));
    let head = session.next_of(1).unwrap();
    assert_eq!(head.fields()[0].1, "100");
    session.send(&Frame::new(DATA, END_STREAM, 1, "body"));
    session.answer(1).assert_is(200, "ok");
}

#[test]
fn responses_without_a_body_end_with_their_head() {
    let backend = Backend::answering(|request| match &*request.target {
        "/204" => "HTTP/1.1 204 No Content\r\n\r\n".into(),
        "/304" => "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nETag: \"a\"\r\n\r\n".into(),
        "/0" => ok(""),
        _ if request.method == "HEAD" => "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n".into(),
        _ => ok("served"),
    });
    let proxy = speaking(&backend, &[]);
    let mut session = Session::open(proxy.address);
    for (stream, method, path, status, length) in [
        (1, "GET", "/204", 204, None),
        (3, "GET", "/304", 304, Some("7")),
        (5, "GET", "/0", 200, Some("0")),
        (7, "HEAD", "/", 200, Some("7")),
    ] {
        session.send(&Frame::headers(stream, END_STREAM, &request(method, path)));
        let head = session.next_of(stream).unwrap();
        assert!(head.is(HEADERS, END_STREAM), "{method} {path}: {head:?}");
        let fields = head.fields();
        let field = |name: &str| {
            fields
                .iter()
                .find(|field| field.0 == name)
                .map(|field| &*field.1)
        };
        assert_eq!(field(":status"), Some(&*status.to_string()));
        assert_eq!(field("content-length"), length, "{method} {path}");
    }
}

/// Whatever frames the body of HTTP/1.1.
#[test]
fn large_bodies_pass_both_ways() {
    let backend = Backend::answering(|request| match &*request.target {
        "/chunked" => {
            let chunks = request.body.chunks(10_000).map(|chunk| {
                [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat()
            });
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            [
                head.as_bytes(),
                &chunks.collect::<Vec<_>>().concat(),
                b"0\r\n\r\n",
            ]
            .concat()
        }
        "/until-close" => [
            b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
            &*request.body,
        ]
        .concat(),
        _ => ok(&String::from_utf8_lossy(&request.body)),
    });
    let proxy = speaking(&backend, &[("MAX_BODY", "10MiB")]);
    let mut session = Session::open(proxy.address);
    let body: String = (0..150_000).map(|number| format!("{number:07}")).collect();
    for (stream, path, length) in [(1, "/", true), (3, "/", false), (5, "/chunked", false)] {
        let size = body.len().to_string();
        let mut fields = request("POST", path);
        if length {
            fields.push(("content-length", &size));
        }
        session.send(&Frame::headers(stream, 0, &fields));
        session.send_body(stream, body.as_bytes());
        let answer = session.answer(stream);
        assert_eq!((answer.status(), answer.end), (200, StreamEnd::Whole));
        assert!(answer.text() == body, "{path}: {} bytes", answer.body.len());
    }
}

/// What a body is for, its reader says: no window is opened for what nobody reads.
#[test]
fn a_body_that_is_not_read_stops() {
    let backend = Backend::start(|connection| {
        let _ = connection.head();
        std::thread::sleep(Duration::from_secs(2));
        connection.drain(Duration::from_secs(5));
    });
    let proxy = speaking(&backend, &[("MAX_BODY", "100MiB")]);
    let mut session = Session::open(proxy.address);
    session.send(&Frame::headers(1, 0, &request("POST", "/")));
    let sent = session.send_body_for(1, &vec![b'x'; 64 << 20], Duration::from_secs(1));
    let sent = sent.unwrap();
    // The windows, and the buffers of two TCP connections.
    assert!(sent < 16 << 20, "{sent}");
}
