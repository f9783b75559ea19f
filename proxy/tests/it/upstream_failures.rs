//! Backends that refuse, hang, break off or aren't there: which status, how soon, and on what page.

use crate::error_pages::assert_error_page;
use crate::support::{
    Backend, End, TestProxy, WireError, assert_within, free_address, ok, proxied, until, wait_until,
};
use socket2::{Domain, Socket, Type};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// An address whose connections are never completed: the queue of its listener is full.
struct Blackhole {
    address: SocketAddr,
    _listener: Socket,
    _queued: Vec<Socket>,
}

impl Blackhole {
    fn new() -> Self {
        let address = free_address();
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&address.into()).unwrap();
        listener.listen(0).unwrap();
        let mut queued = Vec::new();
        for _ in 0..8 {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _in_progress = socket.connect(&address.into());
            queued.push(socket);
        }
        let full = || TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_err();
        wait_until("the queue to be full", full);
        Self {
            address,
            _listener: listener,
            _queued: queued,
        }
    }
}

#[test]
fn refused_is_a_502() {
    let proxy = TestProxy::builder(free_address()).start_alive();
    let mut client = proxy.client();
    // What was found out the hard way (502) may be known from then on (503).
    let first = until("the proxy to try", || {
        Some(client.get("/")).filter(|response| response.status != 503)
    });
    assert_error_page(&first, 502);
    let next = client.get("/");
    assert!(
        [502, 503].contains(&next.status),
        "the client's connection is still good"
    );
}

/// An address isn't looked up: nobody waits for what can't come.
#[test]
fn an_address_that_refuses_is_a_502_at_once() {
    let proxy = TestProxy::builder(free_address()).start_alive();
    let mut client = proxy.client();
    let asked = Instant::now();
    for _ in 0..5 {
        assert_eq!(client.get("/").status, 502);
    }
    assert_within(Duration::from_secs(1), asked);
}

#[test]
fn an_unresolvable_name_is_a_503() {
    let proxy = TestProxy::builder("no-such-host.invalid:9090").start_alive();
    let response = proxy.get("/");
    assert_error_page(&response, 503);
    let wait = response.head.get("retry-after").expect("Retry-After");
    assert!(
        wait.parse::<u32>()
            .is_ok_and(|seconds| (1..=60).contains(&seconds)),
        "{wait}"
    );
    assert_eq!(proxy.admin_get("/readyz").status, 503);
    assert_eq!(proxy.admin_get("/healthz").status, 200);
}

#[test]
fn hanging_on_connect_is_a_504_in_time() {
    let blackhole = Blackhole::new();
    let proxy = TestProxy::builder(blackhole.address)
        .set("CONNECT_TIMEOUT", "300ms")
        .start_alive();
    let asked = Instant::now();
    let response = until("the proxy to try", || {
        Some(proxy.get("/")).filter(|response| response.status != 503)
    });
    assert_error_page(&response, 504);
    assert_within(Duration::from_secs(5), asked);
}

#[test]
fn hanging_on_the_response_is_a_504_in_time() {
    let backend = Backend::start(|connection| {
        while let Ok(request) = connection.request() {
            match request.target.as_str() {
                "/hang" => drop(connection.drain(Duration::from_secs(10))),
                "/hang-in-head" => {
                    connection.send("HTTP/1.1 200 OK\r\nContent-");
                    drop(connection.drain(Duration::from_secs(10)));
                }
                _ => connection.send(ok("quick")),
            }
        }
    });
    let proxy = TestProxy::with(&backend, &[("READ_TIMEOUT", "1s")]);
    for target in ["/hang", "/hang-in-head"] {
        let asked = Instant::now();
        assert_error_page(&proxy.get(target), 504);
        assert!(
            asked.elapsed() >= Duration::from_millis(990),
            "{:?}",
            asked.elapsed()
        );
        assert_within(Duration::from_secs(5), asked);
    }
    assert_eq!(
        proxy.get("/").text(),
        "quick",
        "a slow answer is no reason to give a backend up"
    );
    let posts = backend
        .targets()
        .iter()
        .filter(|target| *target == "/hang")
        .count();
    assert_eq!(posts, 1, "a timeout is not retried");
}

