//! Everything a client can make large, many or slow has a limit, and beyond it comes a status.

use crate::support::{
    Backend, End, TestProxy, WireError, assert_within, free_address, ok, proxied, serving, until,
    wait_until,
};
use std::time::{Duration, Instant};

const MAX_BODY: usize = 10_000;

fn chunked(size: usize) -> String {
    let chunks = ["x".repeat(size / 2), "x".repeat(size - size / 2)];
    let framed = chunks.map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len()));
    format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        framed.concat()
    )
}

fn by_length(size: usize) -> String {
    let body = "x".repeat(size);
    format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n{body}")
}

#[test]
fn a_body_may_be_as_large_as_the_limit_and_no_larger() {
    let backend = Backend::answering(|request| ok(&request.body.len().to_string()));
    let proxy = TestProxy::builder(backend.address())
        .set("MAX_BODY", MAX_BODY)
        .start();
    for request in [by_length, chunked] {
        let response = proxy
            .client()
            .provoke(request(MAX_BODY).as_bytes())
            .unwrap();
        response.assert_is(200, MAX_BODY.to_string());

        let mut client = proxy.client();
        let response = client.provoke(request(MAX_BODY + 1).as_bytes()).unwrap();
        assert_eq!(response.status, 413);
        assert_eq!(response.head.get("connection"), Some("close"));
        client.drain(Duration::from_secs(5));
    }
    assert_eq!(
        backend.requests().len(),
        2,
        "none over the limit is ever whole at the backend"
    );
    assert!(
        backend.connections() <= 3,
        "one too large by its length is never begun"
    );
}

#[test]
fn the_limit_counts_the_body_not_its_chunks() {
    let backend = Backend::answering(|request| ok(&request.body.len().to_string()));
    let proxy = TestProxy::with(&backend, &[("MAX_BODY", "100")]);
    let chunks = "1\r\nx\r\n".repeat(100);
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let response = proxy
        .client()
        .provoke(format!("{head}{chunks}0\r\n\r\n").as_bytes())
        .unwrap();
    response.assert_is(200, "100");
}

/// It has its answer at once, and some time to stop sending and read it.
#[test]
fn an_endless_chunked_body_is_cut() {
    let (backend, proxy) = serving(&[("MAX_BODY", "1MiB"), ("LINGER_TIMEOUT", "1s")]);
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x1_0000));
    let started = Instant::now();
    while client.try_send(&chunk).is_ok() {
        assert!(started.elapsed() < Duration::from_secs(10));
    }
    assert_eq!(backend.requests().len(), 0);
    assert_eq!(proxy.get("/").status, 200);
}

/// As http.client does it: all of the body, and only then a look at what has come back.
#[test]
fn a_client_that_sends_all_before_it_reads_gets_its_413() {
    let (backend, proxy) = serving(&[]);
    let size = 32 << 20;
    for head in [
        format!("Content-Length: {size}\r\n\r\n"),
        format!("Transfer-Encoding: chunked\r\n\r\n{size:x}\r\n"),
    ] {
        let mut client = proxy.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{head}"));
        let block = vec![b'x'; 1 << 16];
        for _ in 0..size >> 16 {
            client.send(&block);
        }
        let response = client.response("POST").unwrap();
        assert_eq!(response.status, 413);
        client.assert_closed();
    }
    assert!(backend.requests().is_empty());
}

/// What follows a request that is the last one is no reason to lose its response.
#[test]
fn requests_behind_the_last_one_do_not_reset_its_response() {
    let body = "x".repeat(1 << 20);
    let large = body.clone();
    let (backend, proxy) = proxied(Backend::answering(move |_| ok(&large)));
    let mut client = proxy.client();
    let ignored = "GET /ignored HTTP/1.1\r\nHost: a\r\n\r\n".repeat(10_000);
    client.send(format!(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n{ignored}"
    ));
    assert_eq!(client.response("GET").unwrap().text(), body);
    client.assert_closed();
    assert_eq!(backend.targets(), ["/"]);
}

#[test]
fn an_endless_chunk_extension_is_cut() {
    let (_backend, proxy) = serving(&[]);
    let mut client = proxy.client();
    let extension = "x".repeat(1 << 20);
    let request =
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;{extension}");
    let response = client.provoke(request.as_bytes()).unwrap();
    assert_eq!(response.status, 400);
    assert_eq!(proxy.get("/").status, 200);
}

