//! Backends that answer what is not HTTP or could be read in two ways: the client gets a 502, and
//! nothing of it reaches the next request.

use testkit::table::rows;

use crate::support::{Backend, Framing, TestProxy, WireError, ok, proxied, wait_until};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

/// What a poisoned answer would look like to the next request.
const POISON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";

/// Answers `/N` with the bytes of the Nth case and then `POISON`; anything else with a plain 200.
fn poisoner(cases: Vec<Vec<u8>>) -> Backend {
    Backend::start(move |connection| {
        while let Ok(request) = connection.request() {
            let number = request.target.trim_start_matches('/').parse::<usize>();
            let Some(bytes) = number.ok().and_then(|number| cases.get(number)) else {
                connection.send(ok("honest"));
                continue;
            };
            let sent = connection.try_send([bytes.as_slice(), POISON.as_bytes()].concat());
            if sent.is_err() || connection.drain(Duration::from_millis(100)).0.is_empty() {
                return;
            }
        }
    })
}

/// Every case gets a 502, and the next request on the same client connection an honest answer.
#[track_caller]
fn assert_bad_gateway(cases: &[(&str, Vec<u8>)]) {
    let (_backend, proxy) = proxied(poisoner(
        cases.iter().map(|(_, bytes)| bytes.clone()).collect(),
    ));
    let mut failures = Vec::new();
    for (number, (name, _)) in cases.iter().enumerate() {
        let mut client = proxy.client();
        client.send(format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let mut answer = client.response("GET");
        while answer.as_ref().is_ok_and(|response| response.status < 200) {
            answer = client.response("GET");
        }
        match answer {
            Ok(response) if response.status == 502 => {}
            other => {
                failures.push((name, format!("{other:?}")));
                continue;
            }
        }
        let next = client.get("/next");
        if next.text() != "honest" {
            failures.push((name, format!("the next request got {:?}", next.text())));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {}: {failures:#?}",
        failures.len(),
        cases.len()
    );
}

#[test]
fn status_lines() {
    let text = r"
garbage | garbage\r\n\r\n
an SSH banner | SSH-2.0-OpenSSH_9.2\r\n
zeros | \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0
a request | GET / HTTP/1.1\r\nHost: a\r\n\r\n
no status | HTTP/1.1\r\n\r\n
two digits | HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n
four digits | HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n
letters | HTTP/1.1 2xx OK\r\nContent-Length: 0\r\n\r\n
a status below 100 | HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n
another version | HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n
another protocol | ICY 200 OK\r\nContent-Length: 0\r\n\r\n
two spaces | HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n
a leading space | \sHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n
a control byte in the reason | HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n
a switch that nobody asked for | HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n
an interim response with a body | HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nhello
an interim response in chunks | HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n
another version after an interim response | HTTP/1.1 100 Continue\r\n\r\nHTTP/2.0 200 OK\r\n\r\n
NUL in the reason | HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n
a bare CR that hides a field in the reason | HTTP/1.1 200 OK\rSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n
";
    assert_bad_gateway(&rows("", text, ""));
}

#[test]
fn ambiguous_lengths() {
    let text = r"
CL, TE | HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n
TE, CL | HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n
CL twice, different | HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok
CL list | HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nok
CL plus | HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok
CL minus | HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok
CL hexadecimal | HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok
CL empty | HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nok
CL overflow | HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551618\r\n\r\nok
TE twice | HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n
TE chunked, chunked | HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n
TE nearly chunked | HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n
TE on HTTP/1.0 | HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n
";
    assert_bad_gateway(&rows("", text, ""));
}

#[test]
fn header_syntax() {
    let text = r"
bare LF throughout | HTTP/1.1 200 OK\nContent-Length: 2\n\nok
bare LF after a field | HTTP/1.1 200 OK\r\nX: y\nContent-Length: 2\r\n\r\nok
bare CR in a value | HTTP/1.1 200 OK\r\nX: y\rSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\nok
a fold | HTTP/1.1 200 OK\r\nX: y\r\n z\r\nContent-Length: 2\r\n\r\nok
a space before the colon | HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok
a leading space | HTTP/1.1 200 OK\r\n X: y\r\nContent-Length: 2\r\n\r\nok
no name | HTTP/1.1 200 OK\r\n: y\r\nContent-Length: 2\r\n\r\nok
no colon | HTTP/1.1 200 OK\r\nX\r\nContent-Length: 2\r\n\r\nok
a space in a name | HTTP/1.1 200 OK\r\nX Y: z\r\nContent-Length: 2\r\n\r\nok
a NUL in a value | HTTP/1.1 200 OK\r\nX: \0\r\nContent-Length: 2\r\n\r\nok
ESC in a value | HTTP/1.1 200 OK\r\nX: \x1b[2J\r\nContent-Length: 2\r\n\r\nok
";
    assert_bad_gateway(&rows("", text, ""));
}

#[test]
fn heads_without_measure() {
    let long = format!(
        "HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 2\r\n\r\nok",
        "y".repeat(1 << 20)
    );
    let fields = (0..5000)
        .map(|n| format!("X-{n}: y\r\n"))
        .collect::<String>();
    let many = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok");
    assert_bad_gateway(&[
        ("a field of 1 MiB", long.into_bytes()),
        ("5,000 fields", many.into_bytes()),
    ]);
}

/// Bytes after the end of a response belong to nobody: the connection must not be used again.
#[test]
fn bytes_after_a_response_are_not_the_next_response() {
    let cases = r"
GET | HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok
GET | HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n
GET | HTTP/1.1 204 No Content\r\n\r\n
GET | HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok
POST | HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n
GET | HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n
HEAD | HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok
HEAD | HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n
GET | HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n
HEAD | HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n
";
    let cases = rows("", cases, "");
    let (_backend, proxy) = proxied(poisoner(
        cases.iter().map(|(_, bytes)| bytes.clone()).collect(),
    ));
    for (number, (method, answer)) in cases.into_iter().enumerate() {
        let answer = answer.escape_ascii();
        let mut client = proxy.client();
        let response = client.exchange(method, &format!("/{number}"), "", "");
        assert!(response.status < 400, "{answer}");
        assert!(!response.text().contains("poison"), "{answer}");
        let next = client.get("/next");
        assert_eq!(next.text(), "honest", "after {answer}");
    }
}

/// The same when the poison comes later, while the connection waits in the pool.
#[test]
fn an_unasked_response_poisons_nobody() {
    let (go, told) = channel::<()>();
    let (sent, poisoned) = channel::<()>();
    let signals = Mutex::new((told, sent));
    let (_backend, proxy) = proxied(Backend::start(move |connection| {
        while let Ok(request) = connection.request() {
            connection.send(ok("honest"));
            if request.target == "/poison" {
                let signals = signals.lock().unwrap();
                signals.0.recv().ok();
                connection.send(POISON);
                signals.1.send(()).ok();
            }
        }
    }));
    for _ in 0..3 {
        let mut client = proxy.client();
        assert_eq!(client.get("/poison").text(), "honest");
        // The whole response has come, so the connection waits; on loopback, what has been sent
        // has arrived.
        go.send(()).unwrap();
        poisoned.recv().unwrap();
        assert_eq!(client.get("/next").text(), "honest");
    }
}

/// A body that breaks off or breaks its framing must not look whole to the client.
#[test]
fn a_broken_body_has_no_clean_end() {
    let cases: [(&str, &str); 7] = [
        ("a letter for a size", "2\r\nok\r\nx\r\n\r\n"),
        ("bare LF after a size", "2\nok\r\n0\r\n\r\n"),
        ("no CRLF after the data", "2\r\nok0\r\n\r\n"),
        (
            "an overflowing size",
            "2\r\nok\r\n10000000000000002\r\nok\r\n0\r\n\r\n",
        ),
        (
            "a space before a trailer's colon",
            "2\r\nok\r\n0\r\nX : y\r\n\r\n",
        ),
        ("bare LF at the end", "2\r\nok\r\n0\r\n\n"),
        ("an endless extension", "2\r\nok\r\n0;"),
    ];
    let answers = cases.map(|(name, body)| {
        let filler = if name == "an endless extension" {
            "x".repeat(1 << 20)
        } else {
            String::new()
        };
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}{filler}").into_bytes()
    });
    let (_backend, proxy) = proxied(poisoner(answers.to_vec()));
    for (number, (name, _)) in cases.into_iter().enumerate() {
        let mut client = proxy.client();
        client.send(format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n"));
        match client.response("GET") {
            Ok(response) => assert_eq!(response.status, 502, "{name} looks whole: {response:?}"),
            Err(WireError::Truncated(_)) => {}
            Err(other) => panic!("{name}: {other:?}"),
        }
        assert_eq!(proxy.get("/next").text(), "honest", "after {name}");
    }
}

/// An endless row of interim responses is bounded.
#[test]
fn interim_responses_without_end_are_cut() {
    let backend = Backend::start(|connection| {
        if connection
            .request()
            .is_ok_and(|request| request.target == "/")
        {
            while connection
                .try_send("HTTP/1.1 100 Continue\r\n\r\n".repeat(100))
                .is_ok()
            {}
        }
    });
    let proxy = TestProxy::with(&backend, &[("READ_TIMEOUT", "2s")]);
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    loop {
        match client.response("GET") {
            Ok(response) if response.status == 100 => {}
            Ok(response) => {
                assert!([502, 504].contains(&response.status), "{}", response.status);
                break;
            }
            Err(WireError::Truncated(_) | WireError::Closed) => break,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(proxy.memory("VmRSS") < 64 << 20);
}

#[test]
fn legal_oddities_are_served() {
    let (_backend, proxy) = proxied(Backend::answering(|request| {
        match request.target.as_str() {
            "/small" => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec(),
            "/no-reason" => b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok".to_vec(),
            "/999" => b"HTTP/1.1 999 Request Denied\r\nContent-Length: 2\r\n\r\nok".to_vec(),
            "/fields" => {
                let fields: String = (0..400).map(|n| format!("X-{n}: y\r\n")).collect();
                format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok").into_bytes()
            }
            _ => b"HTTP/1.1 299 Any Reason At All\r\nContent-Length: 2\r\n\r\nok".to_vec(),
        }
    }));
    let mut client = proxy.client();
    for (target, status) in [
        ("/small", 200),
        ("/no-reason", 200),
        ("/odd", 299),
        ("/999", 999),
        ("/fields", 200),
    ] {
        let response = client.get(target);
        response.assert_is(status, "ok");
    }
    assert_eq!(client.get("/fields").head.all("x-399"), ["y"]);
    // RFC 9110 §15: as a 5xx, without a series of its own.
    wait_until("the odd status in the metrics", || {
        proxy.metric("proxy_requests_total", &["5xx"]) == 1
    });
}

/// HTTP/1.0 backends close after each response; 1.1 clients are to notice nothing.
#[test]
fn an_http_1_0_backend_is_served() {
    let (_backend, proxy) = proxied(Backend::start(|connection| {
        if let Ok(request) = connection.request() {
            connection.send(match request.target.as_str() {
                "/length" => "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
                _ => "HTTP/1.0 200 OK\r\n\r\nok",
            });
        }
    }));
    let mut client = proxy.client();
    for (target, framing) in [
        ("/length", Framing::Length),
        ("/until-close", Framing::Chunked),
    ] {
        let response = client.get(target);
        assert_eq!(
            (response.text().as_str(), response.framing),
            ("ok", framing),
            "{target}"
        );
    }
}
