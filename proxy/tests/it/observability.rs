//! The access log, the metrics and the admin listener.

use crate::support::{
    Backend, RawClient, Signal, TestProxy, assert_within, free_address, ok, proxied, serving,
    until, wait_until,
};
use std::time::{Duration, Instant};

#[test]
fn one_access_log_entry_for_each_request() {
    let (backend, proxy) = proxied(Backend::answering(|request| {
        match request.target.as_str() {
            "/missing" => b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone".to_vec(),
            _ => ok("hello"),
        }
    }));
    let mut client = proxy.client();
    let mut expected = Vec::new();
    for (method, target, body, status) in [
        ("GET", "/?a=b", "", 200),
        ("POST", "/submit", "body", 200),
        ("GET", "/missing", "", 404),
        ("HEAD", "/", "", 200),
    ] {
        let response = client.exchange(method, target, "User-Agent: probe/1\r\n", body);
        assert_eq!(response.status, status);
        expected.push((response.request_id().to_owned(), method, target, status));
    }
    for (id, method, target, status) in &expected {
        let entry = proxy.access_entry(id);
        assert_eq!(entry["method"], *method, "{entry}");
        assert_eq!(entry["path"], *target, "{entry}");
        assert_eq!(entry["status"], *status, "{entry}");
        let client = entry["client"].as_str().unwrap();
        assert!(client.starts_with("127.0.0.1"), "{entry}");
        let upstream = entry["upstream"].as_str().unwrap();
        assert_eq!(upstream, backend.address().to_string(), "{entry}");
    }
    assert_eq!(proxy.access_entries().len(), expected.len());
}

/// A tunnel is logged when it ends, as the request that it began with.
#[test]
fn tunnels_are_in_the_access_log() {
    let (_backend, proxy) = proxied(Backend::start(|connection| {
        connection.head().ok();
        connection
            .send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
        connection.drain(Duration::from_secs(10));
    }));
    let mut client = proxy.client();
    client.send("GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    let response = client.response("GET").unwrap();
    client.send("beyond HTTP");
    drop(client);
    let entry = proxy.access_entry(response.request_id());
    assert_eq!(entry["status"], 101, "{entry}");
    assert_eq!(entry["method"], "GET", "{entry}");
    assert_eq!(entry["path"], "/tunnel", "{entry}");
}

/// Refusals and failures are requests too, and their ids lead from the page to the log.
#[test]
fn failures_are_in_the_access_log() {
    let proxy = TestProxy::builder(free_address()).start_alive();
    let response = until("the proxy to try", || {
        Some(proxy.get("/nobody")).filter(|response| response.status == 502)
    });
    let entry = proxy.access_entry(response.request_id());
    assert_eq!(entry["status"], 502, "{entry}");

    let mut client = proxy.client();
    let request =
        b"GET /both HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let response = client.provoke(request).unwrap();
    let entry = proxy.access_entry(response.request_id());
    assert_eq!(entry["status"], 400, "{entry}");
}

/// A log is read on terminals: nothing that a client sends may arrive there as a control
/// character, C1 and bidirectional overrides included.
#[test]
fn control_characters_are_escaped() {
    let (_backend, proxy) = serving(&[]);
    let mut requests = 0;
    for bytes in [
        &b"GET /\x1b[31mred HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Bad: \x1b]0;title\x07\r\n\r\n",
        b"\x1b[2J / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: \xc2\x9b31m\xe2\x80\xae\xc2\x85\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: \x9b\xff\xfe\"\\}{\r\n\r\n",
        b"GET /?q=\xc2\x9b31m\xe2\x80\xae HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\"quoted\\backslash HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: forged\",\"status\":999,\"x\":\"\r\n\r\n",
    ] {
        let response = proxy.client().provoke(bytes).unwrap();
        proxy.access_entry(response.request_id());
        requests += 1;
    }
    let log = proxy.log();
    let raw = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
    let line = log.lines().find(|line| line.contains(raw));
    assert!(line.is_none(), "{:?}", line.unwrap());
    assert_eq!(proxy.access_entries().len(), requests);
    assert!(
        proxy
            .access_entries()
            .iter()
            .all(|entry| entry["status"] != 999)
    );
}

/// Whoever could write long lines could rotate away what was logged of them.
#[test]
fn what_clients_choose_is_cut_and_says_so() {
    let (_backend, proxy) = serving(&[]);
    let long = |size| "x".repeat(size);
    for (target, lines, method) in [
        (
            format!("/{}", long(15_000)),
            format!("User-Agent: {}\r\n", long(40_000)),
            long(900),
        ),
        // Six bytes in the log for each of these.
        (
            format!("/{}", "\u{80}".repeat(5_000)),
            format!("User-Agent: {}\r\n", "\u{202e}".repeat(15_000)),
            "GET".to_owned(),
        ),
        (
            "/".to_owned(),
            format!("User-Agent: {}\r\n", "\"".repeat(60_000)),
            "GET".to_owned(),
        ),
    ] {
        let response = proxy.client().exchange(&method, &target, &lines, "");
        let entry = proxy.access_entry(response.request_id());
        let agent = entry["user_agent"].as_str().unwrap();
        assert!(
            agent.contains("…[+") && agent.ends_with(" bytes]"),
            "{agent}"
        );
    }
    let longest = proxy.log().lines().map(str::len).max().unwrap();
    assert!(longest < 4096, "a line of {longest} bytes");

    let (path, agent) = (format!("/{}", long(2_047)), long(512));
    let lines = format!("User-Agent: {agent}\r\n");
    let whole = proxy.client().exchange("GET", &path, &lines, "");
    let entry = proxy.access_entry(whole.request_id());
    assert_eq!(
        (&entry["path"], &entry["user_agent"]),
        (&path.into(), &agent.into())
    );

    let cut = proxy
        .client()
        .exchange("GET", &format!("/{}", long(2_048)), "", "");
    let entry = proxy.access_entry(cut.request_id());
    assert_eq!(entry["path"], format!("/{}…[+1 bytes]", long(2_047)));
}

/// The same where the log is made for people.
#[test]
fn control_characters_never_reach_a_terminal() {
    let backend = Backend::answering(|_| ok("served"));
    let proxy = TestProxy::builder(backend.address()).on_terminal().start();
    for bytes in [
        &b"GET /planted\x1b[31m HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: planted\xc2\x9b31m\xe2\x80\xae\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: planted\x9b\xff\r\n\r\n",
    ] {
        let response = proxy.client().provoke(bytes).unwrap();
        let id = response.request_id();
        let line = until("the request in the log", || {
            let log = proxy.log();
            // Unlike the line's own colours, what was planted comes after the id.
            let entry = log.split_once(id)?.1.split_once('\n')?.0;
            Some(entry.trim_end_matches('\r').to_owned())
        });
        let raw = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!line.contains(raw), "{line:?}");
    }
}