/// `READ_TIMEOUT` is for silence, not for the whole answer.
#[test]
fn a_slow_but_steady_response_is_no_timeout() {
    let backend = Backend::start(|connection| {
        if connection.request().is_ok() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n");
            for _ in 0..8 {
                std::thread::sleep(Duration::from_millis(300));
                connection.send("x");
            }
        }
    });
    let proxy = TestProxy::with(&backend, &[("READ_TIMEOUT", "2s")]);
    assert_eq!(proxy.get("/").text(), "xxxxxxxx");
}

/// Too late for another status: the client must see that the body is not whole.
#[test]
fn a_body_that_hangs_ends_uncleanly() {
    let backend = Backend::start(|connection| {
        if connection.request().is_ok() {
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
            connection.drain(Duration::from_secs(10));
        }
    });
    let proxy = TestProxy::with(&backend, &[("READ_TIMEOUT", "300ms")]);
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let asked = Instant::now();
    let cut = client.response("GET");
    assert_within(Duration::from_secs(5), asked);
    assert!(matches!(cut, Err(WireError::Truncated(_))), "{cut:?}");
}

#[test]
fn closing_without_an_answer_is_a_502() {
    let (backend, proxy) = proxied(Backend::start(|connection| {
        if connection
            .request()
            .is_ok_and(|request| request.target == "/reset")
        {
            connection.reset_at_end();
        }
    }));
    for (method, target) in [
        ("GET", "/close"),
        ("GET", "/reset"),
        ("POST", "/close"),
        ("POST", "/reset"),
    ] {
        let response = proxy.client().exchange(method, target, "", "");
        assert_error_page(&response, 502);
    }
    let posts = backend
        .requests()
        .iter()
        .filter(|request| request.method == "POST")
        .count();
    assert_eq!(posts, 2, "a POST that may have arrived is not sent twice");
}

#[test]
fn closing_in_the_head_is_a_502() {
    let (_backend, proxy) = proxied(Backend::start(|connection| {
        if connection.request().is_ok() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Half");
        }
    }));
    assert_error_page(&proxy.get("/"), 502);
}

#[test]
fn a_backend_that_dies_in_mid_response_is_noticed_by_the_client() {
    let (_backend, proxy) = proxied(Backend::start(|connection| {
        let Ok(request) = connection.request() else {
            return;
        };
        connection.send(match request.target.trim_end_matches("/reset") {
            "/length" => "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
            "/chunked" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            "/in-chunk" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf",
            _ => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
        });
        if request.target.ends_with("/reset") {
            // Let what was sent arrive first: RST overtakes it.
            connection.drain(Duration::from_millis(100));
            connection.reset_at_end();
        }
    }));
    for target in ["/length", "/chunked", "/in-chunk", "/in-trailers"] {
        for how in ["", "/reset"] {
            let mut client = proxy.client();
            client.send(format!("GET {target}{how} HTTP/1.1\r\nHost: a\r\n\r\n"));
            match client.response("GET") {
                Err(WireError::Truncated(_)) => {}
                other => panic!("{target}{how}: {other:?}"),
            }
        }
    }
    // A 1.0 client has no chunks to miss: only a reset tells it that the end is not the end.
    let mut client = proxy.client();
    client.send("GET /chunked HTTP/1.0\r\nHost: a\r\n\r\n");
    let (_, end) = client.drain(Duration::from_secs(10));
    assert_eq!(end, End::Reset, "an orderly close would look whole");
}

