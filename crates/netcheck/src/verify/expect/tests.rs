//! What files imply, without an engine.

use compose_file::LoadOptions;
use engine::state::Status;

use super::super::beyond::INHIBIT;
use super::*;
use crate::inspect::model::{self, Endpoint, Host};
use crate::probe::report::Listener;

const FILE: &str = "
services:
  proxy: {image: a, ports: ['8080:80'], networks: [front]}
  api: {image: a, expose: ['9090'], networks: {front: {aliases: [flask-app]}, back: }}
  store: {image: a, networks: {back: {aliases: [mongo]}}}
  migrate: {image: a, networks: [back]}
networks:
  front: {name: front}
  back: {name: back, internal: true}
";

fn project(file: &str) -> Project {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("compose.yaml");
    std::fs::write(&path, file).unwrap();
    compose_file::load(&LoadOptions::from_process([path])).unwrap()
}

fn network(name: &str, options: &[(&str, &str)]) -> model::Network {
    model::Network {
        name: name.to_owned(),
        driver: "bridge".to_owned(),
        options: options
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
        ..model::Network::default()
    }
}

fn sandbox(service: &str, on: &[(&str, &str)]) -> Sandbox {
    let endpoint = |(network, address): &(&str, &str)| Endpoint {
        network: (*network).to_owned(),
        address: Some(address.parse().unwrap()),
        ..Endpoint::default()
    };
    Sandbox {
        container: format!("p-{service}-1"),
        id: service.to_owned(),
        node: None,
        service: service.to_owned(),
        number: 1,
        status: Status::Running,
        exit_code: None,
        hostname: None,
        mode: String::new(),
        resolver: None,
        forwards_to: Vec::new(),
        default_gateway: None,
        routes: Vec::new(),
        endpoints: on.iter().map(endpoint).collect(),
        listening: Vec::new(),
        exposed: Vec::new(),
        published: Vec::new(),
        requested: Vec::new(),
    }
}

fn topology() -> Topology {
    let mut store = sandbox("store", &[("back", "10.2.0.3/16")]);
    store.exposed = vec!["27017/tcp".to_owned()];
    let mut migrate = sandbox("migrate", &[]);
    (migrate.status, migrate.exit_code) = (Status::Exited, Some(0));
    Topology {
        project: "p".to_owned(),
        host: Host::default(),
        nodes: Vec::new(),
        networks: vec![network("front", &[]), network("back", &[])],
        sandboxes: vec![
            sandbox("proxy", &[("front", "10.1.0.2/16")]),
            sandbox("api", &[("front", "10.1.0.3/16"), ("back", "10.2.0.2/16")]),
            store,
            migrate,
        ],
        notes: Vec::new(),
    }
}

fn between(links: &[Expectation], from: End, to: End) -> Vec<(By, bool)> {
    let of = links
        .iter()
        .filter(|link| link.from == from && link.to == to);
    of.map(|link| (link.by.clone(), link.open)).collect()
}

fn name(name: &str) -> By {
    By::Name {
        name: name.to_owned(),
    }
}

fn tcp(host: &str, port: u16) -> By {
    By::Tcp {
        host: host.to_owned(),
        port,
    }
}

fn ping(host: &str) -> By {
    By::Ping {
        host: host.to_owned(),
    }
}

#[test]
fn a_shared_network_opens_names_ports_and_ping() {
    let links = links(&project(FILE), &topology(), &Beyond::default());
    assert_eq!(
        between(&links, End::Sandbox(0), End::Sandbox(1)),
        [
            (name("api"), true),
            (name("flask-app"), true),
            (tcp("flask-app", 9090), true),
            (tcp("10.1.0.3", 9090), true),
            (ping("10.1.0.3"), true),
        ]
    );
}

