//! What can be told without trying a link: containers, attachments, gateways, resolvers and subnets,
//! as the file has them against as the engine and the kernel have them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use compose_file::Project;
use compose_file::model::Service;

use super::beyond::closes_gateway;
use super::cause::{overlap, stopped, unexpected_endpoint};
use super::check::{Check, check};
use super::expect::is_done;
use super::link::HOST;
use super::observe::Observation;
use super::ports::{published, publishes};
use crate::inspect::Topology;
use crate::inspect::model::{Network, Sandbox};
use crate::probe::report::Resolver;

/// All of them, the ones that explain most first.
pub(super) fn checks(project: &Project, seen: &Observation) -> Vec<Check> {
    let topology = &seen.topology;
    let mut checks = Vec::new();
    for (name, service) in &project.services {
        let containers: Vec<&Sandbox> = topology.of_service(name).collect();
        checks.push(runs(project, name, service, &containers));
        for sandbox in containers {
            attached(project, topology, sandbox, &mut checks);
            checks.extend(publishes(service, topology, sandbox));
            checks.extend(resolver(topology, sandbox));
        }
    }
    for network in topology
        .networks
        .iter()
        .filter(|network| network.id.is_some())
    {
        checks.extend(internal(project, network));
        checks.extend(gateways(topology, network));
        checks.extend(subnet(topology, network));
    }
    published(project, seen, &mut checks);
    checks
}

fn runs(project: &Project, name: &str, service: &Service, containers: &[&Sandbox]) -> Check {
    let done = containers
        .iter()
        .filter(|container| is_done(project, container))
        .count();
    let up = containers
        .iter()
        .filter(|container| container.is_up())
        .count();
    let wanted = service.deploy.replicas as usize;
    let seen = if done > 0 {
        format!("{up} running, {done} done")
    } else {
        format!("{up} running")
    };
    let down = containers
        .iter()
        .find(|it| !it.is_up() && !is_done(project, it));
    let result = match down {
        _ if up + done >= wanted => Ok(seen),
        Some(down) => Err((seen, stopped(down))),
        None => Err((
            seen,
            format!("{name} has {} container(s)", containers.len()),
        )),
    };
    check(
        ("engine", name, "containers"),
        format!("{wanted} running"),
        result,
    )
}

/// Every attachment of the file is there, and none beside them.
pub(super) fn attached(
    project: &Project,
    topology: &Topology,
    sandbox: &Sandbox,
    checks: &mut Vec<Check>,
) {
    let Some(given) = project.attachments(&sandbox.service) else {
        return;
    };
    let label = sandbox.label(topology);
    let expected: Vec<&str> = given
        .iter()
        .map(|(network, _)| network.name.as_str())
        .collect();
    let actual: Vec<&str> = sandbox
        .endpoints
        .iter()
        .map(|it| it.network.as_str())
        .collect();
    let missing = expected.iter().find(|network| !actual.contains(network));
    let cause = missing
        .map(|network| format!("{} was disconnected from {network}", sandbox.container))
        .or_else(|| {
            let network = unexpected_endpoint(project, sandbox)?;
            Some(format!(
                "{} was connected to {network}, which the file doesn't give it",
                sandbox.container
            ))
        });
    let seen = if actual.is_empty() {
        "none".to_owned()
    } else {
        actual.join(", ")
    };
    let result = cause.map_or(Ok(seen.clone()), |cause| Err((seen, cause)));
    checks.push(check(
        ("engine", &label, "networks"),
        expected.join(", "),
        result,
    ));
}

