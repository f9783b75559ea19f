//! What the Compose file implies: for every source and every target, which names resolve, which
//! ports open, which pings are answered, and which of all that must not be possible.
//!
//! Pure: nothing is asked here. Addresses come from the engine, everything else from the file, so
//! that a container that was attached elsewhere afterwards shows as a difference.

use std::collections::BTreeSet;
use std::net::IpAddr;

use compose_file::Project;
use compose_file::model::{Network, NetworkMode, Protocol, RestartPolicy, Service};

use super::beyond::{Beyond, GATEWAY_MODE, GATEWAY_MODE6, closes_gateway};
use super::link::{Basis, By, End, Expectation};
use crate::inspect::Topology;
use crate::inspect::model::Sandbox;
use crate::probe::report::Route;

/// The bridge driver's switch for traffic between a network's own containers.
const ICC: &str = "com.docker.network.bridge.enable_icc";

/// Everything that the file implies for the containers that are there, and for their ways to what is
/// `beyond` them.
pub(super) fn links(project: &Project, topology: &Topology, beyond: &Beyond) -> Vec<Expectation> {
    let mut links = Vec::new();
    let stack = Stack { project, topology };
    for (to, target) in topology.sandboxes.iter().enumerate() {
        if is_done(project, target) {
            continue;
        }
        stack.host_to(to, target, &mut links);
        for (from, source) in topology.sandboxes.iter().enumerate() {
            if from != to && source.is_up() {
                stack.between((from, source), (to, target), &mut links);
            }
        }
    }
    for (from, source) in topology.sandboxes.iter().enumerate() {
        if let Some(open) = stack.has_way_out(source).filter(|_| source.is_up()) {
            links.extend(beyond.links(project, topology, (from, source), open));
        }
    }
    links
}

/// Everything that the file implies for one container, to the others and to what is `beyond` them.
pub(super) fn links_from(
    project: &Project,
    topology: &Topology,
    beyond: &Beyond,
    (from, source): (usize, &Sandbox),
) -> Vec<Expectation> {
    let mut links = Vec::new();
    let stack = Stack { project, topology };
    for (to, target) in topology.sandboxes.iter().enumerate() {
        if from != to {
            stack.between((from, source), (to, target), &mut links);
        }
    }
    if let Some(open) = stack.has_way_out(source) {
        links.extend(beyond.links(project, topology, (from, source), open));
    }
    links
}

/// Whether the container ran to its end as it should: nobody starts it again, nobody reaches it.
pub(super) fn is_done(project: &Project, sandbox: &Sandbox) -> bool {
    let ends = project
        .services
        .get(sandbox.service.as_str())
        .is_some_and(|service| {
            matches!(
                service.restart,
                RestartPolicy::No | RestartPolicy::OnFailure { .. }
            )
        });
    ends && sandbox.exit_code == Some(0)
}

struct Stack<'a> {
    project: &'a Project,
    topology: &'a Topology,
}