/// Secrets travel in these fields; the log is no place for them.
#[test]
fn the_log_holds_no_credentials() {
    let (_backend, proxy) = serving(&[]);
    let response = proxy.client().get_with(
        "/",
        "Authorization: Bearer planted-secret\r\nCookie: session=planted-secret\r\n\
         Proxy-Authorization: Basic planted-secret\r\n",
    );
    proxy.access_entry(response.request_id());
    assert!(!proxy.log().contains("planted-secret"));
}

#[test]
fn the_access_log_can_be_off() {
    let (_backend, mut proxy) = serving(&[("ACCESS_LOG", "off")]);
    for _ in 0..10 {
        assert_eq!(proxy.get("/").status, 200);
    }
    // The end of the process is the end of the log.
    proxy.signal(Signal::TERM);
    proxy.ended();
    assert!(proxy.access_entries().is_empty());
    assert!(!proxy.events().is_empty(), "other events are still logged");
}

/// The last entries are not lost when the process ends.
#[test]
fn the_log_is_complete_at_the_end() {
    let (_backend, mut proxy) = serving(&[]);
    let mut client = proxy.client();
    for _ in 0..200 {
        assert_eq!(client.get("/").status, 200);
    }
    proxy.signal(Signal::TERM);
    proxy.ended();
    assert_eq!(proxy.access_entries().len(), 200);
}

#[test]
fn the_start_and_every_change_of_the_upstream_are_logged() {
    let (backend, proxy) = serving(&[]);
    assert_eq!(proxy.get("/").status, 200);
    let address = backend.address();
    for mentioned in [proxy.address, proxy.admin, address] {
        wait_until("an address in the log", || {
            proxy.log().contains(&mentioned.to_string())
        });
    }
    let logged = |change: &str| {
        until(&format!("'{change}' in the log"), || {
            let events = proxy.events().into_iter();
            let mut changes = events.filter(|event| event["backend"] == address.to_string());
            changes.find(|event| {
                event["message"]
                    .as_str()
                    .is_some_and(|text| text.contains(change))
            })
        })
    };
    logged("added");
    backend.stop();
    proxy.get("/");
    logged("ejected");
    let _returned = Backend::answering_at(address, |_| ok("served"));
    logged("reinstated");
}

