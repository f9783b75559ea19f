//! What the proxy adds to, takes from and leaves in the header fields (design §6).

use crate::support::{
    Backend, RawClient, Request, Response, TestProxy, free_port, ok, proxied, serving,
};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Sends these header lines through a proxy with the defaults; what the backend got.
#[track_caller]
fn passed(lines: &str) -> Request {
    let (backend, proxy) = serving(&[]);
    assert_eq!(proxy.client().get_with("/", lines).status, 200);
    backend.only_request()
}

/// What the client got of a response with these header lines.
#[track_caller]
fn returned(lines: &'static str) -> Response {
    let (_backend, proxy) = proxied(Backend::answering(move |_| {
        format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 2\r\n\r\nok").into_bytes()
    }));
    proxy.get("/")
}

#[test]
fn end_to_end_fields_pass_in_order_and_unchanged() {
    let lines = "X-First: 1\r\nx-lower: a  b\r\nX-Twice: one\r\nX_Under: u\r\nX-Twice: two\r\n\
                 Cookie: a=b; c=d\r\nAuthorization: Basic eDp5\r\nX-Empty:\r\nAccept: */*\r\n\
                 User-Agent: t/1\r\nReferer: http://r.test/\r\nX-Dollar$Dot.: v\r\n";
    let request = passed(lines);
    let sent = lines.lines().map(|line| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_owned(), value.trim().to_owned())
    });
    let sent: Vec<_> = sent.collect();
    let ours = request
        .head
        .fields
        .iter()
        .filter(|field| sent.contains(field));
    assert_eq!(ours.cloned().collect::<Vec<_>>(), sent);

    let response = returned(
        "Server: b/1\r\nSet-Cookie: a=b; Path=/\r\nset-cookie: c=d\r\nX-Empty:\r\nETag: \"x\"\r\n",
    );
    assert_eq!(response.head.all("set-cookie"), ["a=b; Path=/", "c=d"]);
    assert_eq!(response.head.get("server"), Some("b/1"));
    assert_eq!(response.head.get("etag"), Some("\"x\""));
    assert_eq!(response.head.get("x-empty"), Some(""));
}

#[test]
fn host_is_preserved() {
    let (backend, proxy) = serving(&[]);
    for host in [
        "shop.example.test",
        "a!$&'()*+;=~%41.test:80",
        "localhost:8080",
        "[::1]:8080",
        "192.0.2.1",
        "UPPER.test",
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(
            proxy.client().provoke(request.as_bytes()).unwrap().status,
            200
        );
        let passed = backend.requests().pop().unwrap();
        assert_eq!(passed.head.get("host"), Some(host));
        assert_eq!(passed.head.get("x-forwarded-host"), Some(host));
    }
}

/// RFC 9112 §3.2: a 1.1 message has a Host, even when the 1.0 request had none.
#[test]
fn a_1_0_request_without_host_gets_one() {
    let (backend, proxy) = serving(&[]);
    assert_eq!(
        proxy
            .client()
            .provoke(b"GET / HTTP/1.0\r\n\r\n")
            .unwrap()
            .status,
        200
    );
    let head = backend.only_request().head;
    assert!(head.has("host"));
    assert!(!head.has("x-forwarded-host"), "nobody has asked for a host");
}

