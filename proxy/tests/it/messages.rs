//! Methods, targets, statuses and bodies: what goes through, and how it is framed.

use crate::support::{Backend, Framing, TestProxy, ok, proxied, serving};

#[test]
fn methods_and_targets_pass_untouched() {
    let (backend, proxy) = serving(&[]);
    let mut client = proxy.client();
    let requests = [
        ("GET", "/"),
        ("POST", "/a/b?c=d&c=e&&f"),
        ("PUT", "/../../etc/passwd"),
        ("PATCH", "/%2e%2e/%2E%2E//./x"),
        ("DELETE", "/%00%0d%0a%20?%ff"),
        ("OPTIONS", "/;p=1,2:3@4!$&'()*+~-._"),
        ("REPORT", "//double//slash//"),
        ("PROPFIND", "/?"),
        ("get", "/case-sensitive"),
        ("M-SEARCH!#$%&'*+.^_`|~", "/any-token"),
        ("GET", "//evil.test/path"),
        ("GET", "/..%2f..%5c..\\..\\windows"),
        ("GET", "/.%00/%2500/%u002e%u002e/"),
        ("GET", "/%c0%ae%c0%ae/%e0%80%ae/..;/..;x=y/"),
        ("GET", "/%zz/%/%2/%%32%65"),
        ("GET", "/a?http://b/?c"),
        ("GET", "/[::]|{}^`\"<>"),
        ("GET", "/@user:pass@host/"),
        ("OPTIONS", "*"),
    ];
    for (method, target) in requests {
        assert_eq!(
            client.exchange(method, target, "", "").status,
            200,
            "{method} {target}"
        );
    }
    let passed = backend.requests();
    for ((method, target), passed) in requests.iter().zip(&passed) {
        assert_eq!(
            (passed.method.as_str(), passed.target.as_str()),
            (*method, *target)
        );
    }
    assert_eq!(passed.len(), requests.len());
}

/// RFC 9112 §3.2.2: the target's authority wins over `Host`.
#[test]
fn an_absolute_target_is_rewritten() {
    let (backend, proxy) = serving(&[]);
    for (target, path) in [
        ("http://example.org:81/a?b", "/a?b"),
        ("http://example.org:81", "/"),
        ("HTTP://example.org:81/", "/"),
        ("http://example.org:81?b", "/?b"),
    ] {
        let response = proxy.client().exchange("GET", target, "", "");
        assert_eq!(response.status, 200, "{target}");
        let passed = backend.requests().pop().unwrap();
        assert_eq!(passed.target, path, "{target}");
        assert_eq!(passed.head.get("host"), Some("example.org:81"), "{target}");
    }
    let backend_sees = |target: &str, path: &str| {
        proxy.client().exchange("GET", target, "", "");
        assert_eq!(backend.requests().pop().unwrap().target, path, "{target}");
    };
    backend_sees("http://a/%2e%2e/..//;x", "/%2e%2e/..//;x");
    backend_sees("https://a//b/", "//b/");
    let response = proxy
        .client()
        .exchange("GET", "http://user:secret@example.org/", "", "");
    assert_eq!(response.status, 400, "userinfo: RFC 9110 §4.2.4");
    let response = proxy
        .client()
        .exchange("GET", "http:///no-authority", "", "");
    assert_eq!(response.status, 400);
}

#[test]
fn bodies_keep_their_framing() {
    let (backend, proxy) = proxied(Backend::answering(|request| match request.framing {
        Framing::Chunked => {
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_vec()
        }
        _ => ok("abc"),
    }));
    let mut client = proxy.client();

    let response = client.exchange("POST", "/", "", "body");
    assert_eq!(
        (response.framing, response.text().as_str()),
        (Framing::Length, "abc")
    );

    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n");
    let response = client.response("POST").unwrap();
    assert_eq!(
        (response.framing, response.text().as_str()),
        (Framing::Chunked, "abc")
    );

    let response = client.exchange("POST", "/", "Content-Length: 0\r\n", "");
    assert_eq!(response.status, 200);
    let passed = backend.requests();
    let framings = passed
        .iter()
        .map(|request| request.framing)
        .collect::<Vec<_>>();
    assert_eq!(
        framings,
        [Framing::Length, Framing::Chunked, Framing::Length]
    );
    assert_eq!(
        (passed[0].body.as_slice(), passed[1].body.as_slice()),
        (&b"body"[..], &b"body"[..])
    );
    assert_eq!(
        passed[2].head.get("content-length"),
        Some("0"),
        "an empty body is not no body"
    );
}

