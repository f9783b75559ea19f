//! The upstream's name is followed through DNS: from nothing, to new addresses, through failures.

use crate::support::{
    Answer, Backend, NameServer, ProxyBuilder, TestProxy, assert_within, free_address, free_port,
    loopback, ok, wait_until,
};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// A backend at the `n`th address of this process that says which it is.
pub(crate) fn backend(n: u8, port: u16) -> Backend {
    Backend::answering_at(SocketAddr::new(loopback(n), port), move |_| {
        ok(&n.to_string())
    })
}

fn at(numbers: &[u8]) -> Answer {
    Answer::Addresses(
        numbers
            .iter()
            .map(|n| loopback(*n))
            .collect::<Vec<IpAddr>>(),
    )
}

fn builder(names: &NameServer, port: u16) -> ProxyBuilder {
    TestProxy::builder(format!("flask-app:{port}")).asking(names)
}

#[test]
fn it_starts_without_the_upstream_and_finds_it() {
    let port = free_address().port();
    let names = NameServer::start(Answer::NoSuchName);
    let proxy = builder(&names, port).start_alive();
    assert_eq!(proxy.get("/").status, 503);
    assert_eq!(proxy.admin_get("/readyz").status, 503);

    let _one = backend(1, port);
    names.set(at(&[1]));
    let appeared = Instant::now();
    wait_until("the upstream", || proxy.get("/").status == 200);
    assert_within(Duration::from_secs(2), appeared);
    assert_eq!(proxy.admin_get("/readyz").status, 200);
}

/// The promise: two seconds, under traffic, whatever the record's TTL says.
#[test]
fn it_follows_a_new_address() {
    let port = free_address().port();
    let names = NameServer::start(at(&[1]));
    let (old, new) = (backend(1, port), backend(2, port));
    let proxy = builder(&names, port).start();
    let mut client = proxy.client();
    assert_eq!(client.get("/").text(), "1");

    names.set(at(&[2]));
    let changed = Instant::now();
    wait_until("the new address", || client.get("/").text() == "2");
    assert_within(Duration::from_secs(2), changed);

    // From then on nothing more goes to the old one, though it would still answer.
    let before = old.requests().len();
    for _ in 0..50 {
        assert_eq!(client.get("/").text(), "2");
    }
    assert_eq!(old.requests().len(), before);
    assert!(new.requests().len() > 50);
}

/// A redeploy: the old container is gone before its name moves. No answer but a 5xx page in
/// between, and the new address is used within two seconds of its being named.
#[test]
fn it_follows_when_the_old_address_dies_first() {
    let port = free_address().port();
    let names = NameServer::start(at(&[1]));
    let old = backend(1, port);
    let proxy = builder(&names, port)
        .set("CONNECT_TIMEOUT", "500ms")
        .start();
    assert_eq!(proxy.get("/").text(), "1");
    old.stop();
    let between = proxy.get("/").status;
    assert!([502, 503, 504].contains(&between), "{between}");
    let _new = backend(2, port);
    names.set(at(&[2]));
    let changed = Instant::now();
    wait_until("the new address", || proxy.get("/").status == 200);
    assert_within(Duration::from_secs(2), changed);
}

/// A redeploy at its quickest: the name has moved, and the old container is gone before the proxy
/// has looked again. Nobody gets a 502 for that.
#[test]
fn a_request_that_finds_nobody_looks_the_name_up_again() {
    let port = free_address().port();
    let names = NameServer::start(at(&[1]));
    let old = backend(1, port);
    let proxy = builder(&names, port).set("RESOLVE_INTERVAL", "60s").start();
    assert_eq!(proxy.get("/").text(), "1");
    let _new = backend(2, port);
    names.set(at(&[2]));
    old.stop();
    assert_eq!(proxy.get("/").text(), "2");
}