/// Sends a head of this size or shape to a proxy with the defaults.
#[track_caller]
fn status_of(requests: &[(String, u16)]) {
    let (backend, proxy) = serving(&[]);
    for (request, expected) in requests {
        let mut client = proxy.client();
        let start = &request[..request.len().min(60)];
        let response = client.provoke(request.as_bytes());
        let response = response.unwrap_or_else(|error| panic!("{start:?}: {error:?}"));
        assert_eq!(
            response.status,
            *expected,
            "{start:?}… of {} bytes",
            request.len()
        );
        if *expected >= 400 {
            assert_eq!(response.head.get("connection"), Some("close"));
            client.drain(Duration::from_secs(5));
        }
    }
    let served = requests.iter().filter(|(_, status)| *status == 200).count();
    assert_eq!(backend.requests().len(), served);
    assert!(proxy.memory("VmHWM") < 48 << 20);
}

#[test]
fn large_heads() {
    let field = |size: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
            "x".repeat(size)
        )
    };
    status_of(&[
        (field(8 << 10), 200),
        (field(32 << 10), 200),
        (field(66 << 10), 431),
        (field(1 << 20), 431),
        // No end of the line, no end of the head: the limit must not wait for either.
        (field(1 << 20).trim_end().to_owned(), 431),
    ]);
}

#[test]
fn many_fields() {
    let fields = |count: usize| {
        let fields = (0..count)
            .map(|n| format!("X-{n}: y\r\n"))
            .collect::<String>();
        format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
    };
    status_of(&[
        (fields(80), 200),
        (fields(1000), 431),
        (fields(100_000), 431),
    ]);
}

#[test]
fn long_targets() {
    let target = |size: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(size));
    let endless = format!("GET /{}", "x".repeat(1 << 20));
    status_of(&[
        (target(4 << 10), 200),
        (target(100 << 10), 414),
        (endless, 414),
    ]);
}

#[test]
fn a_long_method() {
    let request = format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "X".repeat(1 << 20));
    let (backend, proxy) = serving(&[]);
    let response = proxy.client().provoke(request.as_bytes()).unwrap();
    assert!(
        [400, 414, 431, 501].contains(&response.status),
        "{}",
        response.status
    );
    assert_eq!(backend.connections(), 0);
}

