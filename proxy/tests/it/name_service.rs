//! `/etc/hosts` and `/etc/resolv.conf`: whatever is in them the proxy starts, and it follows them.

use crate::discovery::backend;
use crate::support::{
    Answer, Backend, NameServer, ProxyBuilder, Signal, TestProxy, assert_within, free_address,
    free_port, loopback, ok, wait_until,
};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

fn at(n: u8) -> Answer {
    Answer::Addresses(vec![loopback(n)])
}

fn builder(upstream: &str) -> ProxyBuilder {
    TestProxy::builder(upstream).set("RESOLVE_INTERVAL", "100ms")
}

#[track_caller]
fn until_answered_by(proxy: &TestProxy, n: u8) {
    wait_until("the other backend's answer", || {
        let response = proxy.get("/");
        response.status == 200 && response.text() == n.to_string()
    });
}

/// The lines of the log that are warnings and say this.
fn warnings(proxy: &TestProxy, text: &str) -> usize {
    let events = proxy.events();
    let warnings = events.iter().filter(|event| event["level"] == "WARN");
    warnings
        .filter(|event| event.to_string().contains(text))
        .count()
}

/// It listens, says once what is wrong, and ends when it is told to.
#[test]
fn it_starts_whatever_is_wrong_with_resolv_conf() {
    std::thread::scope(|scope| {
        for (content, named) in [
            (None, "not found"),
            (Some(""), "no name server"),
            (Some("search lan\n"), "no name server"),
            (Some("nameserver\n"), "nameserver"),
            (Some("nameserver 300.1.1.1\n"), "nameserver 300.1.1.1"),
            (Some("nonsense\n"), "nonsense"),
        ] {
            scope.spawn(move || it_starts_with_resolv_conf(content, named));
        }
    });
}

fn it_starts_with_resolv_conf(content: Option<&str>, named: &str) {
    let mut builder = builder("flask-app:1").empty_etc();
    if let Some(content) = content {
        builder = builder.etc("resolv.conf", content);
    }
    let mut proxy = builder.start_alive();
    assert_eq!(proxy.get("/").status, 503, "{content:?}");
    assert_eq!(proxy.admin_get("/readyz").status, 503, "{content:?}");
    assert!(warnings(&proxy, named) == 1, "{content:?}: {}", proxy.log());

    // No better, but quicker to fail: a row of failures has to add nothing to the log.
    proxy.write_etc("resolv.conf", "still bad\noptions timeout:1 attempts:1\n");
    let failed = ["outcome=\"failed\""];
    wait_until("a row of failures", || {
        proxy.metric("proxy_resolutions_total", &failed) >= 10
    });
    assert_eq!(warnings(&proxy, "still bad"), 1, "{content:?}");
    assert!(proxy.events().len() < 15, "{content:?}: {}", proxy.log());

    proxy.signal(Signal::TERM);
    let told = Instant::now();
    assert_eq!(proxy.ended().code(), Some(0), "{content:?}");
    assert_within(Duration::from_secs(2), told);
}

/// The rest of the file counts, as it does for the C library.
#[test]
fn a_line_that_cannot_be_used_costs_nothing_but_itself() {
    let port = free_address().port();
    let names = NameServer::start(at(1));
    let _one = backend(1, port);
    let address = names.address();
    let content = format!("nameserver 300.1.1.1\nsearch a..b\nnonsense\nnameserver {address}\n");
    let proxy = builder(&format!("flask-app:{port}"))
        .etc("resolv.conf", content)
        .start();
    assert_eq!(proxy.get("/").text(), "1");
    assert_eq!(warnings(&proxy, "300.1.1.1"), 1);
}

/// What needs no name server needs no `/etc/resolv.conf`.
#[test]
fn localhost_and_the_names_in_hosts_need_no_name_server() {
    let port = free_port();
    let _local = Backend::answering_at(SocketAddr::from(([127, 0, 0, 1], port)), |_| ok("local"));
    let _one = backend(1, port);
    let proxy = builder(&format!("localhost:{port}"))
        .empty_etc()
        .start_alive();
    assert_eq!(proxy.get("/").text(), "local");
    let proxy = builder(&format!("flask-app:{port}"))
        .etc("hosts", format!("{} Flask-App", loopback(1)))
        .start_alive();
    assert_eq!(proxy.get("/").text(), "1");
}

/// While the first answer is waited for, too.
#[test]
fn a_stop_signal_is_served_before_the_first_answer() {
    let names = NameServer::start(Answer::Silence);
    let mut proxy = builder("flask-app:1").asking(&names).spawn();
    wait_until("the first question", || names.all_queries() > 0);
    proxy.signal(Signal::TERM);
    let told = Instant::now();
    assert_eq!(proxy.ended().code(), Some(0));
    assert_within(Duration::from_millis(700), told);
}