/// Scaling up and down.
#[test]
fn addresses_come_and_go() {
    let port = free_address().port();
    let names = NameServer::start(at(&[1]));
    let backends = [1, 2, 3].map(|n| backend(n, port));
    let proxy = builder(&names, port)
        .set("RESOLVE_INTERVAL", "100ms")
        .start();
    let mut client = proxy.client();
    names.set(at(&[3, 1, 2]));
    wait_until("all three", || {
        assert_eq!(client.get("/").status, 200);
        backends.iter().all(|backend| backend.requests().len() > 2)
    });
    names.set(at(&[2]));
    wait_until("a row of answers from one alone", || {
        (0..20).all(|_| client.get("/").text() == "2")
    });
}

#[test]
fn a_failed_resolution_keeps_the_last_known_addresses() {
    let port = free_address().port();
    let names = NameServer::start(at(&[1]));
    let _one = backend(1, port);
    let proxy = builder(&names, port)
        .set("RESOLVE_INTERVAL", "100ms")
        .start();
    for failure in [Answer::ServerFailure, Answer::Silence] {
        names.set(failure.clone());
        let asked = names.queries("flask-app");
        wait_until("more questions", || names.queries("flask-app") >= asked + 2);
        for _ in 0..20 {
            assert_eq!(proxy.get("/").text(), "1", "{failure:?}");
        }
        assert_eq!(proxy.admin_get("/readyz").status, 200, "{failure:?}");
    }
    let _two = backend(2, port);
    names.set(at(&[2]));
    wait_until("the name server's return", || proxy.get("/").text() == "2");
}

/// Every kind of answer that tells nothing.
const NO_ANSWERS: [Answer; 3] = [Answer::ServerFailure, Answer::Refused, Answer::Silence];

/// The address that the other family still has is a dead one: without what this one had, each
/// request would be a 502.
#[test]
fn a_family_that_is_not_answered_keeps_its_addresses() {
    let port = free_port();
    let six: IpAddr = "::1".parse().unwrap();
    for alive in [loopback(1), six] {
        let names = NameServer::start_at(if alive == six { 6 } else { 7 }, at(&[1]));
        names.set_aaaa(Answer::Addresses(vec![six]));
        let _backend = Backend::answering_at(SocketAddr::new(alive, port), |_| ok("alive"));
        let proxy = builder(&names, port)
            .set("RESOLVE_INTERVAL", "100ms")
            .start();
        for failure in NO_ANSWERS {
            if alive == six {
                names.set_aaaa(failure.clone());
            } else {
                names.set_a(failure.clone());
            }
            let asked = names.queries("flask-app");
            wait_until("a row of questions", || {
                let response = proxy.get("/");
                assert_eq!(response.status, 200, "{alive} {failure:?}");
                names.queries("flask-app") >= asked + 12
            });
        }
    }
}

/// One family's answer is used although the other's never comes: at the start, before the proxy
/// listens, and at each change.
#[test]
fn a_family_that_is_not_answered_holds_up_the_other_in_nothing() {
    let port = free_address().port();
    let names = NameServer::start(at(&[1]));
    names.set_aaaa(Answer::Silence);
    let (_one, _two) = (backend(1, port), backend(2, port));
    let proxy = builder(&names, port).start_alive();
    assert_eq!(proxy.get("/").text(), "1");
    for n in [2, 1] {
        names.set_a(at(&[n]));
        let changed = Instant::now();
        wait_until("the new address", || proxy.get("/").text() == n.to_string());
        assert_within(Duration::from_secs(2), changed);
    }
}

/// A family that is said to have no addresses has none, though the name still exists.
#[test]
fn a_name_moves_from_one_family_to_the_other() {
    let port = free_port();
    let names = NameServer::start(at(&[1]));
    let four = backend(1, port);
    let six = SocketAddr::new("::1".parse().unwrap(), port);
    let _six = Backend::answering_at(six, |_| ok("six"));
    let proxy = builder(&names, port).start();
    assert_eq!(proxy.get("/").text(), "1");
    names.set(Answer::Addresses(vec![six.ip()]));
    wait_until("the move", || {
        proxy.metric("proxy_backend_up", &[]) == 1 && proxy.get("/").text() == "six"
    });
    let before = four.requests().len();
    for _ in 0..20 {
        assert_eq!(proxy.get("/").text(), "six");
    }
    assert_eq!(four.requests().len(), before);
}

