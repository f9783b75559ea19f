//! Evidence made up for the unit tests of the lessons.

use std::net::IpAddr;

use netcheck::probe::report::{
    Answer, Attempt, Connection, Echo, Interface, Reach, Resolution, Resolver, Route,
};
use netcheck::probe::request::Target;

pub(super) fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

pub(super) fn interface(
    index: u32,
    name: &str,
    kind: &str,
    link_index: Option<u32>,
    address: Option<&str>,
) -> Interface {
    Interface {
        index,
        name: name.into(),
        kind: Some(kind.into()),
        link_index,
        mtu: 1500,
        state: "UP".into(),
        addresses: address
            .into_iter()
            .map(|address| address.parse().unwrap())
            .collect(),
        ..Interface::default()
    }
}

pub(super) fn loopback() -> Interface {
    interface(1, "lo", "loopback", None, Some("127.0.0.1/8"))
}

pub(super) fn default_route(gateway: &str) -> Route {
    Route {
        destination: "0.0.0.0/0".parse().unwrap(),
        gateway: Some(ip(gateway)),
        interface: Some("eth0".into()),
        source: None,
        metric: None,
    }
}

pub(super) fn nameservers(servers: &[&str]) -> Resolver {
    Resolver {
        nameservers: servers.iter().map(|server| ip(server)).collect(),
        ..Resolver::default()
    }
}

/// A name that was found at `addresses` by the embedded server, or not at all.
pub(super) fn resolution(name: &str, addresses: &[&str]) -> Resolution {
    Resolution {
        name: name.into(),
        answer: if addresses.is_empty() {
            Answer::NxDomain
        } else {
            Answer::Found
        },
        addresses: addresses.iter().map(|address| ip(address)).collect(),
        server: Some(ip("127.0.0.11")),
        detail: None,
        elapsed_us: 100,
    }
}

fn attempt(address: &str, error: Option<&str>) -> Attempt {
    let reach = match error {
        None => Reach::Reached,
        Some("timeout") => Reach::Timeout,
        Some("ENETUNREACH") => Reach::Unreachable,
        Some("ECONNREFUSED") => Reach::Refused,
        Some(_) => Reach::Failed,
    };
    Attempt {
        address: ip(address),
        reach,
        error: error.map(Into::into),
        elapsed_us: 300,
        ttl: Some(64),
    }
}

/// A TCP connection to an address that succeeded, or failed with `error`.
pub(super) fn connection(address: &str, error: Option<&str>) -> Connection {
    Connection {
        target: Target {
            host: address.into(),
            port: 8000,
        },
        resolution: None,
        attempts: vec![attempt(address, error)],
    }
}

/// A TCP connection to a name that wasn't found.
pub(super) fn unresolved(name: &str) -> Connection {
    Connection {
        target: Target {
            host: name.into(),
            port: 8000,
        },
        resolution: Some(resolution(name, &[])),
        attempts: Vec::new(),
    }
}

/// An echo that came back, or failed with `error`.
pub(super) fn echo(address: &str, error: Option<&str>) -> Echo {
    Echo {
        host: address.into(),
        resolution: None,
        attempts: vec![attempt(address, error)],
    }
}