/// A GET may have a body (RFC 9110 §9.3.1); what matters is that it is framed.
#[test]
fn a_get_with_a_body_passes_whole() {
    let (backend, proxy) = serving(&[]);
    assert_eq!(proxy.client().exchange("GET", "/", "", "body").status, 200);
    assert_eq!(backend.only_request().body, b"body");
}

#[test]
fn binary_bodies_pass_unchanged() {
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let answer = bytes.clone();
    let (backend, proxy) = proxied(Backend::answering(move |_| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        [head.as_bytes(), &answer].concat()
    }));
    let mut client = proxy.client();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        bytes.len()
    ));
    client.send(&bytes);
    assert!(client.response("POST").unwrap().body == bytes);
    assert!(backend.only_request().body == bytes);
}

#[test]
fn responses_without_a_body() {
    let (backend, proxy) = proxied(Backend::answering(|request| {
        let head = match request.target.as_str() {
            "/204" => "HTTP/1.1 204 No Content\r\n\r\n",
            "/304" => "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 42\r\n\r\n",
            "/head" => "HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n",
            "/head-chunked" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "/empty" => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            other => return ok(other),
        };
        head.into()
    }));
    let mut client = proxy.client();
    for (method, target, status, length) in [
        ("GET", "/204", 204, None),
        ("GET", "/304", 304, Some("42")),
        ("HEAD", "/head", 200, Some("42")),
        ("HEAD", "/head-chunked", 200, None),
        ("GET", "/empty", 200, Some("0")),
        ("POST", "/204", 204, None),
    ] {
        let response = client.exchange(method, target, "", "");
        assert_eq!(response.status, status, "{method} {target}");
        assert_eq!(response.body, b"", "{method} {target}");
        assert_eq!(
            response.head.get("content-length"),
            length,
            "{method} {target}"
        );
        // The connection is still in step.
        assert_eq!(
            client.get("/next").text(),
            "/next",
            "after {method} {target}"
        );
    }
    assert_eq!(backend.connections(), 1);
}

#[test]
fn a_body_until_close_becomes_chunked() {
    let (_backend, proxy) = proxied(Backend::start(|connection| {
        if connection.request().is_ok() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end");
        }
    }));
    let mut client = proxy.client();
    for _ in 0..2 {
        let response = client.get("/");
        assert_eq!(
            (response.framing, response.text().as_str()),
            (Framing::Chunked, "until the end")
        );
    }
}

#[test]
fn http_1_0_clients_get_no_chunks() {
    let (_backend, proxy) = proxied(Backend::answering(|_| {
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n\
          3\r\nabc\r\n4\r\ndefg\r\n0\r\nX: y\r\n\r\n"
            .to_vec()
    }));
    let mut client = proxy.client();
    client.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    let response = client.response("GET").unwrap();
    assert_eq!(
        (response.framing, response.text().as_str()),
        (Framing::UntilClose, "abcdefg")
    );
    assert_ne!(response.head.get("connection"), Some("keep-alive"));
}

/// A TRACE would show its sender what the proxy adds for the backend alone.
#[test]
fn trace_is_not_forwarded() {
    let (backend, proxy) = serving(&[]);
    for lines in ["", "Max-Forwards: 0\r\n", "Max-Forwards: 5\r\n"] {
        let response = proxy.client().exchange("TRACE", "/", lines, "");
        assert_eq!(response.status, 405);
        let allowed = response.head.get("allow").unwrap();
        assert!(
            allowed.contains("GET") && !allowed.contains("TRACE"),
            "{allowed}"
        );
    }
    assert_eq!(backend.connections(), 0);
}

