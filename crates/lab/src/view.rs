//! What lessons pick out of the engine's and the probe's answers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use engine::api::{ContainerInspectResponse, EndpointSettings, NetworkInspect};
use ipnet::IpNet;

use netcheck::probe::Report;
use netcheck::probe::report::{Attempt, Reach, Resolution};

/// A container's endpoints by the name of their network.
pub(super) fn endpoints(container: &ContainerInspectResponse) -> BTreeMap<&str, &EndpointSettings> {
    container
        .network_settings
        .iter()
        .flat_map(|settings| settings.networks.iter().flatten())
        .map(|(name, endpoint)| (name.as_str(), endpoint))
        .collect()
}

/// The IPv4 address that the engine gave a container on `network`.
pub(super) fn address(container: &ContainerInspectResponse, network: &str) -> Option<IpAddr> {
    endpoints(container)
        .get(network)
        .and_then(|endpoint| parse(endpoint.ip_address.as_deref()))
}

/// The gateway that the engine gave a container on `network`.
pub(super) fn gateway(container: &ContainerInspectResponse, network: &str) -> Option<IpAddr> {
    endpoints(container)
        .get(network)
        .and_then(|endpoint| parse(endpoint.gateway.as_deref()))
}

fn parse(address: Option<&str>) -> Option<IpAddr> {
    address.and_then(|text| text.parse().ok())
}

/// A network's subnets, as its address pool (IPAM) has them.
pub(super) fn subnets(network: &NetworkInspect) -> Vec<IpNet> {
    network
        .ipam
        .iter()
        .flat_map(|ipam| ipam.config.iter().flatten())
        .filter_map(|pool| pool.subnet.as_deref()?.parse().ok())
        .collect()
}

/// A network's own address: the next hop of its containers.
pub(super) fn network_gateway(network: &NetworkInspect) -> Option<IpAddr> {
    let mut pools = network
        .ipam
        .iter()
        .flat_map(|ipam| ipam.config.iter().flatten());
    pools.find_map(|pool| parse(pool.gateway.as_deref()))
}

/// The bridge on the host that implements a `bridge` network: its option if it
/// has one, else `br-` and the first twelve digits of the network's id.
pub(super) fn bridge_name(network: &NetworkInspect) -> Option<String> {
    let option = network
        .options
        .as_ref()
        .and_then(|options| options.get("com.docker.network.bridge.name"));
    option.cloned().or_else(|| {
        network
            .id
            .as_deref()
            .map(|id| format!("br-{}", id.chars().take(12).collect::<String>()))
    })
}

/// The IPv4 addresses inside a sandbox, loopback left out, with their prefixes.
pub(super) fn ipv4_addresses(report: &Report) -> Vec<IpNet> {
    let addresses = report
        .interfaces
        .iter()
        .flat_map(|interface| &interface.addresses);
    addresses
        .filter(|net| matches!(net, IpNet::V4(_)) && !net.addr().is_loopback())
        .copied()
        .collect()
}

/// Whether a sandbox has an IPv6 address that reaches further than its own link.
pub(super) fn has_ipv6(report: &Report) -> bool {
    let mut addresses = report
        .interfaces
        .iter()
        .flat_map(|interface| &interface.addresses);
    addresses.any(|net| match net.addr() {
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
        IpAddr::V4(_) => false,
    })
}

/// Whether any of the tries arrived.
pub(super) fn reached(attempts: &[Attempt]) -> bool {
    attempts
        .iter()
        .any(|attempt| attempt.reach == Reach::Reached)
}

/// How the tries ended, in a word or two, for the "seen" of a check.
pub(super) fn outcome(attempts: &[Attempt]) -> String {
    match attempts
        .iter()
        .find(|attempt| attempt.reach == Reach::Reached)
        .or(attempts.first())
    {
        Some(attempt) => attempt.reach.as_str().to_owned(),
        None => "name not resolved".to_owned(),
    }
}

/// Why ICMP could not be sent at all, which says nothing about the network.
pub(super) fn icmp_unavailable(attempts: &[Attempt]) -> Option<&str> {
    let error = attempts.first()?.error.as_deref()?;
    ["EPERM", "EACCES", "EPROTONOSUPPORT"]
        .contains(&error)
        .then_some(error)
}

/// What a name resolved to, for the "seen" of a check.
pub(super) fn resolved(resolution: &Resolution) -> String {
    if resolution.addresses.is_empty() {
        resolution.answer.as_str().to_owned()
    } else {
        super::show::list(&resolution.addresses)
    }
}

/// Addresses in a row, some of which may be missing.
pub(super) fn listed(addresses: &[Option<IpAddr>]) -> String {
    addresses
        .iter()
        .map(|&address| or_none(address))
        .collect::<Vec<_>>()
        .join(", ")
}

/// An optional value in a sentence.
pub(super) fn or_none(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}
