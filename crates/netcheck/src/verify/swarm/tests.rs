//! What is said of a Swarm of two nodes, without one.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use compose_file::{LoadOptions, Project};
use engine::api::{self, ServiceSpec, ServiceSpecMode, ServiceSpecModeReplicated};
use engine::error::Error;
use engine::swarm::stack::{Service, Stack};

use super::super::expect::links_from;
use super::super::link::{Basis, Expectation};
use super::super::{Verification, observe};
use super::look::{self, Look};
use super::{Survey, assemble, facts};
use crate::inspect::model::{Endpoint, Sandbox, Topology};
use crate::inspect::of_two_nodes;
use crate::probe::report::{Answer, Attempt, Connection, Echo, PathMtu, Reach, Resolution};
use crate::probe::stand_in::Answers;
use crate::probe::{Report, Request};

const FILE: &str = "
services:
  proxy:
    image: a
    ports: [{target: 80, published: 8080, mode: host}]
    networks: [front]
    deploy: {mode: global, endpoint_mode: dnsrr}
  api:
    image: a
    networks: {front: {aliases: [flask-app]}, back: }
    deploy: {replicas: 2, endpoint_mode: dnsrr}
  store:
    image: a
    networks: {back: {aliases: [mongo]}}
    deploy: {endpoint_mode: dnsrr}
networks:
  front: {name: front, driver: overlay}
  back: {name: back, driver: overlay, internal: true}
";

fn project() -> Project {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("compose.yaml");
    std::fs::write(&path, FILE).unwrap();
    compose_file::load(&LoadOptions::from_process([path])).unwrap()
}

fn survey() -> Survey {
    let service = |name: &str, replicas: Option<i64>| {
        let mode = ServiceSpecMode {
            replicated: replicas.map(|it| ServiceSpecModeReplicated { replicas: Some(it) }),
            ..ServiceSpecMode::default()
        };
        let spec = ServiceSpec {
            name: Some(format!("p_{name}")),
            mode: Some(mode),
            ..ServiceSpec::default()
        };
        let service = Service::from(api::Service {
            spec: Some(spec),
            ..api::Service::default()
        });
        (name.to_owned(), service)
    };
    let services = [
        service("proxy", None),
        service("api", Some(2)),
        service("store", Some(1)),
    ];
    Survey {
        project: project(),
        stack: Stack {
            services: services.into(),
            ..Stack::default()
        },
        topology: of_two_nodes(),
    }
}

/// What a task that is where the sandbox is would answer, where the engine keeps networks apart as it should.
fn report(topology: &Topology, source: &Sandbox, request: &Request) -> Report {
    let joins = |network: &str| source.endpoint(network).is_some();
    let attempt = |address: IpAddr, reach| Attempt {
        address,
        reach,
        error: None,
        elapsed_us: 0,
        ttl: None,
    };
    let reach = |address: IpAddr| {
        let mut on = topology.sandboxes.iter().flat_map(|it| &it.endpoints);
        let shared = on.any(|it| joins(&it.network) && it.addresses().any(|own| own == address));
        let mut ours = topology.networks.iter();
        let out = ours.any(|it| joins(&it.name) && !it.internal);
        let node = topology
            .nodes
            .iter()
            .any(|it| it.address.parse::<IpAddr>() == Ok(address));
        if shared || (node && out) {
            Reach::Reached
        } else {
            Reach::Timeout
        }
    };
    let resolve = |name: &String| {
        let known = |it: &&Endpoint| joins(&it.network) && it.aliases.contains(name);
        let on = topology.sandboxes.iter().flat_map(|it| &it.endpoints);
        let addresses: Vec<IpAddr> = on.filter(known).filter_map(Endpoint::ip).collect();
        Resolution {
            name: name.clone(),
            answer: if addresses.is_empty() {
                Answer::NxDomain
            } else {
                Answer::Found
            },
            addresses,
            server: None,
            detail: None,
            elapsed_us: 0,
        }
    };
    let tries = |host: &String| -> (Option<Resolution>, Vec<Attempt>) {
        if let Ok(address) = host.parse() {
            return (None, vec![attempt(address, reach(address))]);
        }
        let found = resolve(host);
        let attempts = found.addresses.iter().map(|it| attempt(*it, reach(*it)));
        let attempts = attempts.collect();
        (Some(found), attempts)
    };
    Report {
        resolved: request.resolve.iter().map(resolve).collect(),
        connected: request
            .connect
            .iter()
            .map(|target| {
                let (resolution, attempts) = tries(&target.host);
                Connection {
                    target: target.clone(),
                    resolution,
                    attempts,
                }
            })
            .collect(),
        pinged: request
            .ping
            .iter()
            .map(|host| {
                let (resolution, attempts) = tries(host);
                Echo {
                    host: host.clone(),
                    resolution,
                    attempts,
                }
            })
            .collect(),
        ..Report::default()
    }
}