impl Stack<'_> {
    /// The host owns the bridges, so it reaches every container on them, internal ones included, unless
    /// a bridge has no address there.
    fn host_to(&self, to: usize, target: &Sandbox, links: &mut Vec<Expectation>) {
        let Some(service) = self.project.services.get(target.service.as_str()) else {
            return;
        };
        for (network, address) in addresses(target) {
            let key = if address.is_ipv4() {
                GATEWAY_MODE
            } else {
                GATEWAY_MODE6
            };
            let reaches = self.topology.network(network).is_some_and(|network| {
                let mode = network.options.get(key).map_or("nat", String::as_str);
                network.driver == "bridge"
                    && matches!(mode, "nat" | "routed")
                    && !closes_gateway(&network.options, address.is_ipv4())
            });
            if reaches {
                let ends = (End::Host, End::Sandbox(to));
                let open = Open {
                    ports: !(self.is_only_published(target) && self.is_shared(target, network)),
                    ping: true,
                };
                add(links, ends, address, &ports(service, target), open);
            }
        }
    }

    fn between(
        &self,
        (from, source): (usize, &Sandbox),
        (to, target): (usize, &Sandbox),
        links: &mut Vec<Expectation>,
    ) {
        let ends = (End::Sandbox(from), End::Sandbox(to));
        let (Some(ours), Some(theirs)) = (
            self.project.attachments(&source.service),
            self.project.attachments(&target.service),
        ) else {
            // A shared or missing sandbox: what it reaches is what its owner reaches.
            return;
        };
        let Some(service) = self.project.services.get(target.service.as_str()) else {
            return;
        };
        let ports = ports(service, target);

        let is_ours = |network: &Network| ours.iter().any(|(own, _)| own.name == network.name);
        let shared: Vec<_> = theirs
            .iter()
            .copied()
            .filter(|(network, _)| is_ours(network))
            .collect();
        let mut names: BTreeSet<&str> = BTreeSet::from([target.service.as_str()]);
        names.extend(
            theirs
                .iter()
                .flat_map(|(_, it)| &it.aliases)
                .map(String::as_str),
        );
        for name in names {
            let open = shared.iter().any(|(_, attachment)| {
                name == target.service || attachment.aliases.iter().any(|alias| alias == name)
            });
            let by = By::Name {
                name: name.to_owned(),
            };
            links.push(Expectation::new(ends, by, open));
        }

        let shut = self.is_only_published(target);
        // By the name that the file gives on purpose, where it gives one.
        if let Some((_, attachment)) = shared.first().filter(|(network, _)| icc(network)) {
            let name = attachment
                .aliases
                .first()
                .map_or(target.service.as_str(), String::as_str);
            for (port, basis) in &ports {
                let by = By::Tcp {
                    host: name.to_owned(),
                    port: *port,
                };
                links.push(Expectation {
                    basis: *basis,
                    ..Expectation::new(ends, by, !shut)
                });
            }
        }
        for (on_network, address) in addresses(target) {
            let shared_network = shared
                .iter()
                .map(|(network, _)| *network)
                .find(|network| network.name == on_network);
            match shared_network {
                Some(network) if shut => {
                    let mut all = target.open_ports();
                    all.extend(ports.iter().map(|(port, _)| *port));
                    let all: Vec<_> = all.into_iter().map(|port| (port, Basis::File)).collect();
                    let open = Open {
                        ports: false,
                        ping: icc(network),
                    };
                    add(links, ends, address, &all, open);
                }
                Some(network) => add(links, ends, address, &ports, Open::of(icc(network))),
                // Shared by another network, this address is behind it: the engine's business.
                None if !shut && !shared.is_empty() && self.is_given(target, on_network) => {}
                None if self.isolates(source) && self.isolates(target) => {
                    let listening = target.open_ports().into_iter();
                    let listening = listening.map(|port| (port, Basis::Undeclared));
                    let mut ports = ports.clone();
                    ports.extend(listening.filter(|(port, _)| !target.exposes(*port)));
                    let mut closed = Vec::new();
                    add(&mut closed, ends, address, &ports, Open::of(false));
                    if !self.is_routed(source, address) {
                        for link in &mut closed {
                            link.basis = Basis::NoRoute;
                        }
                    }
                    links.extend(closed);
                }
                None => {}
            }
        }
    }

    /// Whether the container's ports are closed on every network that it isn't alone on.
    fn is_only_published(&self, sandbox: &Sandbox) -> bool {
        let verify = self.project.verify.as_ref();
        verify.is_some_and(|it| it.is_only_published(sandbox.service.as_str()))
    }

    /// Whether the file attaches other services, too, to one of the container's networks.
    fn is_shared(&self, sandbox: &Sandbox, network: &str) -> bool {
        let mut others = self.project.services.keys();
        others.any(|other| {
            other.as_str() != sandbox.service
                && self
                    .project
                    .attachments(other)
                    .is_some_and(|given| given.iter().any(|(given, _)| given.name == network))
        })
    }

    /// Whether the file attaches the container's service to the network of this name.
    fn is_given(&self, sandbox: &Sandbox, network: &str) -> bool {
        self.project
            .attachments(&sandbox.service)
            .is_some_and(|given| given.iter().any(|(given, _)| given.name == network))
    }

    /// Whether the source or the host knows the way to the address; who wasn't looked at may.
    fn is_routed(&self, source: &Sandbox, address: IpAddr) -> bool {
        [&source.routes, &self.topology.host.routes]
            .into_iter()
            .any(|routes| {
                let to = |route: &Route| {
                    route.destination.prefix_len() > 0 && route.destination.contains(&address)
                };
                routes.is_empty() || routes.iter().any(to)
            })
    }

    /// Only bridges are kept apart by the engine, and on a Swarm the networks that reach over its nodes;
    /// what others reach is up to the outside.
    fn isolates(&self, sandbox: &Sandbox) -> bool {
        sandbox.endpoints.iter().all(|endpoint| {
            let network = self.topology.network(&endpoint.network);
            network.is_some_and(|network| match network.driver.as_str() {
                "bridge" => true,
                "overlay" => self.topology.is_of_swarm(),
                _ => false,
            })
        })
    }

    /// Whether the file gives the container a way out; none where that isn't the engine's to say.
    fn has_way_out(&self, sandbox: &Sandbox) -> Option<bool> {
        let service = self.project.services.get(sandbox.service.as_str())?;
        match &service.network_mode {
            Some(NetworkMode::None) => Some(false),
            Some(NetworkMode::Bridge) => Some(true),
            Some(NetworkMode::Host | NetworkMode::Service(_)) => None,
            None => {
                let given = self.project.attachments(&sandbox.service)?;
                let bridges = self.isolates(sandbox);
                bridges.then(|| given.iter().any(|(network, _)| !network.internal))
            }
        }
    }
}