#[test]
fn what_is_only_published_is_open_where_nobody_else_is() {
    let file = FILE
        .replace("networks: [front]}", "networks: [door, front]}")
        .replace(
            "networks:\n  front",
            "networks:\n  door: {name: door}\n  front",
        );
    let file = format!("{file}x-verify: {{only_published: [proxy]}}\n");
    let mut topology = topology();
    topology.networks.push(network("door", &[]));
    let proxy = &mut topology.sandboxes[0];
    *proxy = sandbox(
        "proxy",
        &[("door", "10.3.0.2/16"), ("front", "10.1.0.2/16")],
    );
    proxy.listening = vec![Listener {
        address: "0.0.0.0".parse().unwrap(),
        port: 9181,
    }];
    let links = links(&project(&file), &topology, &Beyond::default());
    assert_eq!(
        between(&links, End::Sandbox(1), End::Sandbox(0)),
        [
            (name("proxy"), true),
            (tcp("proxy", 80), false),
            (tcp("10.3.0.2", 80), false),
            (tcp("10.3.0.2", 9181), false),
            (ping("10.3.0.2"), false),
            (tcp("10.1.0.2", 80), false),
            (tcp("10.1.0.2", 9181), false),
            (ping("10.1.0.2"), true),
        ]
    );
    let from_host = between(&links, End::Host, End::Sandbox(0));
    assert!(from_host.contains(&(tcp("10.3.0.2", 80), true)));
    assert!(from_host.contains(&(tcp("10.1.0.2", 80), false)));
}

#[test]
fn each_family_is_tried() {
    let mut topology = topology();
    topology.sandboxes[1].endpoints[0].address6 = Some("fd00:1::3/64".parse().unwrap());
    topology.sandboxes[2].endpoints[0].address6 = Some("fd00:2::3/64".parse().unwrap());
    let links = links(&project(FILE), &topology, &Beyond::default());
    for (from, to, address, open) in [
        (End::Sandbox(0), 1, "fd00:1::3", true),
        (End::Sandbox(0), 2, "fd00:2::3", false),
        (End::Host, 2, "fd00:2::3", true),
    ] {
        let tried = between(&links, from, End::Sandbox(to));
        assert!(tried.contains(&(ping(address), open)), "{tried:?}");
    }
}

#[test]
fn without_a_shared_network_nothing_is_possible() {
    let links = links(&project(FILE), &topology(), &Beyond::default());
    assert_eq!(
        between(&links, End::Sandbox(0), End::Sandbox(2)),
        [
            (name("mongo"), false),
            (name("store"), false),
            (tcp("10.2.0.3", 27017), false),
            (ping("10.2.0.3"), false),
        ]
    );
}

#[test]
fn an_endpoint_that_the_file_doesnt_give_changes_no_expectation() {
    let mut topology = topology();
    let stray = Endpoint {
        network: "back".to_owned(),
        address: Some("10.2.0.9/16".parse().unwrap()),
        ..Endpoint::default()
    };
    topology.sandboxes[0].endpoints.push(stray);
    let links = links(&project(FILE), &topology, &Beyond::default());
    let to_store = between(&links, End::Sandbox(0), End::Sandbox(2));
    assert!(to_store.iter().all(|(_, open)| !open), "{to_store:?}");
    let to_proxy = between(&links, End::Sandbox(2), End::Sandbox(0));
    assert!(
        to_proxy.contains(&(ping("10.2.0.9"), false)),
        "{to_proxy:?}"
    );
}

#[test]
fn the_way_out_follows_from_internal_networks() {
    let beyond = Beyond {
        outside: vec![ping("192.0.2.1")],
        ..Beyond::default()
    };
    let links = links(&project(FILE), &topology(), &beyond);
    let out = |from| between(&links, End::Sandbox(from), End::Outside);
    assert_eq!(out(0), [(ping("192.0.2.1"), true)]);
    assert_eq!(out(1), [(ping("192.0.2.1"), true)]);
    assert_eq!(out(2), [(ping("192.0.2.1"), false)]);
}