/// A look at a world in which everything is as the survey says, which `change` then spoils.
fn verification(survey: &Survey, change: impl Fn(&mut Look)) -> Verification {
    let topology = look::isolated(&survey.topology);
    let beyond = look::beyond(&topology);
    let sets = look::sets(survey);
    let mut expected: BTreeMap<usize, Vec<Expectation>> = BTreeMap::new();
    let mut answers = Vec::new();
    for set in &sets {
        let mut request = Request::default();
        for from in &set.sources {
            let source = &topology.sandboxes[*from];
            let links = links_from(&survey.project, &topology, &beyond, (*from, source));
            for link in links.iter().filter(|it| it.basis != Basis::NoRoute) {
                observe::ask(&mut request, &link.by);
            }
            expected.insert(*from, links);
        }
        let like = &topology.sandboxes[set.sources[0]];
        let all = topology.nodes.iter();
        let each = all.map(|node| (node.id.clone(), Ok(report(&topology, like, &request))));
        answers.push(each.collect::<Answers>());
    }
    let request = look::of_nodes(&topology.nodes, &beyond, 1);
    // A node is on a network with a way out.
    let host = topology.of_service("proxy").next().unwrap();
    let hosts = topology.nodes.iter();
    let hosts = hosts.map(|node| {
        let mut report = report(&topology, host, &request);
        for resolution in &mut report.resolved {
            resolution.answer = Answer::NxDomain;
        }
        (node.id.clone(), Ok(report))
    });
    let hosts = hosts.collect();
    let observations = look::observations(&topology, &sets, &answers, &hosts, &expected);
    let mut seen = Look {
        answers,
        hosts,
        observations,
    };
    change(&mut seen);
    seen.observations = look::observations(&topology, &sets, &seen.answers, &seen.hosts, &expected);
    let checks = facts::checks(survey, &seen);
    assemble(survey, &seen, checks, Vec::new(), Instant::now())
}

fn findings(verification: &Verification) -> Vec<&str> {
    let findings = verification.findings.iter();
    findings.map(|it| it.sentence.as_str()).collect()
}

