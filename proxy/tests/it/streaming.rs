//! Bodies pass as they come: at once, whatever their size, and never held whole.

use crate::support::{Backend, TestProxy, WireError, ok, proxied, wait_until};
use std::time::{Duration, Instant};

const BLOCK: usize = 64 * 1024;
const BLOCKS: usize = 4096;
/// 256 MiB, many times what the proxy may hold.
const LARGE: usize = BLOCK * BLOCKS;
/// What the proxy may need at its peak, whatever passes through.
const MEMORY_BOUND: u64 = 48 << 20;

#[test]
fn a_large_upload_passes_in_bounded_memory() {
    let backend = Backend::start(|connection| {
        connection.untap();
        while connection.head().is_ok() && connection.skip(LARGE).is_ok() {
            connection.send(ok("received"));
        }
    });
    let proxy = TestProxy::with(&backend, &[("MAX_BODY", "300MiB")]);
    let mut client = proxy.client();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\n"
    ));
    let block = vec![b'x'; BLOCK];
    for _ in 0..BLOCKS {
        client.send(&block);
    }
    assert_eq!(client.response("POST").unwrap().text(), "received");
    let peak = proxy.memory("VmHWM");
    assert!(peak < MEMORY_BOUND, "{} MiB at the peak", peak >> 20);
}

#[test]
fn a_large_chunked_upload_passes_in_bounded_memory() {
    let backend = Backend::start(|connection| {
        connection.untap();
        let Ok(_) = connection.head() else { return };
        let mut total = 0;
        loop {
            let chunk = connection.chunk().unwrap();
            total += chunk.len();
            if chunk.is_empty() {
                break;
            }
        }
        connection.trailers().unwrap();
        connection.send(ok(&total.to_string()));
    });
    let proxy = TestProxy::with(&backend, &[("MAX_BODY", "300MiB")]);
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let block = [
        format!("{BLOCK:x}\r\n").as_bytes(),
        &vec![b'x'; BLOCK],
        b"\r\n",
    ]
    .concat();
    for _ in 0..BLOCKS / 4 {
        client.send(&block);
    }
    client.send("0\r\n\r\n");
    assert_eq!(
        client.response("POST").unwrap().text(),
        (LARGE / 4).to_string()
    );
    let peak = proxy.memory("VmHWM");
    assert!(peak < MEMORY_BOUND, "{} MiB at the peak", peak >> 20);
}

#[test]
fn a_large_download_passes_in_bounded_memory() {
    let (_backend, proxy) = proxied(Backend::start(|connection| {
        while connection.request().is_ok() {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n");
            connection.send(head);
            let block = vec![b'x'; BLOCK];
            for _ in 0..BLOCKS {
                connection.send(&block);
            }
        }
    }));
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(
        client.head().unwrap().get("content-length"),
        Some(&*LARGE.to_string())
    );
    client.skip(LARGE).unwrap();
    let peak = proxy.memory("VmHWM");
    assert!(peak < MEMORY_BOUND, "{} MiB at the peak", peak >> 20);
}

/// A client that doesn't read holds up its own download, and nothing else.
#[test]
fn a_client_that_does_not_read_costs_no_memory() {
    let backend = Backend::start(|connection| {
        while let Ok(request) = connection.request() {
            if request.target != "/large" {
                connection.send(ok("small"));
                continue;
            }
            connection.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"
            ));
            let block = vec![b'x'; BLOCK];
            let mut blocks = (0..BLOCKS).map(|_| connection.try_send(&block));
            if blocks.any(|sent| sent.is_err()) {
                return;
            }
        }
    });
    let proxy = TestProxy::with(&backend, &[("READ_TIMEOUT", "2s")]);
    let mut idle = Vec::new();
    for _ in 0..20 {
        let mut client = proxy.client();
        client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
        idle.push(client);
    }
    backend.wait_for_requests(20);
    for _ in 0..20 {
        assert_eq!(proxy.get("/small").text(), "small");
    }
    assert!(proxy.memory("VmHWM") < MEMORY_BOUND);

    // In the end each is dropped: no progress for READ_TIMEOUT.
    wait_until("the proxy to give up on them", || {
        proxy.metric("proxy_client_connections_open", &[]) < 1
    });
    for mut client in idle {
        client.head().unwrap();
        let cut = client.skip(LARGE);
        assert!(matches!(cut, Err(WireError::Truncated(_))), "{cut:?}");
    }
}

/// Each event arrives before the next is sent.
#[test]
fn server_sent_events_are_flushed_at_once() {
    let (next, events) = std::sync::mpsc::channel::<u32>();
    let events = std::sync::Mutex::new(events);
    let (_backend, proxy) = proxied(Backend::start(move |connection| {
        if connection.request().is_ok() {
            connection.send(
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                 Transfer-Encoding: chunked\r\n\r\n",
            );
            for event in events.lock().unwrap().iter() {
                let data = format!("data: {event}\n\n");
                connection.send(format!("{:x}\r\n{data}\r\n", data.len()));
            }
            connection.send("0\r\n\r\n");
        }
    }));
    let mut client = proxy.client();
    client.send("GET /events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n");
    let head = client.head().unwrap();
    assert_eq!(
        head.get("content-type"),
        Some("text/event-stream"),
        "the head comes by itself"
    );
    for event in 0..20 {
        next.send(event).unwrap();
        let chunk = client.chunk().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&chunk),
            format!("data: {event}\n\n")
        );
    }
    drop(next);
    assert_eq!(client.chunk().unwrap(), b"");
    assert_eq!(client.trailers().unwrap(), []);
}