#[test]
fn the_host_reaches_bridges_unless_they_are_isolated_from_it() {
    let mut topology = topology();
    let open = links(&project(FILE), &topology, &Beyond::default());
    assert!(between(&open, End::Host, End::Sandbox(2)).contains(&(ping("10.2.0.3"), true)));
    for option in [(GATEWAY_MODE, "isolated"), (INHIBIT, "true")] {
        topology.networks[1] = network("back", &[option]);
        let isolated = links(&project(FILE), &topology, &Beyond::default());
        assert_eq!(between(&isolated, End::Host, End::Sandbox(2)), []);
    }
}

#[test]
fn what_ran_to_its_end_is_reached_by_nobody() {
    let links = links(&project(FILE), &topology(), &Beyond::default());
    assert_eq!(between(&links, End::Sandbox(2), End::Sandbox(3)), []);
}

#[test]
fn containers_of_a_network_without_icc_are_kept_apart() {
    let file = format!("{FILE}    driver_opts: {{{ICC}: 'false'}}\n").replace(
        "  back: {name: back, internal: true}\n    driver_opts",
        "  back:\n    name: back\n    driver_opts",
    );
    let links = links(&project(&file), &topology(), &Beyond::default());
    let api_to_store = between(&links, End::Sandbox(1), End::Sandbox(2));
    assert!(
        api_to_store.contains(&(name("mongo"), true)),
        "{api_to_store:?}"
    );
    assert!(
        api_to_store.contains(&(tcp("10.2.0.3", 27017), false)),
        "{api_to_store:?}"
    );
}

#[test]
fn names_and_the_host_are_closed_to_what_has_no_way_out_by_the_file_or_else_remain() {
    let mut topology = topology();
    topology.networks[1].pools = vec![model::Pool {
        subnet: None,
        ip_range: None,
        gateway: Some("10.2.0.1".parse().unwrap()),
    }];
    let beyond = Beyond {
        name: Some("x.invalid".to_owned()),
        ports: vec![22],
        ..Beyond::default()
    };
    let ways = |file: &str| {
        let links = links(&project(file), &topology, &beyond);
        let of = links.into_iter().filter(|link| {
            link.from == End::Sandbox(2) && matches!(link.to, End::Outside | End::Host)
        });
        of.map(|link| (link.by, link.open, link.basis))
            .collect::<Vec<_>>()
    };
    let all = |basis| {
        [
            (name("x.invalid"), false, basis),
            (tcp("10.2.0.1", 22), false, basis),
            (ping("10.2.0.1"), false, basis),
        ]
    };
    assert_eq!(ways(FILE), all(Basis::Engine));
    let closed = FILE
        .replace("store: {image: a,", "store: {image: a, dns: [127.0.0.1],")
        .replace(
            "internal: true",
            &format!("internal: true, driver_opts: {{{INHIBIT}: 'true'}}"),
        );
    assert_eq!(ways(&closed), all(Basis::File));
    // What has a way out asks whom it likes.
    let of_proxy = links(&project(FILE), &topology, &beyond);
    assert!(
        !of_proxy
            .iter()
            .any(|link| link.from == End::Sandbox(0) && link.to == End::Host)
    );
}

#[test]
fn an_address_that_no_kernel_on_the_way_has_a_route_to_is_not_asked() {
    let route = |destination: &str| Route {
        destination: destination.parse().unwrap(),
        gateway: None,
        interface: None,
        source: None,
        metric: None,
    };
    let mut topology = topology();
    let basis = |topology: &Topology| {
        let links = links(&project(FILE), topology, &Beyond::default());
        let ping = links.into_iter().find(|link| {
            (link.from, link.to) == (End::Sandbox(0), End::Sandbox(2))
                && link.by == ping("10.2.0.3")
        });
        ping.unwrap().basis
    };
    topology.sandboxes[0].routes = vec![route("0.0.0.0/0"), route("10.1.0.0/16")];
    assert_eq!(basis(&topology), Basis::File, "the host wasn't looked at");
    topology.host.routes = vec![route("0.0.0.0/0"), route("10.1.0.0/16")];
    assert_eq!(basis(&topology), Basis::NoRoute);
    topology.host.routes.push(route("10.2.0.0/16"));
    assert_eq!(basis(&topology), Basis::File);
}