#[test]
fn a_stack_as_it_is_drawn_holds_from_every_node() {
    let survey = survey();
    let verification = verification(&survey, |_| ());
    assert_eq!(findings(&verification), [""; 0]);
    assert_eq!(
        verification.sources,
        [
            "proxy (n1)",
            "proxy (n2)",
            "api (n1)",
            "api (n2)",
            "store (n1)"
        ]
    );
    assert!(verification.links.iter().all(|it| it.to != "host"));
    assert_eq!(verification.targets, ["proxy", "api", "store", "outside"]);
    let told: Vec<String> = verification
        .links
        .iter()
        .filter(|it| it.from == "proxy (n2)" && it.to != "outside")
        .map(|it| {
            let by = serde_json::to_string(&it.by).unwrap();
            format!("{} {by} {} {:?}", it.to, it.open, it.verdict)
        })
        .collect();
    let told = told.join("\n");
    for words in [
        r#"api.1 (n1) {"by":"name","name":"flask-app"} true Pass"#,
        r#"store (n1) {"by":"name","name":"mongo"} false Pass"#,
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
}

#[test]
fn a_task_on_a_network_that_the_file_does_not_give_it_is_named_with_its_node() {
    let mut survey = survey();
    survey.topology.sandboxes[1].endpoints.push(Endpoint {
        network: "back".to_owned(),
        address: "10.0.2.9/24".parse().ok(),
        ..Endpoint::default()
    });
    let verification = verification(&survey, |_| ());
    let findings = findings(&verification).join("\n");
    for words in [
        "proxy (n2) → store (n1): expected closed, saw",
        "p_proxy.n2 has an endpoint on back, which the file doesn't give it",
    ] {
        assert!(findings.contains(words), "{words}: {findings}");
    }
}

/// Whoever isn't told of another node's tasks has neither their names nor a way to them.
#[test]
fn what_a_node_was_not_told_of_is_no_closed_path() {
    let survey = survey();
    let spoiled = |names: bool| {
        verification(&survey, |seen| {
            for answers in &mut seen.answers {
                let Some(Ok(report)) = answers.get_mut("id-n2") else {
                    continue;
                };
                let connections = report.connected.iter_mut();
                let echoes = report.pinged.iter_mut();
                let connections = connections.map(|it| (&mut it.resolution, &mut it.attempts));
                let echoes = echoes.map(|it| (&mut it.resolution, &mut it.attempts));
                for (_, attempts) in connections.chain(echoes) {
                    let elsewhere = attempts
                        .iter_mut()
                        .filter(|it| is_of(&survey, "n1", it.address));
                    elsewhere.for_each(|it| it.reach = Reach::Timeout);
                }
                for resolution in report.resolved.iter_mut().filter(|_| names) {
                    resolution.addresses.retain(|it| !is_of(&survey, "n1", *it));
                }
            }
        })
    };
    for (names, words) in [
        (
            true,
            "name server on node n2 hasn't heard of p_api.1, which is on n1: 7946/tcp and 7946/udp",
        ),
        (
            false,
            "no packet of theirs comes back from node n1: 4789/udp",
        ),
    ] {
        let verification = spoiled(names);
        let told = findings(&verification).join("\n");
        assert!(told.contains(words), "{words}: {told}");
        assert_eq!(told.contains("4789/udp"), !names, "{told}");
    }
}

/// Whether a task on this node has the address.
fn is_of(survey: &Survey, node: &str, address: IpAddr) -> bool {
    let sandboxes = survey.topology.sandboxes.iter();
    let mut on_it = sandboxes.filter(|it| it.node.as_deref() == Some(node));
    on_it.any(|it| {
        it.endpoints
            .iter()
            .any(|on| on.addresses().any(|own| own == address))
    })
}

#[test]
fn a_shorter_path_a_closed_port_and_a_node_that_is_silent_are_told_once() {
    let survey = survey();
    let verification = verification(&survey, |seen| {
        let address: IpAddr = "10.0.1.5".parse().unwrap();
        for answers in &mut seen.answers {
            if let Some(Ok(report)) = answers.get_mut("id-n1") {
                report.paths.push(PathMtu {
                    address,
                    interface: Some(1_450),
                    answered: Some(1_350),
                });
            }
            let silent = Error::failed("it has no image causeway/probe:1", "load it");
            answers.insert("id-n2".to_owned(), Err(silent));
        }
        if let Some(Ok(report)) = seen.hosts.get_mut("id-n2") {
            for tried in &mut report.connected {
                if tried.target.port == look::MANAGERS {
                    tried.attempts[0].reach = Reach::Timeout;
                }
            }
        }
    });
    let unjudged: Vec<&str> = verification
        .unjudged
        .iter()
        .map(|it| it.sentence.as_str())
        .collect();
    let told = [findings(&verification), unjudged].concat().join("\n");
    for words in [
        "n1 → n2 over front (mtu): expected 1450 bytes, saw 1350 bytes",
        "driver.mtu: \"1400\"",
        "n2 → n1 (2377/tcp): expected open, saw timeout",
        "n2 → the others (look): it has no image causeway/probe:1; load it",
    ] {
        assert_eq!(told.matches(words).count(), 1, "{words}: {told}");
    }
}
