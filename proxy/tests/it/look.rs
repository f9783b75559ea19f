//! `proxy look`, the TLS client of `deploy verify`.

use std::{
    io::Write as _,
    net::SocketAddr,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{support::*, tls::Tls};

/// What it says of a server.
fn look(address: SocketAddr, name: Option<&str>, authority: Option<&str>) -> Value {
    let question = json!({
        "address": address.to_string(),
        "name": name,
        "authority": authority,
        "host": "a.test:8443",
        "path": "/place?a=b",
    });
    let mut child = Command::new(env!("CARGO_BIN_EXE_proxy"))
        .arg("look")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(question.to_string().as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_handshake_and_a_request_and_what_came_of_them() {
    let backend = Backend::answering(|request| {
        let host = request.head.get("host").unwrap_or("none");
        ok(&format!("{} for {host}", request.target))
    });
    let tls = Tls::before(backend, &[]);
    let address = tls.proxy.tls_address;
    let authority = tls.authority.pem();

    let seen = look(address, Some("a.test"), Some(&authority));
    assert_eq!(seen["untrusted"], Value::Null, "{seen}");
    assert_eq!(seen["protocol"], "TLS 1.3");
    assert!(
        seen["cipher"].as_str().unwrap().starts_with("TLS13_"),
        "{seen}"
    );
    assert_eq!(seen["names"], json!(["a.test", "example.test"]));
    assert!(seen["not_before"].as_i64() < seen["not_after"].as_i64());
    assert_eq!(seen["status"], 200);
    assert_eq!(seen["body"], "/place?a=b for a.test:8443");

    // The name counts only where one is asked for.
    let seen = look(address, None, Some(&authority));
    assert_eq!(seen["untrusted"], Value::Null, "{seen}");
    let seen = look(address, Some("b.test"), Some(&authority));
    let why = seen["untrusted"].as_str().unwrap();
    assert!(why.contains("not valid for name"), "{why}");
    assert_eq!(seen["status"], 200);

    let seen = look(address, Some("a.test"), None);
    let why = seen["untrusted"].as_str().unwrap();
    assert!(why.contains("UnknownIssuer"), "{why}");
}

#[test]
fn where_there_is_no_tls_that_is_the_answer() {
    let (_backend, proxy) = proxied(Backend::answering(|_| ok("plain")));
    for address in [proxy.address, "127.0.0.1:1".parse().unwrap()] {
        let seen = look(address, None, None);
        assert!(!seen["error"].as_str().unwrap().is_empty(), "{seen}");
    }
}