#[test]
fn forwarding_fields_are_set() {
    let request = passed("");
    assert_eq!(request.head.get("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(request.head.get("x-real-ip"), Some("127.0.0.1"));
    assert_eq!(request.head.get("x-forwarded-proto"), Some("http"));
    assert_eq!(request.head.get("x-forwarded-host"), Some("example.test"));
}

#[test]
fn what_an_untrusted_client_claims_is_replaced() {
    let request = passed(
        "X-Forwarded-For: 192.0.2.66\r\nx-forwarded-for: 192.0.2.67\r\nX-Real-IP: 192.0.2.66\r\n\
         X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.test\r\nX-Forwarded-Port: 6666\r\n\
         X-Forwarded-Server: evil.test\r\nForwarded: for=192.0.2.66;host=evil.test\r\n",
    );
    assert_eq!(request.head.get("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(request.head.get("x-real-ip"), Some("127.0.0.1"));
    assert_eq!(request.head.get("x-forwarded-proto"), Some("http"));
    assert_eq!(request.head.get("x-forwarded-host"), Some("example.test"));
    assert!(!request.head.has("forwarded"));
    let all = format!("{:?}", request.head);
    assert!(
        !all.contains("192.0.2.6") && !all.contains("evil.test"),
        "{all}"
    );
}

/// Backends that map names to CGI variables read `X_Forwarded_For` as `X-Forwarded-For`: what
/// would pass there for a field that we interpret doesn't get there, not even from a trusted peer.
#[test]
fn underscores_smuggle_nothing() {
    let lines = "X_Forwarded_For: 192.0.2.66\r\nX_Real-IP: 192.0.2.66\r\nCONTENT_LENGTH: 66\r\n\
                 Transfer_Encoding: chunked\r\nHOST_: h\r\nX_Request_Id: 66\r\nX_Custom: 1\r\n";
    for trusted in ["", "127.0.0.0/8"] {
        let backend = Backend::answering(|_| ok("served"));
        let proxy = TestProxy::builder(backend.address())
            .set("TRUSTED_PROXIES", trusted)
            .start();
        assert_eq!(proxy.client().get_with("/", lines).status, 200);
        let head = backend.only_request().head;
        let names = head.fields.iter().map(|(name, _)| name.as_str());
        let underscored: Vec<_> = names.filter(|name| name.contains('_')).collect();
        assert_eq!(underscored, ["HOST_", "X_Custom"]);
        assert_eq!(head.get("x-forwarded-for"), Some("127.0.0.1"));
    }
}

#[test]
fn a_trusted_proxy_is_believed() {
    let (backend, proxy) = serving(&[("TRUSTED_PROXIES", "10.0.0.0/8,127.0.0.0/30")]);
    let lines = "X-Forwarded-For: 192.0.2.1, 10.1.2.3\r\nX-Forwarded-Proto: https\r\n\
                 X-Forwarded-Host: shop.test\r\n";
    let head = |source: [u8; 4], lines: &str| {
        let lines = format!("{lines}X-Real-IP: 203.0.113.66\r\n");
        let lines = lines.as_str();
        let mut client = RawClient::connect_from(IpAddr::V4(Ipv4Addr::from(source)), proxy.address);
        assert_eq!(client.get_with("/", lines).status, 200);
        backend.requests().pop().unwrap().head
    };
    let trusted = head([127, 0, 0, 2], lines);
    assert_eq!(
        trusted.get("x-forwarded-for"),
        Some("192.0.2.1, 10.1.2.3, 127.0.0.2")
    );
    assert_eq!(trusted.get("x-forwarded-proto"), Some("https"));
    assert_eq!(trusted.get("x-forwarded-host"), Some("shop.test"));
    assert_eq!(trusted.get("x-real-ip"), Some("192.0.2.1"));

    let untrusted = head([127, 0, 0, 4], lines);
    assert_eq!(untrusted.get("x-forwarded-for"), Some("127.0.0.4"));
    assert_eq!(untrusted.get("x-forwarded-proto"), Some("http"));
    assert_eq!(untrusted.get("x-forwarded-host"), Some("example.test"));
    assert_eq!(untrusted.get("x-real-ip"), Some("127.0.0.4"));

    let trusted_but_silent = head([127, 0, 0, 2], "");
    assert_eq!(trusted_but_silent.get("x-forwarded-for"), Some("127.0.0.2"));
    assert_eq!(trusted_but_silent.get("x-forwarded-proto"), Some("http"));
    assert_eq!(
        trusted_but_silent.get("x-forwarded-host"),
        Some("example.test")
    );
    assert_eq!(trusted_but_silent.get("x-real-ip"), Some("127.0.0.2"));
}

/// Behind trusted proxies, the client is who their chain says that it is: to the backend and in
/// the log. What the client says itself counts for nothing.
#[test]
fn behind_trusted_proxies_nobody_forges_an_address() {
    let (backend, proxy) = serving(&[("TRUSTED_PROXIES", "10.0.0.0/8,127.0.0.1")]);
    for (lines, client) in [
        ("X-Real-IP: 203.0.113.66\r\n", "127.0.0.1"),
        ("X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1"),
        (
            "X-Forwarded-For: 203.0.113.66, 192.0.2.1, 10.1.2.3\r\n",
            "192.0.2.1",
        ),
        (
            "X-Forwarded-For: 203.0.113.66\r\nX-Forwarded-For: 192.0.2.1\r\nx-forwarded-for: 10.1.2.3\r\n",
            "192.0.2.1",
        ),
        ("X-Forwarded-For: 10.1.2.4, 10.1.2.3\r\n", "10.1.2.4"),
        (
            "X-Forwarded-For: 203.0.113.66, unknown, 10.1.2.3\r\n",
            "10.1.2.3",
        ),
        ("X-Forwarded-For: [2001:db8::1]:4711\r\n", "2001:db8::1"),
        ("X-Forwarded-For: nobody\r\n", "127.0.0.1"),
        ("Forwarded: for=203.0.113.66\r\n", "127.0.0.1"),
    ] {
        let response = proxy.client().get_with("/", lines);
        let head = backend.requests().pop().unwrap().head;
        assert_eq!(head.get("x-real-ip"), Some(client), "{lines:?}");
        let entry = proxy.access_entry(response.request_id());
        assert_eq!(entry["client"], client, "{lines:?}");
    }
    // Refused requests have a client, too.
    let refused = proxy
        .client()
        .provoke(b"GET / HTTP/1.1\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n")
        .unwrap();
    let entry = proxy.access_entry(refused.request_id());
    assert_eq!(
        (&entry["status"], &entry["client"]),
        (&400.into(), &"192.0.2.1".into())
    );
}

#[test]
fn a_trusted_proxy_over_ipv6_is_believed() {
    let backend = Backend::answering(|_| ok("served"));
    let lines = "X-Forwarded-For: 2001:db8::1\r\n";
    for (trusted, expected) in [
        ("::1/128,10.0.0.0/8", "2001:db8::1, ::1"),
        ("2001:db8::/32", "::1"),
    ] {
        let listen = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), free_port());
        let proxy = TestProxy::builder(backend.address())
            .set("TRUSTED_PROXIES", trusted)
            .listening_on(listen)
            .start();
        assert_eq!(proxy.client().get_with("/", lines).status, 200);
        let request = backend.requests().pop().unwrap();
        assert_eq!(request.head.get("x-forwarded-for"), Some(expected));
        assert_eq!(
            request
                .head
                .get("x-forwarded-for")
                .unwrap()
                .split(", ")
                .last(),
            Some("::1")
        );
    }
}

/// On a dual-stack listener an IPv4 client is an IPv4 client, not `::ffff:…`.
#[test]
fn a_mapped_address_is_an_ipv4_address() {
    let backend = Backend::answering(|_| ok("served"));
    let port = free_port();
    let proxy = TestProxy::builder(backend.address())
        .set("TRUSTED_PROXIES", "127.0.0.0/8")
        .listening_on(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port))
        .start();
    let mut client = RawClient::connect(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
    client.get_with("/", "X-Forwarded-For: 192.0.2.1\r\n");
    assert_eq!(
        backend.only_request().head.get("x-forwarded-for"),
        Some("192.0.2.1, 127.0.0.1")
    );
    assert_eq!(proxy.admin_get("/healthz").status, 200);
}

#[test]
fn request_ids_are_minted_unique_and_returned() {
    let (backend, proxy) = serving(&[("WORKERS", "2")]);
    let mut ids = HashSet::new();
    for _ in 0..20 {
        let mut client = proxy.client();
        for _ in 0..20 {
            let response = client.get("/");
            let id = response.request_id().to_owned();
            let hex = id
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            assert!(id.len() == 24 && hex, "{id}");
            let sent = backend.requests().pop().unwrap();
            assert_eq!(sent.head.get("x-request-id"), Some(id.as_str()));
            assert!(ids.insert(id), "an id came twice");
        }
    }
    // Shaped as an ObjectId: it begins with the seconds since 1970.
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    for id in ids {
        let seconds = u64::from_str_radix(&id[..8], 16).unwrap();
        assert!(seconds.abs_diff(now) < 120, "{id} is not of now");
    }
}

#[test]
fn a_clients_own_id_becomes_the_correlation_id() {
    for (theirs, correlation) in [
        ("order-42", Some("order-42")),
        (&*"x".repeat(128), Some(&*"x".repeat(128))),
        (&*"x".repeat(129), None),
        ("two words", None),
        ("caf\u{e9}", None),
        ("", None),
    ] {
        let request = passed(&format!("X-Request-Id: {theirs}\r\n"));
        assert_eq!(
            request.head.get("x-correlation-id"),
            correlation,
            "{theirs:?}"
        );
        assert_ne!(request.head.get("x-request-id"), Some(theirs));
        assert_eq!(request.head.get("x-request-id").unwrap().len(), 24);
    }
}

/// A client that has a correlation id of its own keeps it, whatever it looks like.
#[test]
fn a_clients_correlation_id_is_not_replaced() {
    for (lines, correlation) in [
        ("X-Correlation-Id: mine\r\nX-Request-Id: other\r\n", "mine"),
        (
            "X-Request-Id: other\r\nX-Correlation-Id: two words\r\n",
            "two words",
        ),
        ("X-Correlation-Id: mine\r\n", "mine"),
    ] {
        let request = passed(lines);
        assert_eq!(request.head.get("x-correlation-id"), Some(correlation));
    }
}

/// The id is the proxy's to give: a backend's own does not replace it.
#[test]
fn a_backend_does_not_choose_the_id() {
    let response = returned("X-Request-Id: planted\r\n");
    assert_ne!(response.request_id(), "planted");
    assert_eq!(response.request_id().len(), 24);
}

#[test]
fn hop_by_hop_fields_stop_here() {
    let request = passed(
        "Connection: keep-alive, X-Nominated, x-other\r\nX-Nominated: n\r\nX-Other: o\r\n\
         Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: gzip;q=0.5\r\n\
         X-Stays: s\r\n",
    );
    for name in [
        "x-nominated",
        "x-other",
        "keep-alive",
        "proxy-connection",
        "te",
        "upgrade",
    ] {
        assert!(
            !request.head.has(name),
            "{name} went through: {:#?}",
            request.head
        );
    }
    assert_ne!(
        request.head.get("connection"),
        Some("keep-alive, X-Nominated, x-other")
    );
    assert_eq!(request.head.get("x-stays"), Some("s"));

    let response = returned(
        "Connection: X-Nominated\r\nX-Nominated: n\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Connection: keep-alive\r\nUpgrade: h2c\r\nX-Stays: s\r\n",
    );
    for name in ["x-nominated", "keep-alive", "proxy-connection", "upgrade"] {
        assert!(
            !response.head.has(name),
            "{name} came through: {:#?}",
            response.head
        );
    }
    assert_eq!(response.head.get("x-stays"), Some("s"));
}

/// RFC 9110 §11.7.2: credentials are for the first proxy that expects some, and this one doesn't.
#[test]
fn authentication_to_a_proxy_is_somebody_elses() {
    let request = passed("Proxy-Authorization: Basic eDp5\r\n");
    assert_eq!(request.head.get("proxy-authorization"), Some("Basic eDp5"));
    let response = returned(
        "Proxy-Authenticate: Basic realm=\"r\"\r\nProxy-Authentication-Info: nextnonce=\"n\"\r\n",
    );
    assert_eq!(
        response.head.get("proxy-authenticate"),
        Some("Basic realm=\"r\"")
    );
    assert!(response.head.has("proxy-authentication-info"));
}

/// A client that could strip what the proxy or the framing needs would choose what the backend
/// believes.
#[test]
fn connection_cannot_strip_what_matters() {
    let (backend, proxy) = proxied(Backend::answering(|request| {
        ok(&String::from_utf8_lossy(&request.body))
    }));
    for name in [
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Real-IP",
        "X-Request-Id",
        "Via",
        "Connection",
    ] {
        let before = backend.requests().len();
        let lines = format!("Connection: {name}\r\n");
        let response = proxy.client().exchange("POST", "/", &lines, "body");
        if response.status == 400 {
            assert_eq!(backend.requests().len(), before);
            continue;
        }
        assert_eq!(
            (response.status, response.text().as_str()),
            (200, "body"),
            "{name}"
        );
        let request = backend.requests().pop().unwrap();
        for kept in [
            "host",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-real-ip",
            "x-request-id",
            "via",
        ] {
            assert!(request.head.has(kept), "Connection: {name} stripped {kept}");
        }
    }
}

/// `TE: trailers` says something about the next hop, and the proxy does pass trailers.
#[test]
fn te_passes_only_for_trailers() {
    let request = passed("Connection: TE\r\nTE: gzip, trailers;q=0.5, deflate\r\n");
    let te = request.head.get("te");
    assert!(te.is_none_or(|te| te == "trailers"), "{te:?}");
    let request = passed("Connection: TE\r\nTE: trailers\r\n");
    assert_eq!(request.head.get("te"), Some("trailers"));
}

#[test]
fn via_is_added_both_ways() {
    assert_eq!(passed("").head.get("via"), Some("1.1 causeway"));
    let chain = passed("Via: 1.0 fred, 1.1 p.example.test\r\n");
    assert_eq!(
        chain.head.all("via").join(", "),
        "1.0 fred, 1.1 p.example.test, 1.1 causeway"
    );

    assert_eq!(returned("").head.get("via"), Some("1.1 causeway"));
    let chain = returned("Via: 1.1 inner\r\n");
    assert_eq!(chain.head.all("via").join(", "), "1.1 inner, 1.1 causeway");
}

/// The proxy's own name for itself is its own to give; `Date` is the origin's.
#[test]
fn nothing_else_is_added() {
    let fields = passed("").head.fields.into_iter();
    let mut names: Vec<_> = fields.map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.retain(|name| name != "connection");
    names.sort();
    assert_eq!(
        names,
        [
            "host",
            "via",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-real-ip",
            "x-request-id"
        ]
    );
}
