//! Networks of both families, and ports that are published on IPv6 addresses.

use std::io::{Read, Write};
use std::net::TcpListener;

use netcheck::probe::Request;
use netcheck::probe::image::Image;
use netcheck::probe::request::Resource;
use netcheck::probe::run::{Place, one};

use super::stack::{SHAPE, Stack};
use super::support::{engine, probe_binary};

/// The shape with a public network of both families, its port published on `address`. (An engine of
/// before 27 keeps networks apart for IPv4 alone, so the private one has no IPv6.)
fn dual(address: &str, third: u8) -> String {
    let pools = format!(
        "enable_ipv6: true, ipam: {{config: [{{subnet: 10.214.{third}.0/24}}, \
         {{subnet: 'fd00:214:{third}::/64'}}]}}"
    );
    SHAPE
        .replace("127.0.0.1:PORT", &format!("{address}:PORT"))
        .replace("PROJECT-public}", &format!("PROJECT-public, {pools}}}"))
}

#[test]
fn a_stack_of_both_families_is_green() {
    let stack = Stack::of(&dual("[::]", 1));
    stack.assert_green();
    let (_, document) = stack.verify();
    let links = document["links"].as_array().unwrap();
    let reached = links.iter().any(|it| {
        let host = it["host"].as_str().unwrap_or_default();
        it["from"] == "proxy"
            && it["to"] == "api"
            && host.starts_with("fd00:214:")
            && it["verdict"] == "pass"
    });
    assert!(reached, "{links:#?}");
    // Asked where it listens: Docker forwards `::` for IPv6 alone.
    let checks = document["checks"].as_array().unwrap();
    let at = format!("proxy ([::1]:{})", stack.port);
    assert!(
        checks
            .iter()
            .any(|it| it["to"] == at.as_str() && it["by"] == "http"),
        "{checks:#?}"
    );
}

#[test]
fn a_port_on_the_ipv6_loopback_is_green() {
    let stack = Stack::of(&dual("[::1]", 2));
    stack.assert_green();
}

#[test]
fn a_network_without_a_pool_of_its_family_is_told_so() {
    let file = SHAPE.replace("internal: true}", "internal: true, enable_ipv6: true}");
    let stack = Stack::written(&file);
    let up = stack.command(&["up", "--no-verify"]).output().unwrap();
    let text = String::from_utf8_lossy(&up.stderr);
    // Engines from 27 on have a pool for it.
    let advice = text.contains("address pool") && text.contains("next: give the network a subnet");
    assert!(up.status.success() || advice, "{text}");
}

#[tokio::test]
async fn host_has_brackets_around_an_ipv6_address() {
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 1024];
        let length = stream.read(&mut head).unwrap();
        stream.write_all(b"HTTP/1.0 404 Not Found\r\n\r\n").unwrap();
        String::from_utf8_lossy(&head[..length]).into_owned()
    });
    let engine = engine().await;
    let image = Image::from_executable(&engine, &probe_binary())
        .await
        .unwrap();
    let request = Request {
        get: vec![Resource {
            host: "::1".to_owned(),
            port,
            path: "/".to_owned(),
        }],
        ..Request::default()
    };
    let report = one(&engine, &image, &Place::Host, &request).await.unwrap();
    assert_eq!(report.fetched[0].status, Some(404));
    let asked = asked.join().unwrap();
    assert!(
        asked.contains(&format!("Host: [::1]:{port}\r\n")),
        "{asked}"
    );
}