/// Names on user-defined networks are resolved by the engine's own server.
fn resolver(topology: &Topology, sandbox: &Sandbox) -> Option<Check> {
    let resolver = sandbox.resolver.as_ref()?;
    let user_defined = sandbox.endpoints.iter().any(|it| {
        topology
            .network(&it.network)
            .is_some_and(Network::is_user_defined)
    });
    if !user_defined {
        return None;
    }
    let servers = servers(resolver);
    let result = if resolver.is_embedded() {
        Ok(servers)
    } else {
        Err((
            servers,
            format!("/etc/resolv.conf of {} was changed", sandbox.container),
        ))
    };
    Some(check(
        ("engine", &sandbox.label(topology), "resolver"),
        "127.0.0.11",
        result,
    ))
}

fn servers(resolver: &Resolver) -> String {
    let servers: Vec<String> = resolver.nameservers.iter().map(IpAddr::to_string).collect();
    if servers.is_empty() {
        "no server".to_owned()
    } else {
        servers.join(", ")
    }
}

/// Whether a network has a way out is as the file says.
pub(super) fn internal(project: &Project, network: &Network) -> Option<Check> {
    let given = project
        .network_named(&network.name)
        .filter(|given| !given.external)?;
    let say = |internal: bool| {
        if internal {
            "internal"
        } else {
            "with a way out"
        }
        .to_owned()
    };
    let result = if given.internal == network.internal {
        Ok(say(network.internal))
    } else {
        let cause = format!(
            "network {} was created otherwise than the file says",
            network.name
        );
        Err((say(network.internal), cause))
    };
    Some(check(
        ("engine", &network.name, "network"),
        say(given.internal),
        result,
    ))
}

/// Each gateway is an address of the network's bridge on the host, or none where the network has its
/// gateway closed.
fn gateways(topology: &Topology, network: &Network) -> Vec<Check> {
    let Some(bridge) = &network.bridge else {
        return Vec::new();
    };
    if topology.host.interfaces.is_empty() {
        return Vec::new();
    }
    let endpoints = topology
        .sandboxes
        .iter()
        .filter_map(|it| it.endpoint(&network.name)?.gateway);
    let gateways: BTreeSet<IpAddr> = network
        .pools
        .iter()
        .filter_map(|pool| pool.gateway)
        .chain(endpoints)
        .collect();
    gateways
        .into_iter()
        .map(|gateway| {
            let closed = closes_gateway(&network.options, gateway.is_ipv4());
            let on_bridge = format!("{gateway} on {bridge}");
            let expected = if closed {
                format!("none on {bridge}")
            } else {
                on_bridge.clone()
            };
            let result = match &network.bridge_interface {
                None => Err((
                    format!("no interface {bridge}"),
                    "the bridge was removed from the host: restart the engine".to_owned(),
                )),
                Some(interface) if interface.addresses.iter().any(|net| net.addr() == gateway) => {
                    if closed {
                        let cause = "the bridge was given the address on the host, which opens the \
                                     host's services to the network";
                        Err((on_bridge, cause.to_owned()))
                    } else {
                        Ok(on_bridge)
                    }
                }
                Some(_) if closed => Ok(expected.clone()),
                Some(interface) => {
                    let addresses: Vec<String> = interface
                        .addresses
                        .iter()
                        .map(ToString::to_string)
                        .collect();
                    Err((
                        format!("{} on {bridge}", addresses.join(", ")),
                        "the bridge's address was changed on the host".to_owned(),
                    ))
                }
            };
            check((HOST, &network.name, "gateway"), expected, result)
        })
        .collect()
}

fn subnet(topology: &Topology, network: &Network) -> Option<Check> {
    let subnets: Vec<String> = network
        .pools
        .iter()
        .filter_map(|pool| pool.subnet)
        .map(|it| it.to_string())
        .collect();
    if network.bridge.is_none() || subnets.is_empty() || topology.host.interfaces.is_empty() {
        return None;
    }
    let result = match overlap(topology, network) {
        None => Ok("on its bridge only".to_owned()),
        Some(cause) => Err(("on another interface too".to_owned(), cause)),
    };
    let to = format!("{} {}", network.name, subnets.join(" "));
    Some(check((HOST, &to, "subnet"), "on its bridge only", result))
}
