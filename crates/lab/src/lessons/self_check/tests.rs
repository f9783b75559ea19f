//! Each question, with evidence that is wrong in one point.

use serde_json::json;

use super::*;
use crate::lesson::Verdict;
use netcheck::probe::report::{Masquerade, OutInterface};

fn engine() -> ContainerInspectResponse {
    serde_json::from_value(json!({
        "Id": "c1",
        "NetworkSettings": {"Networks": {
            "bridge": {"IPAddress": "172.17.0.2", "IPPrefixLen": 16, "Gateway": "172.17.0.1"},
            "net": {"IPAddress": "172.18.0.2", "IPPrefixLen": 16, "Gateway": "172.18.0.1"},
        }},
    }))
    .unwrap()
}

fn alone() -> ContainerInspectResponse {
    let mut engine = engine();
    let settings = engine.network_settings.as_mut().unwrap();
    settings.networks.as_mut().unwrap().remove("net");
    engine
}

fn bridge() -> NetworkInspect {
    serde_json::from_value(json!({
        "Name": "bridge", "Id": "b1", "Driver": "bridge",
        "IPAM": {"Config": [{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"}]},
        "Options": {"com.docker.network.bridge.name": "docker0"},
    }))
    .unwrap()
}

fn net() -> NetworkInspect {
    serde_json::from_value(json!({
        "Name": "net", "Id": "0123456789abcdef", "Driver": "bridge",
        "IPAM": {"Config": [{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}]},
        "Containers": {"c1": {"Name": "plain", "IPv4Address": "172.18.0.2/16"}},
    }))
    .unwrap()
}

fn inside() -> Report {
    Report {
        interfaces: vec![
            interface(1, "lo", "loopback", None, Some("127.0.0.1/8")),
            interface(18, "eth0", "veth", Some(19), Some("172.17.0.2/16")),
        ],
        routes: vec![default_route("172.17.0.1")],
        resolver: nameservers(&["192.0.2.53"]),
        ..Report::default()
    }
}

fn host() -> Report {
    let mut veth = interface(19, "veth9d2840e", "veth", Some(18), None);
    veth.bridge = Some("docker0".into());
    Report {
        interfaces: vec![
            veth,
            interface(5, "docker0", "bridge", None, Some("172.17.0.1/16")),
        ],
        resolver: nameservers(&["192.0.2.53"]),
        ..Report::default()
    }
}

use super::super::fixtures::{default_route, echo, interface, nameservers, resolution};

#[test]
fn network_is_the_default_bridge_and_no_other() {
    assert_eq!(network(&alone()).verdict(), Verdict::Passed);
    assert_eq!(network(&engine()).verdict(), Verdict::Failed);
}

#[test]
fn the_host_end_is_found_by_index_and_must_point_back() {
    let step = interface_on_host(&alone(), &inside(), &host(), &bridge());
    assert_eq!(step.verdict(), Verdict::Passed);
    assert!(step.answer.contains("veth9d2840e"));
    let mut crossed = host();
    crossed.interfaces[0].link_index = Some(99);
    let step = interface_on_host(&alone(), &inside(), &crossed, &bridge());
    assert_eq!(step.verdict(), Verdict::Failed);
    let step = interface_on_host(&alone(), &inside(), &Report::default(), &bridge());
    assert_eq!(step.verdict(), Verdict::Failed);
}

#[test]
fn the_inside_bears_the_given_address() {
    assert_eq!(
        interface_inside(&alone(), &inside()).verdict(),
        Verdict::Passed
    );
    assert_eq!(address(&alone(), &inside()).verdict(), Verdict::Passed);
    let mut other = inside();
    other.interfaces[1].addresses = vec!["172.17.0.9/16".parse().unwrap()];
    assert_eq!(
        interface_inside(&alone(), &other).verdict(),
        Verdict::Failed
    );
    assert_eq!(address(&alone(), &other).verdict(), Verdict::Failed);
}

fn rules(source: &str, out: &str) -> Report {
    Report {
        masquerading: vec![Masquerade {
            table: "nat".into(),
            chain: "POSTROUTING".into(),
            source: Some(source.parse().unwrap()),
            out: Some(OutInterface {
                name: out.into(),
                equal: false,
            }),
        }],
        ..Report::default()
    }
}

fn gateway(rules: &Report) -> Step {
    gateway_is_the_bridge(&inside(), &host(), &bridge(), rules)
}

#[test]
fn the_rule_for_masquerading_is_the_bridge_s() {
    let step = gateway(&rules("172.17.0.0/16", "docker0"));
    assert_eq!(step.verdict(), Verdict::Passed);
    let rule = "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE";
    assert_eq!(step.evidence.last().unwrap().lines, [rule]);
    let step = gateway(&rules("172.17.0.0/16", "br-other"));
    assert_eq!(step.verdict(), Verdict::Failed);
    let unseen = gateway(&rules("172.18.0.0/16", "br-other"));
    assert_eq!(unseen.verdict(), Verdict::Passed);
    assert!(unseen.evidence.last().unwrap().lines[0].contains("not seen here"));
}

#[test]
fn the_gateway_is_the_bridge() {
    assert_eq!(
        default_gateway(&alone(), &inside()).verdict(),
        Verdict::Passed
    );
    let seen = rules("172.17.0.0/16", "docker0");
    assert_eq!(gateway(&seen).verdict(), Verdict::Passed);
    let mut other = inside();
    other.routes = vec![default_route("172.17.0.254")];
    assert_eq!(default_gateway(&alone(), &other).verdict(), Verdict::Failed);
    assert_eq!(
        gateway_is_the_bridge(&other, &host(), &bridge(), &seen).verdict(),
        Verdict::Failed
    );
}

#[test]
fn dns_servers_are_the_host_s_as_far_as_a_container_can_use_them() {
    assert_eq!(dns_servers(&inside(), &host()).verdict(), Verdict::Passed);
    let with = |servers: &[&str]| Report {
        resolver: nameservers(servers),
        ..host()
    };
    let mixed = with(&["192.0.2.53", "127.0.0.1", "2001:db8::53"]);
    assert_eq!(dns_servers(&inside(), &mixed).verdict(), Verdict::Passed);
    let stub = with(&["127.0.0.53"]);
    assert_eq!(dns_servers(&inside(), &stub).verdict(), Verdict::Passed);
    let other = with(&["192.0.2.54"]);
    assert_eq!(dns_servers(&inside(), &other).verdict(), Verdict::Failed);
}

#[test]
fn the_new_network_has_a_subnet_of_its_own() {
    assert_eq!(new_network(&net(), &bridge()).verdict(), Verdict::Passed);
    assert_eq!(new_network(&bridge(), &bridge()).verdict(), Verdict::Failed);
}

#[test]
fn connected_means_listed_and_plugged_in() {
    let mut both = inside();
    both.interfaces.push(interface(
        21,
        "eth1",
        "veth",
        Some(22),
        Some("172.18.0.2/16"),
    ));
    assert_eq!(
        connected(&engine(), &both, &net()).verdict(),
        Verdict::Passed
    );
    assert_eq!(
        connected(&engine(), &inside(), &net()).verdict(),
        Verdict::Failed
    );
    let unlisted = NetworkInspect {
        containers: None,
        ..net()
    };
    assert_eq!(
        connected(&engine(), &both, &unlisted).verdict(),
        Verdict::Failed
    );
}

#[test]
fn both_addresses_must_answer() {
    let addresses = ["172.17.0.2".parse().unwrap(), "172.18.0.2".parse().unwrap()];
    let mut host = host();
    host.pinged = vec![echo("172.17.0.2", None), echo("172.18.0.2", None)];
    let step = ping_both(&engine(), &host, &addresses);
    assert_eq!(step.verdict(), Verdict::Passed);
    let lines = &step.evidence.last().unwrap().lines;
    assert_eq!(
        lines[1],
        "16 bytes from 172.17.0.2: seq=1 ttl=64 time=0.300 ms"
    );
    host.pinged[1] = echo("172.18.0.2", Some("timeout"));
    assert_eq!(
        ping_both(&engine(), &host, &addresses).verdict(),
        Verdict::Failed
    );
    host.pinged[0] = echo("172.17.0.2", Some("EPERM"));
    assert_eq!(
        ping_both(&engine(), &host, &addresses).verdict(),
        Verdict::Skipped
    );
}

#[test]
fn the_embedded_server_answers_after_connecting() {
    let mut inside = inside();
    inside.resolver = nameservers(&["127.0.0.11"]);
    inside.resolved = vec![resolution("plain", &["172.18.0.2"])];
    assert_eq!(
        dns_after(&engine(), &inside, "net").verdict(),
        Verdict::Passed
    );
    inside.resolved = vec![resolution("plain", &[])];
    assert_eq!(
        dns_after(&engine(), &inside, "net").verdict(),
        Verdict::Failed
    );
    inside.resolver = nameservers(&["192.0.2.53"]);
    assert_eq!(
        dns_after(&engine(), &inside, "net").verdict(),
        Verdict::Failed
    );
}
