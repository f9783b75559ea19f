//! What was recorded through the proxy is sent again byte for byte, but for what docs/replay.md names.

use std::collections::HashMap;
use std::env;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use serde_json::{Value, json};
use testkit::http::{Request, Wire};

use crate::stack::Stack;

/// How many requests there are, unless `REPLAY_REQUESTS` says otherwise.
const REQUESTS: usize = 300;

/// A request, as it is sent.
struct Shape {
    method: &'static str,
    target: String,
    fields: Vec<(&'static str, &'static [u8])>,
    body: Option<Vec<u8>>,
    is_chunked: bool,
}

/// A request, as it is to arrive: the lines of the fields by their names, in order.
type Message = (String, String, Vec<(String, String)>, Vec<u8>);

pub(crate) fn what_was_recorded_is_sent_again_byte_for_byte(stack: &Stack) {
    let number = env::var("REPLAY_REQUESTS").map_or(REQUESTS, |it| it.parse().unwrap());
    let (address, arrived) = server();
    let (mut expected, mut cookies) = (HashMap::new(), 0);
    let mut wire = Wire::new(TcpStream::connect(("127.0.0.1", stack.port())).unwrap());
    for index in 0..number {
        let shape = shape(index);
        wire.send(shape.to_bytes(index));
        let answer = wire.response(shape.method).unwrap();
        assert_eq!(answer.status, 200, "{:?}", shape.target);
        cookies += usize::from(shape.fields.iter().any(|(name, _)| *name == "Cookie"));
        expected.insert(index.to_string(), shape.to_message(index, address));
    }

    let to = format!("http://{address}");
    let command = [
        "replay",
        "--to",
        &to,
        "--where",
        "header=X-Replay",
        "--json",
    ];
    let dry = stack.deploy(&[&command[..], &["--dry-run"]].concat());
    assert_eq!(dry.lines().count(), number + 1);
    assert!(arrived.try_recv().is_err(), "a dry run sends nothing");
    let told = stack.deploy(&command);
    let replayed: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    assert_eq!(replayed["statuses"], json!({ "200": number }), "{told}");
    assert_eq!(replayed["left_out"]["Cookie"], cookies);
    for _ in 0..number {
        let request = arrived.recv().unwrap();
        let index = request.head.get("x-replay").unwrap().to_owned();
        let mut fields = request.head.fields;
        for (name, _) in &mut fields {
            name.make_ascii_lowercase();
        }
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        let message = (request.method, request.target, fields, request.body);
        let expected = expected.remove(&index).unwrap();
        assert!(message == expected, "{message:?}\n{expected:?}");
    }
}

/// Where requests arrive, and those that did.
fn server() -> (SocketAddr, mpsc::Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, arrived) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut wire = Wire::new(stream.unwrap());
            while let Ok(request) = wire.request() {
                if tell.send(request).is_err() {
                    return;
                }
                wire.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
        }
    });
    (address, arrived)
}

fn shape(index: usize) -> Shape {
    let mut shapes = shapes();
    let mut shape = shapes.swap_remove(index % shapes.len());
    // No two bodies alike.
    if let Some(body) = shape.body.as_mut().filter(|body| !body.is_empty()) {
        body.extend_from_slice(&index.to_be_bytes());
    }
    shape
}

fn get(target: &str) -> Shape {
    Shape {
        method: "GET",
        target: target.to_owned(),
        fields: Vec::new(),
        body: None,
        is_chunked: false,
    }
}

fn with(fields: &[(&'static str, &'static [u8])]) -> Shape {
    Shape {
        fields: fields.to_vec(),
        ..get("/")
    }
}

fn post(body: &[u8]) -> Shape {
    Shape {
        method: "POST",
        body: Some(body.to_vec()),
        ..get("/")
    }
}

