//! Published ports: is the address one of the engine's host, and is the port free?

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use compose_file::model::{Port, Protocol, exclude_each_other};
use engine::Engine;
use netcheck::probe::image::Image;
use netcheck::probe::run::{Place, one};
use netcheck::probe::{Report, Request, namespace};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketType};

use super::Preflight;
use crate::plan::ContainerAction;

pub(super) async fn check(preflight: Preflight<'_>, conflicts: &mut Vec<String>) {
    let Preflight {
        project, changes, ..
    } = preflight;
    let changing = changes
        .services
        .iter()
        .filter(|it| !it.containers.iter().all(ContainerAction::is_keep));
    let ports: Vec<(&str, &Port)> = changing
        .filter_map(|it| project.services.get_key_value(&it.service))
        .flat_map(|(name, service)| service.ports.iter().map(|port| (name.as_str(), port)))
        .filter(|(_, port)| port.published.is_some())
        .collect();
    if ports.is_empty() {
        return;
    }
    let host = Host::of(preflight.engine).await;
    let obstacles = ports
        .into_iter()
        .filter_map(|(service, port)| obstacle(preflight, &host, service, port));
    conflicts.extend(obstacles);
}

/// How to find out what is taken on the engine's host.
enum Host {
    /// It is this machine: try.
    Here,
    /// It has a network of its own, which a probe saw.
    Elsewhere(Box<Report>),
    /// Nobody can tell.
    Unknown,
}

impl Host {
    async fn of(engine: &Engine) -> Self {
        let seen = async {
            let image = Image::ensure(engine).await?;
            one(engine, &image, &Place::Host, &Request::default()).await
        };
        let report = seen.await.ok();
        let theirs = report.as_ref().and_then(|it| it.namespace.as_deref());
        match (namespace::is_current(theirs), report) {
            (Some(false), Some(report)) => Self::Elsewhere(Box::new(report)),
            (None, _) if !engine.is_local() => Self::Unknown,
            _ => Self::Here,
        }
    }

    /// Whether nothing can listen on an address there.
    fn lacks(&self, address: IpAddr) -> bool {
        match self {
            Self::Here => TcpListener::bind((address, 0))
                .is_err_and(|err| err.kind() == ErrorKind::AddrNotAvailable),
            Self::Elsewhere(report) => {
                !address.is_unspecified()
                    && !address.is_loopback()
                    && report.interface_of(address).is_none()
            }
            Self::Unknown => false,
        }
    }

    /// Whether a process there holds the port on an address that the engine will listen on: without
    /// one in the file, on every one of both families.
    fn holds(&self, port: &Port, published: u16) -> bool {
        let every = [
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        ];
        let addresses = port.host_ip.map_or(every.to_vec(), |address| vec![address]);
        let mut addresses = addresses
            .into_iter()
            .map(|address| SocketAddr::new(address, published));
        match self {
            Self::Here => addresses.any(|address| in_use(address, port.protocol)),
            Self::Elsewhere(report) => addresses.any(|address| {
                let listening = report.listening.iter();
                let mut listening = listening.map(|it| SocketAddr::new(it.address, it.port));
                port.protocol == Protocol::Tcp && listening.any(|it| collide(it, address))
            }),
            Self::Unknown => false,
        }
    }
}

/// What keeps the engine from publishing a port.
fn obstacle(preflight: Preflight<'_>, host: &Host, service: &str, port: &Port) -> Option<String> {
    let Preflight { state, .. } = preflight;
    let published = port.published?;
    let (machine, command) = match host {
        Host::Elsewhere(_) => ("the engine's machine", "there, "),
        _ => ("this machine", ""),
    };
    if let Some(address) = port.host_ip
        && host.lacks(address)
    {
        return Some(format!(
            "{address} (service {service}, port {published}) is no address of {machine} \
             ({command}`ip address` lists them). Publish on one that is, or on every one (0.0.0.0)"
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
    let disabled = &state.disabled.containers;
    if let Some(holder) = disabled.iter().find(|it| it.published.contains(&key)) {
        return Some(format!(
            "port {published}/{} (service {service}) is published by container {}, whose profile isn't \
             enabled. Stop it (`docker stop {1}`) or publish another port",
            port.protocol, holder.name
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
    host.holds(port, published).then(|| {
        format!(
            "port {published}/{} (service {service}) is in use by a process on {machine} \
             ({command}`ss -lntup 'sport = :{published}'` shows which). Stop it or publish another port",
            port.protocol
        )
    })
}

/// Tries the port as the engine will.
fn in_use(address: SocketAddr, protocol: Protocol) -> bool {
    let tried = match protocol {
        Protocol::Tcp => bind(address, SocketType::STREAM),
        Protocol::Udp => bind(address, SocketType::DGRAM),
        Protocol::Sctp => Ok(()),
    };
    tried.is_err_and(|err| match err {
        Errno::ADDRINUSE => true,
        // The engine may what this user may not.
        Errno::ACCESS => listens(address, protocol),
        _ => false,
    })
}

/// As the engine's forwarder does it: of IPv6, for IPv6 alone.
fn bind(address: SocketAddr, kind: SocketType) -> rustix::io::Result<()> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = net::socket(family, kind, None)?;
    if address.is_ipv6() {
        net::sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if kind == SocketType::STREAM {
        // Connections that have ended hold no port.
        net::sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    net::bind(&socket, &address)?;
    if kind == SocketType::STREAM {
        net::listen(&socket, 1)?;
    }
    Ok(())
}

/// Whether a socket that listens leaves no room for one that the engine makes. One of `::` may take
/// IPv4 as well.
fn collide(listening: SocketAddr, wanted: SocketAddr) -> bool {
    let both = listening.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    listening.port() == wanted.port()
        && (both || exclude_each_other(Some(listening.ip()), Some(wanted.ip())))
}

/// Whether the kernel lists a socket that `address` would collide with.
#[cfg(target_os = "linux")]
fn listens(address: SocketAddr, protocol: Protocol) -> bool {
    use procfs::net::{TcpState, tcp, tcp6, udp, udp6};

    let collides = |local: &SocketAddr| collide(*local, address);
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
