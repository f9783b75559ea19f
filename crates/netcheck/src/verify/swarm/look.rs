//! Has tasks of our own look from where the stack's are: what they are asked, and what they saw.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use compose_file::Project;
use engine::Engine;
use engine::api::TaskSpecContainerSpecDnsConfig;
use engine::error::Result;
use engine::swarm::stack::Service;
use ipnet::IpNet;
use rand::distr::{Alphanumeric, SampleString};

use super::super::beyond::Beyond;
use super::super::expect::links_from;
use super::super::judge;
use super::super::link::{Basis, By, End, Expectation, Link};
use super::super::observe::{self, Observation};
use super::Survey;
use crate::inspect::Topology;
use crate::inspect::model::{Node, Sandbox};
use crate::probe::image::Image;
use crate::probe::report::Route;
use crate::probe::request::Target;
use crate::probe::stand_in::{self, Answers, HOST, StandIn};
use crate::probe::{Report, Request};

/// Where engines of a Swarm hear of each other.
pub(super) const GOSSIP: u16 = 7946;
/// The managers' own API.
pub(super) const MANAGERS: u16 = 2377;

/// Tasks that are alike in what they reach: the same networks, and the same name servers.
#[derive(Debug, Clone)]
pub(super) struct Set {
    /// By name.
    pub(super) networks: Vec<String>,
    /// One for each service and node; tasks of a service on one node see the same.
    pub(super) sources: Vec<usize>,
    stand_in: StandIn,
}

/// Everything that was seen.
#[derive(Debug)]
pub(super) struct Look {
    /// In the order of the sets.
    pub(super) answers: Vec<Answers>,
    /// On the nodes' own networks.
    pub(super) hosts: Answers,
    /// One for each node.
    pub(super) observations: Vec<Observation>,
}

impl Look {
    /// Every link, judged.
    pub(super) fn links(&self) -> Vec<Link> {
        self.observations.iter().flat_map(judge::links).collect()
    }
}

/// Asks everything about the stack that was surveyed. `timeout_ms` is for each single question.
pub(super) async fn look(
    engine: &Engine,
    image: &Image,
    survey: &Survey,
    timeout_ms: u64,
) -> Result<Look> {
    let topology = isolated(&survey.topology);
    let beyond = beyond(&topology);
    let mut sets = sets(survey);
    let mut expected: BTreeMap<usize, Vec<Expectation>> = BTreeMap::new();
    for set in &mut sets {
        set.stand_in.request.timeout_ms = timeout_ms;
        set.stand_in.request.path_mtu = others_on(&topology, &set.networks);
        for from in &set.sources {
            let Some(source) = topology.sandboxes.get(*from) else {
                continue;
            };
            let links = links_from(&survey.project, &topology, &beyond, (*from, source));
            for link in links.iter().filter(|it| it.basis != Basis::NoRoute) {
                observe::ask(&mut set.stand_in.request, &link.by);
            }
            expected.insert(*from, links);
        }
    }
    let mut stand_ins: Vec<StandIn> = sets.iter().map(|it| it.stand_in.clone()).collect();
    stand_ins.push(StandIn {
        networks: vec![HOST.to_owned()],
        request: of_nodes(&topology.nodes, &beyond, timeout_ms),
        ..StandIn::default()
    });
    let project = &survey.project.name;
    let nodes = &survey.stack.nodes;
    let mut answers = stand_in::ask(engine, project, image, nodes, &stand_ins).await?;
    let hosts = answers.pop().unwrap_or_default();
    for report in answers.iter_mut().flat_map(BTreeMap::values_mut).flatten() {
        see_through_virtual_ips(report, survey);
    }
    let observations = observations(&topology, &sets, &answers, &hosts, &expected);
    Ok(Look {
        answers,
        hosts,
        observations,
    })
}

/// What was seen, by nodes: each judged against its own host.
pub(super) fn observations(
    topology: &Topology,
    sets: &[Set],
    answers: &[Answers],
    hosts: &Answers,
    expected: &BTreeMap<usize, Vec<Expectation>>,
) -> Vec<Observation> {
    let of_node = |node: &Node| {
        let mut reports: HashMap<End, Report> = HashMap::new();
        if let Some(Ok(report)) = hosts.get(&node.id) {
            reports.insert(End::Host, report.clone());
        }
        let mut own = Vec::new();
        for (set, answers) in sets.iter().zip(answers) {
            for from in &set.sources {
                let source = topology.sandboxes.get(*from);
                if source.is_none_or(|it| it.node.as_ref() != Some(&node.name)) {
                    continue;
                }
                own.extend(expected.get(from).into_iter().flatten().cloned());
                if let Some(Ok(report)) = answers.get(&node.id) {
                    reports.insert(End::Sandbox(*from), report.clone());
                }
            }
        }
        Observation {
            topology: topology.clone(),
            expected: own,
            reports,
            published: Vec::new(),
        }
    };
    topology.nodes.iter().map(of_node).collect()
}

/// With the ways that the networks alone give: who isn't on an address's network has no way there, and
/// what answers at such an address is somebody out there.
pub(super) fn isolated(topology: &Topology) -> Topology {
    let mut isolated = topology.clone();
    let route = |destination: IpNet| Route {
        destination,
        gateway: None,
        interface: None,
        source: None,
        metric: None,
    };
    isolated.host.routes = vec![route(IpNet::default())];
    // Of an overlay network the gateway is a bridge in a namespace of its own, and no address of the node.
    for network in &mut isolated.networks {
        for pool in &mut network.pools {
            pool.gateway = None;
        }
    }
    for sandbox in &mut isolated.sandboxes {
        let on = sandbox.endpoints.iter();
        let on = on.filter_map(|it| topology.network(&it.network));
        let subnets = on.flat_map(|it| it.pools.iter().filter_map(|pool| pool.subnet));
        sandbox.routes = subnets.chain([IpNet::default()]).map(route).collect();
    }
    isolated
}

