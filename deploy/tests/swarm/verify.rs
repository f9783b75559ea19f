//! `deploy verify` and `deploy inspect` over three machines: what is wrong on one of them is found.

use std::env;
use std::process::Command;

use serde_json::json;
use testkit::process::run;

use super::bed::Bed;

pub(crate) fn is_verified_over_its_nodes(bed: &Bed) {
    shows_which_node_has_what(bed);
    // Whoever asks the keeper for its figures does so over this network.
    let service = "causeway_keeper";
    bed.docker(&[
        "service",
        "update",
        "--quiet",
        "--network-rm",
        "public-net-1",
        service,
    ]);
    let node = bed.tasks().into_iter().find(|it| it.0 == "keeper");
    let node = node.map(|it| it.1).unwrap_or_default();
    // Where there is no registry, a node that can't look is named as well, with what it lacks.
    let lacks = "n3 → the others (look): it has no image causeway/probe:";
    let failed = bed.fails(&["verify"]);
    for told in [
        &format!("engine → keeper ({node}) (networks): expected"),
        &format!("proxy (n1) → keeper ({node}): expected open"),
        "causeway_keeper.1 has no endpoint on public-net-1",
        lacks,
    ] {
        assert!(failed.contains(told), "{told}: {failed}");
    }
    let image = failed.split(lacks).nth(1).unwrap_or_default();
    let hash = image.split(',').next().unwrap_or_default();
    load(&format!("causeway/probe:{hash}"));

    finds_that_long_packets_are_lost(bed);
    let held = bed.ends(0, &["up"]);
    assert!(held.contains("expectations hold ("), "{held}");
    let services = bed.docker(&["service", "ls", "--format", "{{.Name}}"]);
    assert!(!services.contains("_verify-"), "{services}");
}

fn shows_which_node_has_what(bed: &Bed) {
    let network = bed.document(&["inspect"]);
    let nodes = network["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 3, "{network}");
    let tasks = network["sandboxes"].as_array().unwrap();
    let of = |service: &'static str| tasks.iter().filter(move |it| it["service"] == service);
    assert_eq!(of("proxy").count(), 3, "{network}");
    let mongo = of("mongo").next().unwrap();
    assert_eq!(mongo["node"], "n1");
    assert_eq!(mongo["endpoints"][0]["network"], "private-net-1");
    assert!(mongo["endpoints"][0]["address"].is_string(), "{mongo}");
    let networks = network["networks"].as_array().unwrap();
    let public = networks.iter().find(|it| it["name"] == "public-net-1");
    let overlay = &public.unwrap()["overlay"];
    assert_eq!(overlay["encrypted"], false);
    assert_eq!(overlay["mtu"], 1450);
    assert_eq!(overlay["vxlan"].as_array().unwrap().len(), 1, "{overlay}");
    assert_eq!(overlay["peers"], json!(["n1", "n2", "n3"]), "{overlay}");
}

/// As on a path through a tunnel, where somebody keeps the machines from being told.
fn finds_that_long_packets_are_lost(bed: &Bed) {
    let filter = |change: &str| {
        let longer = "INPUT -p udp --dport 4789 -m length --length 1451:65535 -j DROP";
        let words = ["iptables", change].into_iter().chain(longer.split(' '));
        bed.inside("n2", &words.collect::<Vec<_>>());
    };
    filter("-A");
    let failed = bed.fails(&["verify"]);
    filter("-D");
    for told in [
        "n1 → n2 over public-net-1 (mtu): expected 1450 bytes, saw 1",
        "longer packets are lost between n1 and n2",
        "com.docker.network.driver.mtu",
    ] {
        assert!(failed.contains(told), "{told}: {failed}");
    }
}

/// Into the machines that don't have it.
fn load(image: &str) {
    let bed = env::var("BED").unwrap();
    for node in ["n2", "n3"] {
        let load = format!(
            "set -o pipefail; docker save {image} | docker --host unix://{bed}/{node}/docker.sock load --quiet"
        );
        run(Command::new("bash").args(["-c", &load]));
    }
}