#[test]
fn a_client_that_dies_in_mid_body_is_noticed_by_the_backend() {
    let (told, ends) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let (backend, proxy) = proxied(Backend::start(move |connection| {
        let outcome = connection.request().map(|request| request.target);
        told.lock().unwrap().send(outcome).unwrap();
    }));
    let head = "POST / HTTP/1.1\r\nHost: a\r\n";
    for (name, request) in [
        (
            "by length",
            format!("{head}Content-Length: 100000\r\n\r\nhalf"),
        ),
        (
            "chunked",
            format!("{head}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
        ),
        (
            "in a chunk",
            format!("{head}Transfer-Encoding: chunked\r\n\r\n64\r\nhalf"),
        ),
        (
            "in the last chunk",
            format!("{head}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n"),
        ),
    ] {
        for reset in [false, true] {
            let before = backend.connections();
            let mut client = proxy.client();
            client.send(&request);
            wait_until("the backend to read", || backend.connections() > before);
            if reset {
                client.reset_on_drop();
            }
            drop(client);
            let outcome = ends
                .recv_timeout(Duration::from_secs(10))
                .expect("an end in time");
            assert!(
                matches!(outcome, Err(WireError::Truncated(_))),
                "{name}, reset {reset}: {outcome:?}"
            );
        }
    }
    assert_eq!(proxy.admin_get("/healthz").status, 200);
}

/// Even before there is a response.
#[test]
fn a_client_that_leaves_while_it_waits_is_noticed_by_the_backend() {
    let (told, end) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let (backend, proxy) = proxied(Backend::start(move |connection| {
        if connection.request().is_ok() {
            connection.assert_closed();
            told.lock().unwrap().send(()).unwrap();
        }
    }));
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    backend.wait_for_requests(1);
    client.reset_on_drop();
    drop(client);
    end.recv_timeout(Duration::from_secs(10))
        .expect("the backend is told");
}

/// `printf … | nc -N`: the end of what it sends is not the end of its interest.
#[test]
fn a_client_that_only_ends_its_side_is_answered() {
    let (asked, go_on) = std::sync::mpsc::channel();
    let go_on = std::sync::Mutex::new(go_on);
    let (backend, proxy) = proxied(Backend::start(move |connection| {
        while let Ok(request) = connection.request() {
            go_on.lock().unwrap().recv().unwrap();
            connection.send(ok(&request.target));
        }
    }));
    let mut client = proxy.client();
    client.send(
        "GET /first HTTP/1.1\r\nHost: a\r\n\r\nPOST /second HTTP/1.1\r\nHost: a\r\n\
         Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    );
    client.finish();
    for (method, target) in [("GET", "/first"), ("POST", "/second")] {
        asked.send(()).unwrap();
        assert_eq!(client.response(method).unwrap().text(), target);
    }
    client.assert_closed();
    assert_eq!(backend.targets(), ["/first", "/second"]);
}

/// Nobody waits for the answer any more, so the backend is let go, at the latest when it writes.
#[test]
fn a_client_that_leaves_in_mid_response_is_noticed_by_the_backend() {
    let (told, end) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let (_backend, proxy) = proxied(Backend::start(move |connection| {
        while let Ok(request) = connection.request() {
            if request.target == "/first" {
                connection.send(ok("first"));
                continue;
            }
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            while connection.try_send("1\r\nx\r\n").is_ok() {
                std::thread::sleep(Duration::from_millis(1));
            }
            told.lock().unwrap().send(()).unwrap();
            return;
        }
    }));
    // Everything that the proxy opens for itself is open when it has served once.
    assert_eq!(proxy.get("/first").status, 200);
    let files = proxy.open_files();
    for _ in 0..10 {
        let mut client = proxy.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        client.head().unwrap();
        drop(client);
        end.recv_timeout(Duration::from_secs(10))
            .expect("the backend is told");
    }
    wait_until("the sockets to be closed", || {
        proxy.open_files() < files + 5
    });
}

/// The upstream comes back by itself.
#[test]
fn recovery_needs_no_restart() {
    let address = free_address();
    let proxy = TestProxy::builder(address).start_alive();
    wait_until("a failure", || proxy.get("/").status == 502);
    let backend = Backend::answering_at(address, |_| ok("back"));
    let started = Instant::now();
    wait_until("the backend's return", || proxy.get("/").status == 200);
    assert_within(Duration::from_secs(5), started);
    backend.stop();
    wait_until("another failure", || proxy.get("/").status != 200);
    assert_eq!(proxy.admin_get("/healthz").status, 200);
}