/// The same without any framing, as simple event sources answer.
#[test]
fn an_unframed_response_is_flushed_at_once() {
    let (next, events) = std::sync::mpsc::channel::<&str>();
    let events = std::sync::Mutex::new(events);
    let (_backend, proxy) = proxied(Backend::start(move |connection| {
        if connection.request().is_ok() {
            connection.send("HTTP/1.1 200 OK\r\n\r\n");
            for event in events.lock().unwrap().iter() {
                connection.send(event);
            }
        }
    }));
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head().unwrap();
    for event in ["one", "two", "three"] {
        next.send(event).unwrap();
        assert_eq!(client.chunk().unwrap(), event.as_bytes());
    }
    drop(next);
    assert_eq!(client.chunk().unwrap(), b"");
}

/// The backend sees the beginning of a body before the client has sent its end.
#[test]
fn an_upload_is_passed_on_as_it_comes() {
    let (seen, at_backend) = std::sync::mpsc::channel::<Vec<u8>>();
    let seen = std::sync::Mutex::new(seen);
    let (_backend, proxy) = proxied(Backend::start(move |connection| {
        if connection.head().is_ok() {
            for _ in 0..3 {
                seen.lock()
                    .unwrap()
                    .send(connection.chunk().unwrap())
                    .unwrap();
            }
            assert_eq!(connection.chunk().unwrap(), b"");
            connection.trailers().unwrap();
            connection.send(ok("whole"));
        }
    }));
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in ["aaaa", "bbbb", "cccc"] {
        client.send(format!("4\r\n{piece}\r\n"));
        let arrived = at_backend.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(arrived, piece.as_bytes());
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.response("POST").unwrap().text(), "whole");
}

/// A client that is slow with a small body costs the backend nothing.
#[test]
fn a_small_body_is_complete_before_the_backend_hears_of_it() {
    let (backend, proxy) = proxied(Backend::answering(|request| {
        ok(&request.body.len().to_string())
    }));
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n");
    client.send("x".repeat(59_999));
    // Served after the 59,999 bytes have been read.
    assert_eq!(proxy.get("/").status, 200);
    assert_eq!(backend.targets(), ["/"]);
    assert_eq!(backend.connections(), 1);
    client.send("x");
    assert_eq!(client.response("POST").unwrap().text(), "60000");
}

/// Whether or not a client reads its responses, their backend is free again.
#[test]
fn a_client_that_does_not_read_keeps_no_backend() {
    let backend = Backend::answering(|_| ok(&"x".repeat(16_000)));
    let limits = [
        ("UPSTREAM_CONNECTIONS", "1"),
        ("UPSTREAM_QUEUE_TIMEOUT", "1s"),
    ];
    let proxy = TestProxy::with(&backend, &limits);
    let mut client = proxy.client();
    let requests = "GET /unread HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000);
    client.send(requests);
    // As many as the kernel holds responses for.
    let count = || backend.requests().len();
    wait_until("the proxy to stop for the client", || {
        let before = count();
        std::thread::sleep(Duration::from_millis(300));
        before > 0 && count() == before
    });
    assert!(count() < 1000, "the client's window has no end");
    for _ in 0..20 {
        assert_eq!(proxy.get("/").status, 200);
    }
}

/// A response may begin, and even end, while the request's body is still on its way.
#[test]
fn an_early_response_reaches_the_client() {
    let (_backend, proxy) = proxied(Backend::start(|connection| {
        if connection.head().is_ok() {
            connection.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
            connection.drain(Duration::from_secs(5));
        }
    }));
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbeginning");
    let asked = Instant::now();
    let response = client.response("POST").unwrap();
    response.assert_is(403, "no");
    assert!(
        asked.elapsed() < Duration::from_secs(4),
        "it waited for the body"
    );
}

/// Both directions at once: an echo that answers each piece as it comes.
#[test]
fn both_directions_flow_at_once() {
    let (backend, proxy) = proxied(Backend::start(|connection| {
        if connection.head().is_ok() {
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            while let Ok(chunk) = connection.chunk() {
                if chunk.is_empty() {
                    break;
                }
                connection.send(format!("{:x}\r\n{}\r\n", chunk.len(), chunk.escape_ascii()));
            }
            connection.trailers().unwrap();
            connection.send("0\r\n\r\n");
        }
    }));
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.head().unwrap();
    for piece in ["ping", "pong"] {
        client.send(format!("4\r\n{piece}\r\n"));
        assert_eq!(client.chunk().unwrap(), piece.as_bytes());
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.chunk().unwrap(), b"");
    client.trailers().unwrap();
    wait_until("the backend's connection to end", || {
        backend.connections() == 1
    });
}