#[test]
fn metrics_are_openmetrics_and_count() {
    let backend = Backend::answering(|request| match request.target.as_str() {
        "/missing" => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
        _ => ok("hello"),
    });
    let proxy = TestProxy::with(&backend, &[("WORKERS", "2")]);
    for _ in 0..7 {
        proxy.get("/");
    }
    for _ in 0..3 {
        proxy.get("/missing");
    }
    // Counted when the exchange is over, which the client may learn a moment earlier.
    wait_until("ten requests in the metrics", || {
        let total = proxy.metric("proxy_request_duration_seconds_count", &[]);
        total >= 10
    });
    let requests = |labels: &[&str]| proxy.metric("proxy_requests_total", labels);
    let counts = [
        requests(&[]),
        requests(&["\"200\""]),
        requests(&["\"404\""]),
    ];
    assert_eq!(counts, [10, 7, 3]);

    let accept = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n";
    let response = RawClient::connect(proxy.admin).get_with("/metrics", accept);
    let kind = response.head.get("content-type").unwrap();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let text = response.text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert!(
        text.contains(&backend.address().to_string()),
        "each backend has its series:\n{text}"
    );
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let family = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let mut family = family.filter_map(|line| line.split(' ').next());
        assert!(
            family.any(|family| name.starts_with(family)),
            "no TYPE for {name}"
        );
    }
}

/// What clients choose must not choose how many series there are.
#[test]
fn clients_cannot_grow_the_metrics() {
    let (_backend, proxy) = serving(&[]);
    let series = || proxy.admin_get("/metrics").text().lines().count();
    let mut client = proxy.client();
    for method in ["GET", "POST", "UNHEARD-OF"] {
        client.exchange(method, "/", "", "");
    }
    wait_until("three requests in the metrics", || {
        proxy.metric("proxy_requests_total", &[]) >= 3
    });
    let before = series();
    for number in 0..50 {
        let lines = format!("User-Agent: agent-{number}\r\n");
        client.exchange(
            &format!("METHOD{number}"),
            &format!("/{number}"),
            &lines,
            "",
        );
    }
    wait_until("fifty more in the metrics", || {
        proxy.metric("proxy_requests_total", &[]) >= 53
    });
    assert_eq!(series(), before);
    assert!(!proxy.admin_get("/metrics").text().contains("UNHEARD-OF"));
}

#[test]
fn open_connections_are_counted_up_and_down() {
    let (_backend, proxy) = serving(&[]);
    let open = || proxy.metric("proxy_client_connections_open", &[]);
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let mut client = proxy.client();
            client.get("/");
            client
        })
        .collect();
    wait_until("20 open connections", || open() >= 20);
    drop(clients);
    wait_until("no open connections", || open() < 1);
}

/// The admin paths are the backend's on the public listener.
#[test]
fn admin_is_not_reachable_through_the_front() {
    let (backend, proxy) = proxied(Backend::answering(|request| {
        ok(&format!("backend {}", request.target))
    }));
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(proxy.get(path).text(), format!("backend {path}"));
    }
    let requests = backend.requests().len();
    assert_eq!(proxy.admin_get("/").status, 404);
    assert_eq!(proxy.admin_get("/other").status, 404);
    assert_eq!(
        backend.requests().len(),
        requests,
        "and the backend is not on the admin listener"
    );
}

#[test]
fn admin_answers_get_and_head_only() {
    let (_backend, proxy) = serving(&[]);
    for path in ["/healthz", "/readyz", "/metrics"] {
        let head = RawClient::connect(proxy.admin).exchange("HEAD", path, "", "");
        assert_eq!(head.status, 200, "{path}");
        let post = RawClient::connect(proxy.admin).exchange("POST", path, "", "");
        assert_eq!(post.status, 405, "{path}");
    }
}

#[test]
fn admin_survives_garbage() {
    let (_backend, proxy) = serving(&[]);
    let huge = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(1 << 20));
    for bytes in [
        &b"garbage\r\n\r\n"[..],
        &[0; 4096],
        b"\x16\x03\x01\x02\x00\x01",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        huge.as_bytes(),
    ] {
        let mut client = RawClient::connect(proxy.admin);
        let _refused_early = client.try_send(bytes);
        client.drain(Duration::from_millis(100));
        assert_eq!(proxy.admin_get("/healthz").status, 200);
    }
    // Silent connections keep nobody out: a health check that waits is a failed one.
    let silent: Vec<_> = (0..1000).map(|_| RawClient::connect(proxy.admin)).collect();
    let asked = Instant::now();
    assert_eq!(proxy.admin_get("/healthz").status, 200);
    assert_within(Duration::from_secs(1), asked);
    drop(silent);
    assert_eq!(proxy.get("/").status, 200);
}
