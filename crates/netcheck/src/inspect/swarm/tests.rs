//! A Swarm of two nodes, without one.

use super::super::model::Pool;
use super::*;

/// For tests and pictures without an engine.
pub(crate) fn of_two_nodes() -> Topology {
    let node = |name: &str, address: &str, manager| Node {
        id: format!("id-{name}"),
        name: name.to_owned(),
        address: address.to_owned(),
        manager,
        ready: true,
        takes_tasks: true,
    };
    let network = |name: &str, subnet: &str, id: u32, internal| Network {
        key: Some(name.to_owned()),
        name: name.to_owned(),
        id: Some(name.to_owned()),
        driver: "overlay".to_owned(),
        scope: "swarm".to_owned(),
        internal,
        attachable: true,
        pools: vec![Pool {
            subnet: subnet.parse().ok(),
            ip_range: None,
            gateway: subnet.replace(".0/24", ".1").parse().ok(),
        }],
        overlay: Some(Overlay {
            peers: Some(vec!["n1".to_owned(), "n2".to_owned()]),
            ..of_options(&BTreeMap::from([(VXLAN_IDS.to_owned(), id.to_string())]))
        }),
        ..Network::default()
    };
    let sandbox = |service: &str, node: &str, number: u32, on: &[(&str, &str, &[&str])]| Sandbox {
        container: match number {
            0 => format!("p_{service}.{node}"),
            number => format!("p_{service}.{number}"),
        },
        id: format!("{service}-{node}"),
        node: Some(node.to_owned()),
        service: service.to_owned(),
        number,
        status: Status::Running,
        exit_code: None,
        hostname: None,
        mode: String::new(),
        resolver: None,
        forwards_to: Vec::new(),
        default_gateway: None,
        routes: Vec::new(),
        endpoints: on
            .iter()
            .map(|(network, address, aliases)| Endpoint {
                network: (*network).to_owned(),
                address: address.parse().ok(),
                aliases: aliases.iter().map(|it| (*it).to_owned()).collect(),
                ..Endpoint::default()
            })
            .collect(),
        listening: Vec::new(),
        exposed: match service {
            "proxy" => Vec::new(),
            "api" => vec!["8000/tcp".to_owned()],
            _ => vec!["27017/tcp".to_owned()],
        },
        published: if service == "proxy" {
            vec![Published {
                port: 80,
                protocol: "tcp".to_owned(),
                host_ip: None,
                host_port: 8080,
            }]
        } else {
            Vec::new()
        },
        requested: Vec::new(),
    };
    let names: &[&str] = &["api", "flask-app"];
    Topology {
        project: "p".to_owned(),
        host: Host::default(),
        nodes: vec![
            node("n1", "10.77.0.11", true),
            node("n2", "10.77.0.12", false),
        ],
        networks: vec![
            network("front", "10.0.1.0/24", 4097, false),
            network("back", "10.0.2.0/24", 4098, true),
        ],
        sandboxes: vec![
            sandbox("proxy", "n1", 0, &[("front", "10.0.1.2/24", &["proxy"])]),
            sandbox("proxy", "n2", 0, &[("front", "10.0.1.3/24", &["proxy"])]),
            sandbox(
                "api",
                "n1",
                1,
                &[
                    ("front", "10.0.1.4/24", names),
                    ("back", "10.0.2.4/24", &["api"]),
                ],
            ),
            sandbox(
                "api",
                "n2",
                2,
                &[
                    ("front", "10.0.1.5/24", names),
                    ("back", "10.0.2.5/24", &["api"]),
                ],
            ),
            sandbox(
                "store",
                "n1",
                1,
                &[("back", "10.0.2.3/24", &["store", "mongo"])],
            ),
        ],
        notes: Vec::new(),
    }
}

#[test]
fn packets_leave_room_for_what_the_nodes_put_around_them() {
    let mtu = |options: &[(&str, &str)]| {
        let options = options
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let overlay = of_options(&options.collect());
        (overlay.path_mtu, overlay.mtu)
    };
    assert_eq!(mtu(&[]), (1_500, 1_450));
    assert_eq!(mtu(&[(MTU, "1400")]), (1_400, 1_350));
    assert_eq!(mtu(&[("encrypted", "")]), (1_500, 1_424));
}
