//! What an item of a list is, where a service can't have two of that: where it is in the container,
//! what it is called. Of an item that the reader will refuse, nothing is told.

use std::net::{IpAddr, Ipv4Addr};

use super::network::split_host;
use super::{mounts, ports};
use crate::yaml::Node;

/// Itself.
pub(crate) fn text(item: &Node) -> Option<String> {
    item.text().map(str::to_owned)
}

/// Of `ports`: address and port of the host, and port of the container.
pub(crate) fn port(item: &Node) -> Option<String> {
    let ports::Spec {
        host_ip,
        published,
        target,
        protocol,
        ..
    } = ports::spec(item)?;
    let host_ip = host_ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let published = published.filter(|range| *range.start() != 0);
    Some(format!("{host_ip} {published:?} {target:?} {protocol}"))
}

/// Of `volumes`: the path in the container.
pub(crate) fn mount(item: &Node) -> Option<String> {
    let target = match item.text() {
        Some(text) => mounts::parts(text)?.1,
        None => item.get("target")?.text()?,
    };
    Some(target.trim_end_matches('/').to_owned())
}

/// Of `tmpfs`: the path.
pub(crate) fn tmpfs(item: &Node) -> Option<String> {
    let path = item.text()?.split(':').next()?;
    Some(path.trim_end_matches('/').to_owned())
}

/// Of `secrets`: the path.
pub(crate) fn secret(item: &Node) -> Option<String> {
    let (source, target) = source_and_target(item)?;
    Some(mounts::secret_path(target.unwrap_or(source)))
}

/// Of `configs`: the path.
pub(crate) fn config(item: &Node) -> Option<String> {
    let (source, target) = source_and_target(item)?;
    Some(target.map_or_else(|| format!("/{source}"), str::to_owned))
}

fn source_and_target(item: &Node) -> Option<(&str, Option<&str>)> {
    if let Some(source) = item.text() {
        return Some((source, None));
    }
    let target = item.get("target").and_then(Node::text);
    Some((item.get("source")?.text()?, target))
}

/// Of `env_file`: the path.
pub(crate) fn env_file(item: &Node) -> Option<String> {
    text(item.get("path").unwrap_or(item))
}

/// Of `extra_hosts`: host and address.
pub(crate) fn host(item: &Node) -> Option<String> {
    let (host, address) = split_host(item.text()?)?;
    Some(format!("{host}={address}"))
}
