//! Published ports: is the address this machine's, and is the port free?

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use super::Preflight;
use crate::compose::model::{Port, Protocol};
use crate::plan::ContainerAction;

pub(super) fn check(preflight: Preflight<'_>, conflicts: &mut Vec<String>) {
    let Preflight {
        project, changes, ..
    } = preflight;
    for service_plan in &changes.services {
        let Some(service) = project.services.get(&service_plan.service) else {
            continue;
        };
        if service_plan.containers.iter().all(ContainerAction::is_keep) {
            continue;
        }
        conflicts.extend(
            service
                .ports
                .iter()
                .filter_map(|port| obstacle(preflight, &service_plan.service, port)),
        );
    }
}

/// What keeps the engine from publishing a port.
fn obstacle(preflight: Preflight<'_>, service: &str, port: &Port) -> Option<String> {
    let Preflight { engine, state, .. } = preflight;
    let published = port.published?;
    if engine.is_local()
        && let Some(address) = port.host_ip
        && is_elsewhere(address)
    {
        return Some(format!(
            "{address} (service {service}, port {published}) is no address of this machine \
             (`ip address` lists them). Publish on one that is, or on every one (0.0.0.0)"
        ));
    }
    let key = (published, port.protocol.to_string());
    // Ours holds it: it is let go before it is taken again.
    if state
        .containers
        .iter()
        .any(|container| container.published.contains(&key))
    {
        return None;
    }
    let holder = state
        .foreign
        .ports
        .iter()
        .find(|it| it.clashes(port.host_ip, published, &key.1));
    if let Some(holder) = holder.map(|it| &it.container) {
        return Some(format!(
            "port {published}/{} (service {service}) is published by container {holder}, \
             which is not this project's. Stop it (`docker stop {holder}`) or publish another port",
            port.protocol
        ));
    }
    let elsewhere = &state.elsewhere.containers;
    if let Some(holder) = elsewhere.iter().find(|it| it.published.contains(&key)) {
        return Some(format!(
            "port {published}/{} (service {service}) is published by container {}, which another \
             Compose file brought up (--remove-orphans removes it). Stop it or publish another port",
            port.protocol, holder.name
        ));
    }
    (engine.is_local() && in_use(port, published)).then(|| {
        format!(
            "port {published}/{} (service {service}) is in use by a process on this machine \
             (`ss -lntup 'sport = :{published}'` shows which). Stop it or publish another port",
            port.protocol
        )
    })
}

/// Whether nothing can listen on an address here.
fn is_elsewhere(address: IpAddr) -> bool {
    let tried = TcpListener::bind((address, 0));
    tried.is_err_and(|err| err.kind() == ErrorKind::AddrNotAvailable)
}

/// Tries the port as the engine will: without an address, on every one of both families.
fn in_use(port: &Port, published: u16) -> bool {
    let every = [
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    ];
    let addresses = port.host_ip.map_or(every.to_vec(), |address| vec![address]);
    addresses.into_iter().any(|address| {
        let address = SocketAddr::new(address, published);
        let tried = match port.protocol {
            Protocol::Tcp => TcpListener::bind(address).map(drop),
            Protocol::Udp => UdpSocket::bind(address).map(drop),
            Protocol::Sctp => Ok(()),
        };
        tried.is_err_and(|err| match err.kind() {
            ErrorKind::AddrInUse => true,
            // The engine may what this user may not.
            ErrorKind::PermissionDenied => listens(address, port.protocol),
            _ => false,
        })
    })
}

/// Whether the kernel lists a socket that `address` would collide with.
#[cfg(target_os = "linux")]
fn listens(address: SocketAddr, protocol: Protocol) -> bool {
    use procfs::net::{TcpState, tcp, tcp6, udp, udp6};

    let collides = |local: &SocketAddr| {
        let any = local.ip().is_unspecified() || address.ip().is_unspecified();
        local.port() == address.port() && (any || local.ip() == address.ip())
    };
    match protocol {
        Protocol::Tcp => [tcp(), tcp6()]
            .into_iter()
            .flatten()
            .flatten()
            .filter(|it| it.state == TcpState::Listen)
            .any(|it| collides(&it.local_address)),
        Protocol::Udp => [udp(), udp6()]
            .into_iter()
            .flatten()
            .flatten()
            .any(|it| collides(&it.local_address)),
        Protocol::Sctp => false,
    }
}

#[cfg(not(target_os = "linux"))]
fn listens(_: SocketAddr, _: Protocol) -> bool {
    false
}