/// The container's addresses of both families, each with its network's name.
fn addresses(sandbox: &Sandbox) -> impl Iterator<Item = (&str, IpAddr)> {
    let endpoints = sandbox.endpoints.iter();
    endpoints.flat_map(|it| it.addresses().map(|address| (it.network.as_str(), address)))
}

/// TCP ports and ping of one address.
fn add(
    links: &mut Vec<Expectation>,
    ends: (End, End),
    address: IpAddr,
    ports: &[(u16, Basis)],
    open: Open,
) {
    let host = address.to_string();
    for (port, basis) in ports {
        let by = By::Tcp {
            host: host.clone(),
            port: *port,
        };
        links.push(Expectation {
            basis: *basis,
            ..Expectation::new(ends, by, open.ports)
        });
    }
    links.push(Expectation::new(ends, By::Ping { host }, open.ping));
}

/// What has to be possible at an address.
#[derive(Clone, Copy)]
struct Open {
    ports: bool,
    ping: bool,
}

impl Open {
    /// Both alike.
    fn of(open: bool) -> Self {
        let (ports, ping) = (open, open);
        Self { ports, ping }
    }
}

/// The TCP ports of a container, and who declares them.
fn ports(service: &Service, sandbox: &Sandbox) -> Vec<(u16, Basis)> {
    let published = service
        .ports
        .iter()
        .filter(|port| port.protocol == Protocol::Tcp);
    let exposed = service
        .expose
        .iter()
        .filter(|port| port.protocol == Protocol::Tcp);
    let declared: BTreeSet<u16> = published
        .map(|port| port.target)
        .chain(exposed.map(|port| port.port))
        .collect();
    let image = sandbox
        .exposed
        .iter()
        .filter_map(|port| port.strip_suffix("/tcp")?.parse().ok());
    let all: BTreeSet<u16> = declared.iter().copied().chain(image).collect();
    let basis = |port: &u16| {
        if declared.contains(port) {
            Basis::File
        } else {
            Basis::Undeclared
        }
    };
    all.into_iter().map(|port| (port, basis(&port))).collect()
}

fn icc(network: &Network) -> bool {
    network
        .driver_opts
        .get(ICC)
        .is_none_or(|value| value != "false")
}

#[cfg(test)]
mod tests;
