//! A container on an internal network has two ways left, names and the host's own services. `verify`
//! tries both from inside.

use std::net::{TcpListener, UdpSocket};
use std::process::Command;

use serde_json::Value;

use super::stack::{SHAPE, Stack};
use super::support::{docker, run};

/// The shape with both ways closed, as `compose.yaml` closes them.
fn closed() -> String {
    SHAPE
        .replace("expose: ['27017']", "expose: ['27017']\n    dns: 127.0.0.1")
        .replace(
            "internal: true}",
            "internal: true, driver_opts: {com.docker.network.bridge.inhibit_ipv4: 'true'}}",
        )
}

fn tried<'a>(document: &'a Value, to: &str, by: &str) -> Vec<&'a Value> {
    let links = document["links"].as_array().unwrap().iter();
    links
        .filter(|it| it["from"] == "store" && it["to"] == to && it["by"] == by)
        .collect()
}

/// Needs root: it gives a bridge an address.
#[test]
fn a_file_that_closes_them_is_held_to_it() {
    let stack = Stack::of(&closed());
    let _service = TcpListener::bind("0.0.0.0:0").unwrap();
    stack.assert_green();
    let (_, document) = stack.verify();
    assert_eq!(document["remaining"], serde_json::json!([]));
    for (to, by) in [("outside", "name"), ("host", "ping"), ("host", "tcp")] {
        let tried = tried(&document, to, by);
        let closed = |link: &&Value| link["open"] == false && link["verdict"] == "pass";
        assert!(
            !tried.is_empty() && tried.iter().all(closed),
            "{to} {by}: {tried:#?}"
        );
    }

    // Somebody gives the bridge the address that the file keeps from it.
    let network = stack.network("private");
    let of_network = |format: &str| docker(&["network", "inspect", "--format", format, &network]);
    let gateway = of_network("{{(index .IPAM.Config 0).Gateway}}/24");
    let bridge = format!("br-{}", &of_network("{{.Id}}")[..12]);
    run(Command::new("ip").args(["address", "add", &gateway, "dev", &bridge]));
    stack.assert_finds(&["store → host: expected closed", "ping", "open"]);
    stack.assert_finds(&["(gateway): expected none on", &bridge]);
}

#[test]
fn a_file_that_leaves_the_gateway_open_is_verified_and_told_what_remains() {
    let stack = Stack::up();
    let service = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = service.local_addr().unwrap().port();
    stack.assert_green();
    let (code, document) = stack.verify();
    assert_eq!(code, 0);
    let reached = |link: &&Value| link["port"] == port && link["verdict"] == "remains";
    let tcp = tried(&document, "host", "tcp");
    assert!(tcp.iter().any(reached), "{tcp:#?}");
    let remaining = document["remaining"][0].as_str().unwrap_or_default();
    assert!(
        remaining.starts_with("store → host: ") && remaining.contains("inhibit_ipv4"),
        "{document:#}"
    );
    let output = stack.command(&["verify"]).output().unwrap();
    let notes = String::from_utf8_lossy(&output.stderr);
    assert!(notes.contains("note: store → host: "), "{notes}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("verified: "), "{text}");
}

/// Needs root: its server listens on port 53.
#[test]
fn a_name_that_is_answered_from_outside_is_a_way_out() {
    // A server at the gateway stands for whatever the engine's own passes questions on to.
    let subnet = "10.213.77.0/24";
    let file = SHAPE
        .replace(
            "expose: ['27017']",
            "expose: ['27017']\n    dns: 10.213.77.1",
        )
        .replace(
            "internal: true}",
            &format!("internal: true, ipam: {{config: [{{subnet: {subnet}}}]}}}}"),
        );
    let stack = Stack::of(&file);
    let server = UdpSocket::bind("10.213.77.1:53").unwrap();
    std::thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, from)) = server.recv_from(&mut question) {
            // The same message as an answer: no such name (RFC 1035 §4.1.1).
            question[2..4].copy_from_slice(&[0x81, 0x83]);
            let _ = server.send_to(&question[..length], from);
        }
    });
    stack.assert_green();
    let (_, document) = stack.verify();
    let remaining = document["remaining"].as_array().unwrap();
    let told = remaining.iter().map(|it| it.as_str().unwrap());
    assert!(
        told.clone()
            .any(|it| it.starts_with("store → outside: ") && it.contains("`dns: 127.0.0.1`")),
        "{remaining:#?}"
    );
    assert_eq!(tried(&document, "outside", "name")[0]["verdict"], "remains");
}
