//! Several addresses behind one name: spread, given up, taken back; and what is sent twice.

use crate::support::{
    Answer, Backend, NameServer, Request, TestProxy, WireError, free_address, loopback, ok,
    proxied, wait_until,
};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Addresses `1..=count` of this process, on one port.
fn addresses(count: u8) -> Vec<SocketAddr> {
    let port = free_address().port();
    (1..=count)
        .map(|n| SocketAddr::new(loopback(n), port))
        .collect()
}

/// A proxy whose upstream's name has these addresses.
fn proxy_before(addresses: &[SocketAddr]) -> (TestProxy, NameServer) {
    let ips: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).collect();
    let names = NameServer::start(Answer::Addresses(ips));
    let upstream = format!("flask-app:{}", addresses[0].port());
    let proxy = TestProxy::builder(upstream)
        .set("RESOLVE_INTERVAL", "200ms")
        .set("CONNECT_TIMEOUT", "500ms")
        .asking(&names)
        .start();
    // Ready with the first address known; the test is about all of them.
    (proxy, names)
}

fn named(address: SocketAddr) -> Backend {
    Backend::answering_at(address, move |_| ok(&address.ip().to_string()))
}

#[test]
fn requests_are_spread_over_every_address() {
    let addresses = addresses(3);
    let backends: Vec<_> = addresses.iter().map(|address| named(*address)).collect();
    let (proxy, _names) = proxy_before(&addresses);
    let mut client = proxy.client();
    for _ in 0..90 {
        assert_eq!(client.get("/").status, 200);
    }
    for backend in &backends {
        let share = backend.requests().len();
        assert!(
            (20..=40).contains(&share),
            "{share} of 90 went to {}",
            backend.address()
        );
    }
}

/// Least outstanding: who has not answered yet gets nothing more while others are free.
#[test]
fn a_busy_address_gets_no_more() {
    let addresses = addresses(2);
    let (slow, gate) = Backend::held_at(addresses[0], "at last");
    let quick = named(addresses[1]);
    let (proxy, _names) = proxy_before(&addresses);
    let mut waiting = Vec::new();
    wait_until("a request that waits at the slow backend", || {
        let mut client = proxy.client();
        client.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
        waiting.push(client);
        thread::sleep(Duration::from_millis(20));
        !slow.requests().is_empty()
    });
    let held = slow.requests().len();
    let mut client = proxy.client();
    for _ in 0..50 {
        assert_eq!(client.get("/").text(), addresses[1].ip().to_string());
    }
    assert_eq!(slow.requests().len(), held);
    assert!(quick.requests().len() >= 50);
    drop(gate);
    for mut client in waiting {
        assert_eq!(client.response("GET").unwrap().status, 200);
    }
}

/// One of two is stopped while requests flow: none fails, and it is taken back when it returns.
#[test]
fn a_stopped_address_fails_no_request_and_is_taken_back() {
    let addresses = addresses(2);
    let stays = named(addresses[0]);
    let goes = named(addresses[1]);
    let (proxy, _names) = proxy_before(&addresses);
    let mut client = proxy.client();
    for _ in 0..20 {
        assert_eq!(client.get("/").status, 200);
    }
    assert!(!goes.requests().is_empty());
    goes.stop();
    for number in 0..50 {
        let method = if number % 2 == 0 { "GET" } else { "POST" };
        let response = client.exchange(method, "/", "", "");
        assert_eq!(response.status, 200, "request {number} after the stop");
        assert_eq!(response.text(), addresses[0].ip().to_string());
    }
    wait_until("the ejection to be counted", || {
        proxy.metric("proxy_upstream_ejections_total", &[]) >= 1
    });

    let returned = named(addresses[1]);
    wait_until("the address to be used again", || {
        assert_eq!(client.get("/").status, 200);
        thread::sleep(Duration::from_millis(5));
        !returned.requests().is_empty()
    });
    assert!(!stays.requests().is_empty());
}

/// Each address is tried once, however many there are before the one that answers.
#[test]
fn one_address_that_answers_is_found_among_many_that_refuse() {
    let address = addresses(1)[0];
    let _good = named(address);
    // No test process has addresses there.
    let dead = (1..=20).map(|n| IpAddr::from([127, 1, 0, n]));
    let all: Vec<_> = dead.chain([address.ip()]).collect();
    let names = NameServer::start(Answer::Addresses(all));
    for _ in 0..4 {
        let proxy = TestProxy::builder(format!("flask-app:{}", address.port()))
            .asking(&names)
            .start_alive();
        assert_eq!(proxy.get("/").status, 200);
    }
}

/// With every address refusing, the answer is a 502 soon, not an endless search.
#[test]
fn every_address_refuses() {
    let addresses = addresses(3);
    let names = NameServer::start(Answer::Addresses(
        addresses.iter().map(SocketAddr::ip).collect(),
    ));
    let proxy = TestProxy::builder(format!("flask-app:{}", addresses[0].port()))
        .asking(&names)
        .start_alive();
    wait_until("a 502", || proxy.get("/").status == 502);
    let backend = named(addresses[1]);
    wait_until("recovery", || proxy.get("/").status == 200);
    assert!(!backend.requests().is_empty());
}