/// What lies behind the networks: the nodes themselves, on theirs, and a name that nobody in the world has.
pub(super) fn beyond(topology: &Topology) -> Beyond {
    let random = Alphanumeric.sample_string(&mut rand::rng(), 12);
    let nodes = topology.nodes.iter().filter(|it| it.ready);
    Beyond {
        outside: nodes
            .flat_map(|node| {
                let host = node.address.clone();
                [
                    By::Tcp {
                        host: host.clone(),
                        port: GOSSIP,
                    },
                    By::Ping { host },
                ]
            })
            .collect(),
        name: Some(format!("verify-{}.invalid", random.to_lowercase())),
        ports: Vec::new(),
    }
}

/// Groups the tasks that run.
pub(super) fn sets(survey: &Survey) -> Vec<Set> {
    let mut sets: BTreeMap<(Vec<String>, String), Set> = BTreeMap::new();
    let topology = &survey.topology;
    let mut seen: BTreeSet<(&str, &str)> = BTreeSet::new();
    for (index, sandbox) in topology.sandboxes.iter().enumerate() {
        let node = sandbox.node.as_deref().unwrap_or_default();
        if !sandbox.is_up()
            || sandbox.endpoints.is_empty()
            || !seen.insert((sandbox.service.as_str(), node))
        {
            continue;
        }
        let networks: Vec<String> = sandbox
            .endpoints
            .iter()
            .map(|it| it.network.clone())
            .collect();
        let dns = dns(&survey.project, sandbox);
        let service = survey.stack.services.get(&sandbox.service);
        let constraints = service.map_or(&[][..], Service::constraints);
        let key = (networks.clone(), format!("{dns:?}"));
        if let Some(set) = sets.get_mut(&key) {
            set.sources.push(index);
            // Where any of them may run.
            let common = &mut set.stand_in.constraints;
            common.retain(|it| constraints.contains(it));
            continue;
        }
        let ids = networks.iter().filter_map(|name| {
            let known = survey.stack.networks.get(name);
            known.map(|it| it.id.clone())
        });
        let stand_in = StandIn {
            networks: ids.collect(),
            dns,
            constraints: constraints.to_vec(),
            request: Request::default(),
        };
        let set = Set {
            networks,
            sources: vec![index],
            stand_in,
        };
        sets.insert(key, set);
    }
    sets.into_values().collect()
}

fn dns(project: &Project, sandbox: &Sandbox) -> TaskSpecContainerSpecDnsConfig {
    let service = project.services.get(sandbox.service.as_str());
    service.map_or_else(TaskSpecContainerSpecDnsConfig::default, |service| {
        TaskSpecContainerSpecDnsConfig {
            nameservers: Some(service.dns.iter().map(ToString::to_string).collect()),
            search: Some(service.dns_search.clone()),
            options: Some(service.dns_opt.clone()),
        }
    })
}

/// On each of the networks, an address on each node.
fn others_on(topology: &Topology, networks: &[String]) -> Vec<IpAddr> {
    let mut known: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut addresses = Vec::new();
    for sandbox in topology.sandboxes.iter().filter(|it| it.is_up()) {
        let node = sandbox.node.as_deref().unwrap_or_default();
        for endpoint in &sandbox.endpoints {
            let address = endpoint
                .ip()
                .filter(|_| networks.contains(&endpoint.network));
            if let Some(address) = address
                && known.insert((endpoint.network.as_str(), node))
            {
                addresses.push(address);
            }
        }
    }
    addresses
}

/// What is asked on the nodes' own networks.
pub(super) fn of_nodes(nodes: &[Node], beyond: &Beyond, timeout_ms: u64) -> Request {
    let mut request = Request {
        timeout_ms,
        ..Request::default()
    };
    for by in beyond.of_the_host() {
        observe::ask(&mut request, &by);
    }
    for node in nodes.iter().filter(|it| it.ready) {
        if node.manager {
            let target = Target {
                host: node.address.clone(),
                port: MANAGERS,
            };
            observe::add(&mut request.connect, target);
        }
        request.path_mtu.extend(node.address.parse::<IpAddr>());
    }
    request
}

/// An address that stands for a service is one for all of its tasks.
fn see_through_virtual_ips(report: &mut Report, survey: &Survey) {
    let named = report.resolved.iter_mut();
    let connected = report.connected.iter_mut();
    let each = named.chain(connected.filter_map(|it| it.resolution.as_mut()));
    for resolution in each {
        let mut seen = Vec::new();
        for address in &resolution.addresses {
            match tasks_behind(survey, *address) {
                Some(tasks) => seen.extend(tasks),
                None => seen.push(*address),
            }
        }
        resolution.addresses = seen;
    }
}

fn tasks_behind(survey: &Survey, address: IpAddr) -> Option<Vec<IpAddr>> {
    let is_it = |ip: &str| ip.parse::<IpNet>().is_ok_and(|it| it.addr() == address);
    let mut services = survey.stack.services.iter();
    let (key, network) = services.find_map(|(key, service)| {
        let (network, _) = service.virtual_ips.iter().find(|(_, ip)| is_it(ip))?;
        Some((key, network))
    })?;
    let mut networks = survey.stack.networks.iter();
    let (name, _) = networks.find(|(_, it)| it.id == *network)?;
    let tasks = survey.topology.of_service(key).filter(|it| it.is_up());
    let places = tasks.filter_map(|it| it.endpoint(name));
    Some(
        places
            .flat_map(|it| it.addresses().collect::<Vec<_>>())
            .collect(),
    )
}