/// However steadily it drips, a head has to be complete within `HEADER_TIMEOUT`.
#[test]
fn a_head_that_drips_is_timed_out() {
    let (backend, proxy) = serving(&[("HEADER_TIMEOUT", "1s")]);
    let mut client = proxy.client();
    let started = Instant::now();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n");
    while started.elapsed() < Duration::from_secs(3) {
        if client.try_send("X: y\r\n").is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let response = client.response("GET").unwrap();
    assert_eq!(response.status, 408);
    client.drain(Duration::from_secs(5));
    assert_eq!(backend.connections(), 0);
    assert_eq!(proxy.get("/").status, 200);
}

#[test]
fn a_head_that_stops_is_timed_out_in_time() {
    let (_backend, proxy) = serving(&[("HEADER_TIMEOUT", "1s")]);
    for beginning in ["G", "GET / HTTP/1.1\r\nHost: a\r\n", "\r\n"] {
        let mut client = proxy.client();
        let started = Instant::now();
        client.send(beginning);
        match client.response("GET") {
            Ok(response) => assert_eq!(response.status, 408),
            // Nothing but an empty line is as good as nothing.
            Err(WireError::Closed) => assert_eq!(beginning, "\r\n"),
            Err(other) => panic!("{beginning:?}: {other:?}"),
        }
        assert_within(Duration::from_secs(5), started);
        client.assert_closed();
    }
}

/// The second request on a connection has the same limit.
#[test]
fn a_later_head_is_timed_out_too() {
    let (_backend, proxy) = serving(&[("HEADER_TIMEOUT", "1s")]);
    let mut client = proxy.client();
    assert_eq!(client.get("/").status, 200);
    client.send("GET / HTT");
    assert_eq!(client.response("GET").unwrap().status, 408);
    client.assert_closed();
}

/// RFC 9112 §2.2: what old clients send after a body begins no request, so that it's the limit for
/// idle connections that counts on.
#[test]
fn empty_lines_between_requests_are_idleness() {
    let (_backend, proxy) = serving(&[("HEADER_TIMEOUT", "1s"), ("IDLE_TIMEOUT", "4s")]);
    for (with_the_body, afterwards) in [
        ("\r\n\r\n", &[][..]),
        ("", &["\r\n\r\n"]),
        ("\r", &["\n"]),
        ("", &["\r", "\n\r", "\n"]),
    ] {
        let mut client = proxy.client();
        let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
        client.send(format!("{request}{with_the_body}"));
        assert_eq!(client.response("POST").unwrap().status, 200);
        for piece in afterwards {
            client.send(piece);
            std::thread::sleep(Duration::from_millis(50));
        }
        let (_, end) = client.drain(Duration::from_secs(2));
        assert_eq!(end, End::StillOpen, "closed before the idle limit");
        assert_eq!(client.get("/").status, 200);
        // And they don't put the limit off.
        let started = Instant::now();
        while client.try_send("\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_within(Duration::from_secs(6), started);
    }
}

/// A client that says nothing is told nothing: neither at first, nor between requests.
#[test]
fn a_silent_client_is_closed_in_silence() {
    let (_backend, proxy) = serving(&[("HEADER_TIMEOUT", "1s"), ("IDLE_TIMEOUT", "1s")]);
    let started = Instant::now();
    proxy.client().assert_closed();
    let mut client = proxy.client();
    assert_eq!(client.get("/").status, 200);
    client.assert_closed();
    assert_within(Duration::from_secs(5), started);
}

/// One more than allowed is served: whoever has been idle for longest makes room.
#[test]
fn the_oldest_idle_connection_makes_room() {
    let (_backend, proxy) = serving(&[("MAX_CONNECTIONS", "3")]);
    let mut clients: Vec<_> = (0..3).map(|_| proxy.client()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").status, 200);
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut fourth = proxy.client();
    assert_eq!(fourth.get("/").status, 200);
    clients[0].assert_closed();
    for client in &mut clients[1..] {
        assert_eq!(client.get("/").status, 200);
    }
    wait_until("the eviction to be counted", || {
        let evictions = proxy.metric("proxy_evictions_total", &["\"connections\""]);
        evictions >= 1
    });
}

/// Where all wait for the upstream, nobody is slow: one more gets an answer at once, and the others
/// keep theirs.
#[test]
fn one_connection_too_many() {
    let (answer, answers) = std::sync::mpsc::channel();
    let answers = std::sync::Mutex::new(answers);
    let backend = Backend::answering(move |request| {
        if request.target == "/wait" {
            answers.lock().unwrap().recv().unwrap();
        }
        ok("served")
    });
    let proxy = TestProxy::with(&backend, &[("MAX_CONNECTIONS", "3")]);
    let mut clients: Vec<_> = (0..3).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    backend.wait_for_connections(3);
    let mut fourth = proxy.client();
    assert_eq!(fourth.get("/").status, 503);
    fourth.assert_closed();
    for _ in 0..clients.len() {
        answer.send(()).unwrap();
    }
    for client in &mut clients {
        assert_eq!(client.response("GET").unwrap().status, 200);
    }
    assert_eq!(proxy.get("/").status, 200);
}

/// Slow clients take the memory that there is for them, and no more; others are served beside them.
#[test]
fn heads_and_bodies_keep_to_the_memory() {
    const CLIENTS: usize = 4_000;
    let (_backend, proxy) = serving(&[("MEMORY_LIMIT", "128MiB"), ("HEADER_TIMEOUT", "60s")]);
    let long = "x".repeat(60 << 10);
    for request in [
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}"),
        format!("POST / HTTP/1.1\r\nHost: a\r\nX: {long}\r\nContent-Length: 10\r\n\r\nb"),
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 63000\r\n\r\n{long}"),
    ] {
        let mut slow = Vec::new();
        for number in 0..CLIENTS {
            let mut client = proxy.client();
            // Those that have to go are told so while they send.
            let _ = client.try_send(&request);
            slow.push(client);
            if number % 100 == 0 {
                let started = Instant::now();
                assert_eq!(proxy.get("/").status, 200);
                assert_within(Duration::from_secs(1), started);
            }
        }
        let held = proxy.metric("proxy_buffers_bytes", &[]);
        let limit = proxy.metric("proxy_buffers_limit_bytes", &[]);
        assert!(held <= limit && held > limit / 2, "{held} of {limit}");
        assert!(proxy.metric("proxy_evictions_total", &["\"memory\""]) > 0);
        let peak = proxy.memory("VmHWM");
        assert!(peak < 128 << 20, "{} MiB", peak >> 20);
    }
    wait_until("the memory to be free again", || {
        proxy.metric("proxy_buffers_bytes", &[]) < 1 << 20
    });
}

/// More than a backend is given at a time waits in line, for so long.
#[test]
fn requests_wait_in_line_for_a_place_at_the_backend() {
    let (backend, answer) = Backend::held_at(free_address(), "served");
    let limits = [
        ("UPSTREAM_CONNECTIONS", "2"),
        ("UPSTREAM_QUEUE_TIMEOUT", "2s"),
    ];
    let proxy = TestProxy::with(&backend, &limits);
    let mut clients: Vec<_> = (0..4).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    wait_until("two to wait", || {
        proxy.metric("proxy_requests_waiting", &[]) == 2
    });
    wait_until("two to be at the backend", || backend.connections() == 2);
    answer.send(()).unwrap();
    backend.wait_for_requests(3);
    // The fourth gives up; the two at the backend are answered after that.
    wait_until("nobody to wait", || {
        proxy.metric("proxy_requests_waiting", &[]) == 0
    });
    answer.send(()).unwrap();
    answer.send(()).unwrap();
    let statuses = clients
        .iter_mut()
        .map(|client| client.response("GET").unwrap().status);
    assert_eq!(statuses.filter(|status| *status == 503).count(), 1);
    assert_eq!(backend.connections(), 2);
}

/// Those who are slow with a body hold half of a backend's places at most, and give them up to others.
#[test]
fn slow_bodies_leave_places_at_the_backend() {
    let backend = Backend::answering(|request| ok(&request.body.len().to_string()));
    let proxy = TestProxy::with(&backend, &[("UPSTREAM_CONNECTIONS", "4")]);
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let slow: Vec<_> = (0..100)
        .map(|_| {
            let mut client = proxy.client();
            client.send(format!("{head}4\r\nslow\r\n"));
            client
        })
        .collect();
    let started = Instant::now();
    for _ in 0..20 {
        assert_eq!(proxy.get("/").status, 200);
    }
    assert_within(Duration::from_secs(1), started);
    // One that is not slow comes through as well, once those before it had to go.
    let mut client = proxy.client();
    client.send(format!("{head}4\r\nfast\r\n0\r\n\r\n"));
    assert_eq!(client.response("POST").unwrap().text(), "4");
    drop(slow);
}

/// However steadily it drips, a body has a least speed.
#[test]
fn a_body_that_drips_is_timed_out() {
    let (_backend, proxy) = serving(&[("HEADER_TIMEOUT", "1s"), ("MIN_BODY_RATE", "10KiB")]);
    let head = "POST / HTTP/1.1\r\nHost: a\r\n";
    for (request, drop) in [
        (format!("{head}Content-Length: 60000\r\n\r\n"), "x"),
        (format!("{head}Content-Length: 600000\r\n\r\n"), "x"),
        (
            format!("{head}Transfer-Encoding: chunked\r\n\r\n"),
            "1\r\nx\r\n",
        ),
    ] {
        let mut client = proxy.client();
        let started = Instant::now();
        client.send(request);
        while client.try_send(drop).is_ok() && started.elapsed() < Duration::from_secs(3) {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(client.response("POST").unwrap().status, 408);
        client.drain(Duration::from_secs(5));
    }
    // 50 KB in 2 s are fast enough.
    let mut client = proxy.client();
    client.send(format!("{head}Content-Length: 50000\r\n\r\n"));
    for _ in 0..50 {
        client.send("x".repeat(1000));
        std::thread::sleep(Duration::from_millis(40));
    }
    assert_eq!(client.response("POST").unwrap().status, 200);
}

#[test]
fn a_body_that_stops_is_timed_out() {
    let (backend, proxy) = serving(&[("READ_TIMEOUT", "1s")]);
    let head = "POST / HTTP/1.1\r\nHost: a\r\n";
    for request in [
        format!("{head}Content-Length: 10\r\n\r\nhalf"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
    ] {
        let mut client = proxy.client();
        let response = client.provoke(request.as_bytes()).unwrap();
        assert_eq!(response.status, 408);
        client.assert_closed();
    }
    assert_eq!(backend.requests().len(), 0);
    assert_eq!(proxy.get("/").status, 200);
}

/// 5,000 clients that do nothing cost little, and keep nobody else out.
#[test]
fn thousands_of_idle_connections() {
    const IDLE: usize = 5_000;
    let (_backend, proxy) = serving(&[]);
    let before = proxy.memory("VmRSS");
    let mut clients = Vec::new();
    for number in 0..IDLE {
        let mut client = proxy.client();
        // Half have been served once: their buffers are to be given back.
        if number % 2 == 0 {
            assert_eq!(client.get("/").status, 200);
        }
        clients.push(client);
    }
    assert_eq!(proxy.get("/").status, 200);
    let each = (proxy.memory("VmRSS").saturating_sub(before)) / IDLE as u64;
    // 10,000 in 200 MB.
    assert!(each < 20_000, "{each} bytes for each idle connection");
    assert_eq!(clients[0].get("/").status, 200);
    assert_eq!(clients[IDLE - 2].get("/").status, 200);

    let files = proxy.open_files();
    assert!(files > IDLE);
    drop(clients);
    wait_until("the sockets to be closed", || proxy.open_files() < 100);
}

/// 20,000 clients at once, more than there is room for: the newest are served, the oldest that only
/// begin make room, and memory stays bounded by the limit.
#[test]
fn twenty_thousand_connections() {
    const ROOM: u16 = 8_000;
    const CLIENTS: usize = 20_000;
    let (_backend, proxy) = serving(&[
        ("MAX_CONNECTIONS", &ROOM.to_string()),
        ("HEADER_TIMEOUT", "120s"),
    ]);
    let mut served = proxy.client();
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let mut client = proxy.client();
        if number % 4 == 0 {
            client.send("GET / HTTP/1.1\r\n");
        }
        clients.push(client);
        // The test's own descriptors have a limit, too.
        if clients.len() > usize::from(ROOM) + 1000 {
            clients.remove(0);
        }
        if number % 500 == 0 {
            assert_eq!(served.get("/").status, 200, "{number}");
            assert_eq!(proxy.get("/").status, 200, "{number}");
        }
    }
    let open = proxy.metric("proxy_client_connections_open", &[]);
    assert!(open <= i64::from(ROOM), "{open}");
    assert!(
        proxy.memory("VmHWM") < 200 << 20,
        "{}",
        proxy.memory("VmHWM")
    );
    let newest = clients.last_mut().unwrap();
    assert_eq!(newest.get("/").status, 200);
}

/// What can't do is said, and how much can.
#[test]
fn too_few_files_or_too_little_memory_is_said() {
    let backend = Backend::answering(|_| ok("served"));
    for files in [16, 24, 100] {
        let proxy = TestProxy::builder(backend.address()).open_files(files);
        let mut proxy = proxy.spawn();
        assert_eq!(proxy.ended().code(), Some(1));
        let said = format!("the limit is {files}, expected at least 160 (ulimit -n)");
        assert!(proxy.log().contains(&said), "{}", proxy.log());
    }
    let mut proxy = TestProxy::builder(backend.address())
        .set("MEMORY_LIMIT", "24MiB")
        .spawn();
    assert_eq!(proxy.ended().code(), Some(1));
    let said = "the limit is 24 MiB, expected at least";
    assert!(proxy.log().contains(said), "{}", proxy.log());
}

/// Out of file descriptors, the proxy turns clients away and lives on.
#[test]
fn more_connections_than_files() {
    let backend = Backend::answering(|_| ok("served"));
    let mut proxy = TestProxy::builder(backend.address())
        .open_files(512)
        .start();
    let clients: Vec<_> = (0..600).map(|_| proxy.client()).collect();
    std::thread::sleep(Duration::from_millis(200));
    assert!(proxy.is_running());
    drop(clients);
    until("room for another client", || {
        let mut client = proxy.client();
        client.try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").ok()?;
        client
            .response("GET")
            .ok()
            .filter(|response| response.status == 200)
    });
}