/// An address that a redeploy leaves behind takes its series along, and no total with it.
#[test]
fn series_go_with_their_address_and_totals_stay() {
    let port = free_address().port();
    let names = NameServer::start(at(&[1]));
    let (one, two) = (backend(1, port), backend(2, port));
    let proxy = builder(&names, port).start();
    let connects = || proxy.metric("proxy_upstream_connects_total", &[]);
    assert_eq!(proxy.get("/").text(), "1");
    assert_eq!(connects(), 1);
    names.set_a(at(&[2]));
    wait_until("the new address", || proxy.get("/").text() == "2");
    let text = proxy.admin_get("/metrics").text();
    assert!(!text.contains(&one.address().to_string()), "{text}");
    assert!(text.contains(&two.address().to_string()), "{text}");
    assert_eq!(connects(), 2);
}

/// Answers that come late hold up nobody's request.
#[test]
fn late_answers_are_taken_and_delay_no_request() {
    let port = free_address().port();
    let names = NameServer::start(at(&[1]));
    let (_one, _two) = (backend(1, port), backend(2, port));
    let proxy = builder(&names, port)
        .set("RESOLVE_INTERVAL", "100ms")
        .start();
    names.set(Answer::Late(Duration::from_millis(1500), vec![loopback(2)]));
    let mut slowest = Duration::ZERO;
    let mut client = proxy.client();
    wait_until("the late answer", || {
        let asked = Instant::now();
        let response = client.get("/");
        slowest = slowest.max(asked.elapsed());
        assert_eq!(response.status, 200);
        response.text() == "2"
    });
    assert!(
        slowest < Duration::from_millis(1200),
        "a request waited {slowest:?} for DNS"
    );
}

/// Names that are known to be gone are dropped after a while: 503, not attempts on a dead address.
#[test]
fn a_name_that_is_gone_for_good_is_given_up() {
    let port = free_address().port();
    let names = NameServer::start(at(&[1]));
    let one = backend(1, port);
    let proxy = builder(&names, port)
        .set("RESOLVE_INTERVAL", "100ms")
        .start();
    assert_eq!(proxy.get("/").text(), "1");
    names.set(Answer::NoSuchName);
    wait_until("a 503", || proxy.get("/").status == 503);
    assert_eq!(proxy.admin_get("/readyz").status, 503);
    names.set(at(&[1]));
    wait_until("the return", || proxy.get("/").status == 200);
    drop(one);
}

#[test]
fn ipv6_addresses_are_backends_too() {
    let port = free_port();
    let address = SocketAddr::new("::1".parse().unwrap(), port);
    let names = NameServer::start(Answer::Addresses(vec![address.ip()]));
    let _backend = Backend::answering_at(address, |_| ok("six"));
    let proxy = builder(&names, port).start();
    assert_eq!(proxy.get("/").text(), "six");

    let by_literal = TestProxy::builder(address).start();
    assert_eq!(by_literal.get("/").text(), "six");
}

/// One name server for many requests: the resolver asks in the background, not per request.
#[test]
fn requests_ask_no_questions() {
    let port = free_address().port();
    let names = NameServer::start(at(&[1]));
    let _one = backend(1, port);
    let proxy = builder(&names, port).set("RESOLVE_INTERVAL", "1s").start();
    let asked = names.queries("flask-app");
    let started = Instant::now();
    for _ in 0..200 {
        assert_eq!(proxy.get("/").status, 200);
    }
    // Two questions (A and AAAA) each interval, and some room.
    let allowed = 4 + 4 * usize::try_from(started.elapsed().as_secs()).unwrap();
    let asked = names.queries("flask-app") - asked;
    assert!(
        asked <= allowed,
        "{asked} questions in {:?}",
        started.elapsed()
    );
}