/// Serves the first request on a connection and closes on the second without an answer, as a
/// server does whose keep-alive timeout strikes while a request is on its way.
fn closes_on_the_second() -> Backend {
    let connections = Arc::new(Mutex::new(0));
    Backend::start(move |connection| {
        let number = {
            let mut connections = connections.lock().unwrap();
            *connections += 1;
            *connections
        };
        while let Ok(request) = connection.request() {
            if number == 1 && request.target == "/again" {
                return;
            }
            connection.send(ok(&String::from_utf8_lossy(&request.body)));
        }
    })
}

fn count(requests: &[Request], target: &str) -> usize {
    requests
        .iter()
        .filter(|request| request.target == target)
        .count()
}

/// RFC 9110 §9.2.2: what is idempotent may be sent again when its connection broke.
#[test]
fn an_idempotent_request_is_sent_again() {
    for (method, body) in [
        ("GET", ""),
        ("HEAD", ""),
        ("PUT", "replayed"),
        ("DELETE", ""),
    ] {
        let backend = closes_on_the_second();
        let proxy = TestProxy::before(backend.address());
        let mut client = proxy.client();
        client.get("/first");
        let response = client.exchange(method, "/again", "", body);
        assert_eq!(response.status, 200, "{method}");
        assert_eq!(
            response.text(),
            if method == "HEAD" { "" } else { body },
            "{method}"
        );
        let requests = backend.requests();
        assert_eq!(count(&requests, "/again"), 2, "{method}");
        let ids: Vec<_> = requests[1..]
            .iter()
            .map(|r| r.head.get("x-request-id"))
            .collect();
        assert_eq!(ids[0], ids[1], "a retry is the same request");
        wait_until("the retry to be counted", || {
            proxy.metric("proxy_retries_total", &[]) >= 1
        });
    }
}

/// One of two dies with requests in its hands: the other one gets them at once. Its address may be
/// gone with it, so that a new connection would only hang.
#[test]
fn what_a_dead_address_had_goes_to_the_other() {
    let addresses = addresses(2);
    let (dies, _gate) = Backend::held_at(addresses[0], "at last");
    let lives = named(addresses[1]);
    let (proxy, _names) = proxy_before(&addresses);
    let mut clients = Vec::new();
    wait_until("a request at each address", || {
        let mut client = proxy.client();
        client.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
        clients.push(client);
        thread::sleep(Duration::from_millis(20));
        !dies.requests().is_empty() && !lives.requests().is_empty()
    });
    dies.close_connections();
    for mut client in clients {
        let response = client.response("GET").unwrap();
        assert_eq!(response.text(), addresses[1].ip().to_string());
    }
}

#[test]
fn a_post_that_may_have_arrived_is_not_sent_again() {
    let (backend, proxy) = proxied(closes_on_the_second());
    let mut client = proxy.client();
    client.get("/first");
    let response = client.exchange("POST", "/again", "", "once");
    assert_eq!(response.status, 502);
    assert_eq!(count(&backend.requests(), "/again"), 1);
    assert_eq!(client.get("/next").status, 200);
}

/// A body that was streamed through is gone, so it can't be sent again, whatever the method.
#[test]
fn a_streamed_put_is_not_sent_again_in_part() {
    let (backend, proxy) = proxied(Backend::start(|connection| {
        while let Ok(head) = connection.head() {
            if head.start_line.starts_with("PUT") {
                connection.skip(600_000).ok();
                return;
            }
            connection.send(ok("first"));
        }
    }));
    let mut client = proxy.client();
    client.get("/first");
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    let sent = client.try_send("x".repeat(1_000_000));
    match client.response("PUT") {
        Ok(response) => assert_eq!(response.status, 502, "{sent:?}"),
        Err(WireError::Truncated(_) | WireError::Closed) => {}
        Err(other) => panic!("{other:?}"),
    }
    let puts = backend.received().concat();
    let puts = String::from_utf8_lossy(&puts).matches("PUT / ").count();
    assert_eq!(puts, 1);
}

/// Thirty-two clients at once, both addresses coming and going: every answer is a 200 by one of
/// them, to the request that was asked.
#[test]
fn no_request_fails_while_addresses_come_and_go() {
    let addresses = addresses(2);
    let echo = |address| Backend::answering_at(address, |request| ok(&request.target));
    let mut backends = addresses
        .iter()
        .map(|address| echo(*address))
        .collect::<Vec<_>>();
    let (proxy, _names) = proxy_before(&addresses);
    let proxy = Arc::new(proxy);
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let clients: Vec<_> = (0..8)
        .map(|client_number| {
            let (proxy, done) = (Arc::clone(&proxy), Arc::clone(&done));
            thread::spawn(move || {
                let mut client = proxy.client();
                let mut sent = 0;
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let target = format!("/{client_number}/{sent}");
                    let response = client.get(&target);
                    response.assert_is(200, target);
                    sent += 1;
                }
                sent
            })
        })
        .collect();
    for round in 0..6 {
        thread::sleep(Duration::from_millis(150));
        let index = round % 2;
        backends.remove(index).stop();
        thread::sleep(Duration::from_millis(150));
        backends.insert(index, echo(addresses[index]));
        let returned = &backends[index];
        wait_until("the address to be used again", || {
            !returned.requests().is_empty()
        });
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    let sent: usize = clients
        .into_iter()
        .map(|client| client.join().unwrap())
        .sum();
    assert!(sent > 100, "{sent}");
}