fn shapes() -> Vec<Shape> {
    let mut shapes: Vec<_> = [
        "/",
        "/?",
        "/??",
        "//",
        "///?a=b",
        "/?a=b&a=c&&=&d",
        "/?%20+%2B%2b%26%3d%3D%23%25",
        "/?%00%01%1f%7f%80%FF",
        "/?%C3%A9=%E2%98%83&x=%c3%a9",
        "/?%C3%C3%A9%E2%98",
        "/?%zz%%41%4",
        "/?a|b^c`d{e}f\\g[h]",
        "/?u=http://x/y",
        "/?$where=1&a.b[$gt]=",
        "http://Other.example:81/?a=%41",
    ]
    .map(get)
    .into();
    shapes.extend([
        with(&[("Cookie", b"a=b")]),
        with(&[("X-A", b"1"), ("X-B", b"b"), ("x-a", b"2,3"), ("X-A", b"")]),
        with(&[
            ("X_Under", b"1"),
            ("X-Under", b"2"),
            ("!#$%&'*+.^`|~", b"odd"),
        ]),
        with(&[
            ("X-Latin", b"caf\xe9"),
            ("X-All", b"\x80\xa0\xff"),
            ("X-Tab", b"a\tb"),
        ]),
        with(&[("Content-Type", b"a/b"), ("Content-Type", b"c/d")]),
        with(&[("Content-Type", b"")]),
        with(&[
            ("Connection", b"X-Hop"),
            ("X-Hop", b"1"),
            ("TE", b"trailers"),
            ("Keep-Alive", b"5"),
        ]),
        with(&[
            ("User-Agent", b"curl/8"),
            ("Accept-Encoding", b"gzip"),
            ("Range", b"bytes=0-1"),
        ]),
        post(b""),
        post("é☃😀 text".as_bytes()),
        post(b"\xff\xfe \xc3 \xe2\x98 \xed\xa0\x80 \0"),
        post("\u{fffd} came so".as_bytes()),
        post(&(0..=255).collect::<Vec<u8>>().repeat(300)),
        Shape {
            method: "get",
            ..get("/?lower")
        },
        Shape {
            method: "Post",
            ..post(b"\x1f\x8b\x08")
        },
        Shape {
            method: "M-SEARCH",
            ..get("/")
        },
        Shape {
            method: "HEAD",
            ..get("/?head")
        },
        Shape {
            method: "DELETE",
            ..post(b"why")
        },
        Shape {
            method: "GET",
            ..post(b"odd")
        },
        Shape {
            is_chunked: true,
            ..post(b"chunks \xff")
        },
        Shape {
            is_chunked: true,
            ..post(b"")
        },
    ]);
    shapes
}

impl Shape {
    /// On its way to the proxy.
    fn to_bytes(&self, index: usize) -> Vec<u8> {
        let mut bytes = format!(
            "{} {} HTTP/1.1\r\nHost: recorded.example\r\nX-Replay: {index}\r\n",
            self.method, self.target
        )
        .into_bytes();
        for (name, value) in &self.fields {
            bytes.extend([name.as_bytes(), b": ", *value, b"\r\n"].concat());
        }
        let body = self.body.as_deref().unwrap_or_default();
        if self.is_chunked {
            bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
            if !body.is_empty() {
                bytes.extend(format!("{:x}\r\n", body.len()).bytes());
                bytes.extend([body, b"\r\n"].concat());
            }
            bytes.extend(b"0\r\n\r\n");
            return bytes;
        }
        if self.body.is_some() {
            bytes.extend(format!("Content-Length: {}\r\n", body.len()).bytes());
        }
        bytes.extend([&b"\r\n"[..], body].concat());
        bytes
    }

    /// As it is to arrive at this address.
    fn to_message(&self, index: usize, address: SocketAddr) -> Message {
        let latin1 = |value: &[u8]| value.iter().map(|it| char::from(*it)).collect::<String>();
        let gone = ["connection", "cookie", "keep-alive", "te", "x-hop"];
        let mut fields: Vec<_> = self
            .fields
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), latin1(value)))
            .filter(|(name, _)| !gone.contains(&name.as_str()))
            .collect();
        fields.push(("host".to_owned(), address.to_string()));
        fields.push(("x-replay".to_owned(), index.to_string()));
        let body = self.body.clone().unwrap_or_default();
        if self.body.is_some() {
            fields.push(("content-length".to_owned(), body.len().to_string()));
        }
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        let target = self.target.strip_prefix("http://Other.example:81");
        let target = target.unwrap_or(&self.target).to_owned();
        (self.method.to_owned(), target, fields, body)
    }
}
