//! Each question handed wrong evidence.

use serde_json::json;

use super::super::fixtures::{default_route, interface, ip, loopback, resolution};
use super::*;
use crate::lesson::Verdict;
use crate::wire::tests::frame;

const MACHINES: [&str; 2] = ["172.18.0.2", "172.18.0.3"];

fn overlay(scope: &str) -> NetworkInspect {
    serde_json::from_value(json!({
        "Name": "lab-over", "Driver": "overlay", "Scope": scope,
        "IPAM": {"Config": [{"Subnet": "10.0.1.0/24", "Gateway": "10.0.1.1"}]},
        "Options": {"com.docker.network.driver.overlay.vxlanid_list": "4097"},
        "Containers": {"2b1c": {"Name": "lab-two", "IPv4Address": "10.0.1.7/24"}},
    }))
    .unwrap()
}

fn gateway() -> NetworkInspect {
    serde_json::from_value(json!({
        "Name": "docker_gwbridge", "Driver": "bridge",
        "IPAM": {"Config": [{"Subnet": "172.19.0.0/16", "Gateway": "172.19.0.1"}]},
    }))
    .unwrap()
}

/// Inside of a container on the overlay.
fn inside(mtu: u32, gateway: &str) -> Report {
    let mut own = interface(7, "eth0", "veth", Some(8), Some("10.0.1.5/24"));
    own.mtu = mtu;
    Report {
        interfaces: vec![
            loopback(),
            own,
            interface(9, "eth1", "veth", Some(10), Some("172.19.0.3/16")),
        ],
        routes: vec![default_route(gateway)],
        ..Report::default()
    }
}

#[test]
fn a_machine_that_has_not_joined_is_missed() {
    let listed = |other: &str| {
        let m1 = r#"{"Hostname":"m1","Status":"Ready","ManagerStatus":"Leader"}"#;
        let m2 = format!(r#"{{"Hostname":"m2","Status":"{other}","ManagerStatus":""}}"#);
        one_swarm(&nodes(&format!("{m2}\n{m1}"))).verdict()
    };
    assert_eq!(listed("Ready"), Verdict::Passed);
    assert_eq!(listed("Down"), Verdict::Failed);
}

#[test]
fn the_record_must_be_of_the_swarm_and_know_both_machines() {
    let verdict = |scope: &str, peers: serde_json::Value| {
        let peers = serde_json::from_value(json!({"Peers": peers})).unwrap();
        network_record(&overlay(scope), &peers, &MACHINES.map(ip)).verdict()
    };
    let both = json!([{"Name": "b", "IP": MACHINES[1]}, {"Name": "a", "IP": MACHINES[0]}]);
    assert_eq!(verdict("swarm", both.clone()), Verdict::Passed);
    assert_eq!(verdict("local", both), Verdict::Failed);
    let one = json!([{"Name": "a", "IP": MACHINES[0]}]);
    assert_eq!(verdict("swarm", one), Verdict::Failed);
}

#[test]
fn the_other_must_answer_by_name() {
    let verdict = |status: Option<u16>| {
        let fetched = json!([{
            "host": TWO, "port": PORT, "path": "/", "status": status, "body": "", "error": null,
            "elapsed_us": 1
        }]);
        let report = Report {
            resolved: vec![resolution(TWO, &["10.0.1.7"])],
            fetched: serde_json::from_value(fetched).unwrap(),
            ..Report::default()
        };
        by_name(&report, address_of(&overlay("swarm"), TWO)).verdict()
    };
    assert_eq!(verdict(Some(200)), Verdict::Passed);
    assert_eq!(verdict(None), Verdict::Failed);
}

#[test]
fn the_packet_is_of_this_network_and_between_these_machines() {
    let mut port = interface(7, "veth7", "veth", Some(8), None);
    port.bridge = Some("br-cable".into());
    let host = Report {
        interfaces: vec![port],
        ..Report::default()
    };
    let packet = Packet::parse(7, &frame("GET / HTTP/1.1\r\n")).unwrap();
    let verdict = |machines: [&str; 2], vni: &str, host: &Report| {
        on_the_cable(&packet, &machines.map(ip), Some(vni.to_owned()), host).verdict()
    };
    assert_eq!(verdict(MACHINES, "4097", &host), Verdict::Passed);
    assert_eq!(verdict(MACHINES, "4098", &host), Verdict::Failed);
    let others = ["172.18.0.2", "172.18.0.4"];
    assert_eq!(verdict(others, "4097", &host), Verdict::Failed);
    assert_eq!(
        verdict(MACHINES, "4097", &Report::default()),
        Verdict::Failed
    );
}

#[test]
fn the_way_out_is_the_gateway_bridge() {
    let verdict = |report| two_interfaces(&report, &overlay("swarm"), &gateway()).verdict();
    assert_eq!(verdict(inside(1450, "172.19.0.1")), Verdict::Passed);
    assert_eq!(verdict(inside(1450, "10.0.1.1")), Verdict::Failed);
    let mut cut = inside(1450, "172.19.0.1");
    cut.interfaces.remove(1);
    assert_eq!(verdict(cut), Verdict::Failed);
}

#[test]
fn its_packets_must_leave_room_for_what_goes_around_them() {
    let machine = Report {
        interfaces: vec![interface(5, "eth0", "veth", Some(6), Some("172.18.0.2/16"))],
        ..Report::default()
    };
    let verdict = |mtu| {
        let inside = inside(mtu, "172.19.0.1");
        smaller_packets(&inside, &overlay("swarm"), &machine, ip(MACHINES[0])).verdict()
    };
    assert_eq!(verdict(1450), Verdict::Passed);
    assert_eq!(verdict(1500), Verdict::Failed);
}