/// Written in place, as Docker does it, or replaced, as editors do it.
#[test]
fn changes_of_hosts_are_followed() {
    let port = free_address().port();
    let names = NameServer::start(at(3));
    let _backends = [1, 2, 3].map(|n| backend(n, port));
    let hosts = |n| format!("127.0.0.1 localhost\n{} other flask-app # n\n", loopback(n));
    let proxy = builder(&format!("flask-app:{port}"))
        .asking(&names)
        .etc("hosts", hosts(1))
        .start();
    assert_eq!(proxy.get("/").text(), "1");
    proxy.write_etc("hosts", hosts(2));
    until_answered_by(&proxy, 2);
    proxy.replace_etc("hosts", hosts(1));
    until_answered_by(&proxy, 1);
    // A name that is in the file is asked of no server: it would have another answer.
    assert_eq!(names.all_queries(), 0);
    proxy.write_etc("hosts", "127.0.0.1 localhost\n");
    until_answered_by(&proxy, 3);
}

/// Also while a server that it names no more has yet to answer.
#[test]
fn changes_of_resolv_conf_are_followed() {
    let port = free_address().port();
    let (silent, second) = (
        NameServer::start(Answer::Silence),
        NameServer::start_at(6, at(2)),
    );
    let (_one, _two) = (backend(1, port), backend(2, port));
    let resolv_conf = |names: &NameServer| format!("nameserver {}\n", names.address());
    let proxy = builder(&format!("flask-app:{port}"))
        .etc("resolv.conf", resolv_conf(&silent))
        .start_alive();
    assert_eq!(proxy.get("/").status, 503);
    let changed = Instant::now();
    proxy.write_etc("resolv.conf", resolv_conf(&second));
    until_answered_by(&proxy, 2);
    assert_within(Duration::from_secs(2), changed);
    silent.set(at(1));
    proxy.replace_etc("resolv.conf", resolv_conf(&silent));
    until_answered_by(&proxy, 1);
}

/// Two are asked at a time.
#[test]
fn a_silent_name_server_beside_another_costs_nothing() {
    let port = free_address().port();
    let silent = NameServer::start(Answer::Silence);
    let second = NameServer::start_at(6, at(1));
    let _one = backend(1, port);
    let servers = [&silent, &second].map(|names| format!("nameserver {}\n", names.address()));
    let proxy = builder(&format!("flask-app:{port}"))
        .etc("resolv.conf", servers.concat())
        .start_alive();
    assert_eq!(proxy.get("/").text(), "1");
    assert!(silent.all_queries() > 0);
}

#[test]
fn use_vc_asks_over_tcp_alone() {
    let port = free_address().port();
    let names = NameServer::start(at(1));
    let _one = backend(1, port);
    let content = format!("nameserver {}\noptions use-vc\n", names.address());
    let proxy = builder(&format!("flask-app:{port}"))
        .etc("resolv.conf", content)
        .start();
    assert_eq!(proxy.get("/").text(), "1");
    assert!(names.all_queries() > 0);
    assert_eq!(names.all_queries(), names.queries_over_tcp());
}

#[test]
fn the_search_list_goes_first_where_a_name_has_fewer_dots_than_ndots() {
    let port = free_address().port();
    let names = NameServer::start(at(1));
    let _one = backend(1, port);
    let server = format!("nameserver {}\nsearch lan\n", names.address());
    for (options, name, asked, unasked) in [
        ("", "flask-app", "flask-app.lan", "flask-app"),
        ("", "a.b", "a.b", "a.b.lan"),
        ("options ndots:2", "c.d", "c.d.lan", "c.d"),
        ("", "absolute.", "absolute", "absolute.lan"),
    ] {
        let _proxy = builder(&format!("{name}:{port}"))
            .etc("resolv.conf", format!("{server}{options}\n"))
            .start();
        assert!(names.queries(asked) > 0, "{name} {options}");
        assert_eq!(names.queries(unasked), 0, "{name} {options}");
    }
}

/// `attempts:1`, `timeout:1`: the look-up is over after a second, and is logged as failed.
#[test]
fn timeout_and_attempts_are_honoured() {
    let names = NameServer::start(Answer::Silence);
    let server = format!("nameserver {}\n", names.address());
    let proxy = builder("flask-app:1")
        .etc(
            "resolv.conf",
            format!("{server}options timeout:1 attempts:1\n"),
        )
        .start_alive();
    let started = Instant::now();
    wait_until("the failure", || warnings(&proxy, "can't be resolved") == 2);
    // By default it would be ten seconds.
    assert_within(Duration::from_secs(4), started);
}