/// RFC 9110 §7.6.2 and §9.3.7.
#[test]
fn options_go_as_far_as_max_forwards_says() {
    let (backend, proxy) = serving(&[]);
    let mut client = proxy.client();
    for target in ["*", "/", "http://example.test"] {
        let response = client.exchange("OPTIONS", target, "Max-Forwards: 0\r\n", "");
        assert_eq!((response.status, response.body.len()), (200, 0), "{target}");
        assert_eq!(response.head.get("content-length"), Some("0"));
        assert!(response.head.get("allow").unwrap().contains("OPTIONS"));
        assert_eq!(proxy.access_entry(response.request_id())["status"], 200);
    }
    assert_eq!(backend.connections(), 0);

    let response = client.exchange("OPTIONS", "*", "Max-Forwards: 3\r\n", "");
    assert_eq!(response.text(), "served", "on the same connection");
    let passed = backend.only_request();
    assert_eq!(passed.head.get("max-forwards"), Some("2"));

    client.exchange("GET", "/", "Max-Forwards: 0\r\n", "");
    let passed = backend.requests().pop().unwrap();
    assert_eq!(passed.head.get("max-forwards"), Some("0"));

    // What is left of a body isn't taken for a request.
    client.send("OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nContent-Length: 60\r\n\r\n");
    client.send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response("OPTIONS").unwrap().status, 200);
    client.assert_closed();
    assert_eq!(backend.requests().len(), 2);
}

/// RFC 9110 §15.2: a 1.0 client gets no interim response.
#[test]
fn interim_responses() {
    let (_backend, proxy) = proxied(Backend::answering(|_| {
        let interim = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n";
        [interim.as_bytes(), interim.as_bytes(), &ok("final")].concat()
    }));
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    for _ in 0..2 {
        let hints = client.response("GET").unwrap();
        assert_eq!(hints.status, 103);
        assert_eq!(hints.head.get("link"), Some("</style.css>; rel=preload"));
    }
    assert_eq!(client.response("GET").unwrap().text(), "final");

    let mut old = proxy.client();
    old.send("GET / HTTP/1.0\r\n\r\n");
    let response = old.response("GET").unwrap();
    response.assert_is(200, "final");
}

#[test]
fn early_hints_can_be_kept_back() {
    let backend = Backend::answering(|_| {
        let interim =
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n";
        [interim.as_bytes(), &ok("final")].concat()
    });
    let proxy = TestProxy::with(&backend, &[("EARLY_HINTS", "off")]);
    let mut client = proxy.client();
    assert_eq!(client.get("/").status, 102, "others pass");
    assert_eq!(client.response("GET").unwrap().text(), "final");
}

/// nginx passes any number.
#[test]
fn hundreds_of_interim_responses_pass() {
    let (_backend, proxy) = proxied(Backend::answering(|_| {
        let interim = "HTTP/1.1 102 Processing\r\n\r\n".repeat(500);
        [interim.as_bytes(), &ok("final")].concat()
    }));
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    for _ in 0..500 {
        assert_eq!(client.response("GET").unwrap().status, 102);
    }
    assert_eq!(client.response("GET").unwrap().text(), "final");
}

/// RFC 9110 §6.5.1: what would come too late there is ignored.
#[test]
fn a_response_with_forbidden_trailers_is_whole() {
    let (backend, proxy) = proxied(Backend::answering(|_| {
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nContent-Length: 9\r\n\
          X-Sum: 42\r\nTransfer-Encoding: gzip\r\nHost: evil.test\r\nConnection: close\r\n\r\n"
            .to_vec()
    }));
    let mut client = proxy.client();
    for _ in 0..2 {
        let response = client.get("/");
        assert_eq!(response.text(), "ok");
        assert_eq!(response.trailers, [("X-Sum".to_owned(), "42".to_owned())]);
    }
    assert_eq!(backend.connections(), 1);
}

#[test]
fn trailers_pass_both_ways() {
    let (backend, proxy) = proxied(Backend::answering(|_| {
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, X-Other\r\n\r\n\
          5\r\nhello\r\n0\r\nX-Sum: 42\r\nX-Other: z\r\n\r\n"
            .to_vec()
    }));
    let mut client = proxy.client();
    for _ in 0..2 {
        client.send(
            "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\
             Transfer-Encoding: chunked\r\nTrailer: X-In\r\n\r\n\
             4\r\nbody\r\n0\r\nX-In: in\r\nX-More: more\r\n\r\n",
        );
        let response = client.response("POST").unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(response.text(), "hello");
        assert_eq!(
            response.trailers,
            [pair("X-Sum", "42"), pair("X-Other", "z")]
        );
        let passed = backend.requests().pop().unwrap();
        assert_eq!(passed.body, b"body");
        assert_eq!(
            passed.trailers,
            [pair("X-In", "in"), pair("X-More", "more")]
        );
    }
    assert_eq!(backend.connections(), 1);
}
