//! What is known about a stack's network: the Engine API's view, completed by what probes saw.
//!
//! It serialises to the document of `inspect --json`. What isn't known (a container isn't running,
//! the host couldn't be probed) is null or empty, and [`Topology::notes`] says why.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use engine::exec::Within;
use engine::state::Status;
use ipnet::IpNet;
use serde::Serialize;

use crate::probe::report::{Interface, Listener, Resolver, Route};

/// The network of one project on one engine.
#[derive(Debug, Clone, Serialize)]
pub struct Topology {
    /// The project's name.
    pub project: String,
    /// The machine that the engine runs on.
    pub host: Host,
    /// The machines of its Swarm; none for a stack for one machine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<Node>,
    /// The file's networks in its order, then others that containers are attached to.
    pub networks: Vec<Network>,
    /// The project's containers in the file's order.
    pub sandboxes: Vec<Sandbox>,
    /// What couldn't be looked at, a sentence each.
    pub notes: Vec<String>,
}

/// The machine that the engine runs on, in its own network namespace.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Host {
    /// Its host name.
    pub hostname: Option<String>,
    /// `/etc/resolv.conf` as the engine hands it to a container on the host's network.
    pub resolver: Option<Resolver>,
    /// The IPv4 default gateway, or else the IPv6 one.
    pub default_gateway: Option<IpAddr>,
    /// All interfaces.
    pub interfaces: Vec<Interface>,
    /// The main routing tables.
    pub routes: Vec<Route>,
    /// TCP sockets that listen there.
    pub listening: Vec<Listener>,
    /// Which network namespace it is (`probe::namespace`).
    pub namespace: Option<String>,
}

/// A machine of a Swarm.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Node {
    /// Its id in the Swarm.
    pub id: String,
    /// Its host name.
    pub name: String,
    /// Where the other nodes reach it.
    pub address: String,
    /// Whether it is a manager.
    pub manager: bool,
    /// Whether its engine is heard of.
    pub ready: bool,
    /// Whether it is given tasks.
    pub takes_tasks: bool,
}

impl Node {
    /// Why no more tasks come to it; none where they may.
    pub(super) fn trouble(&self) -> Option<&'static str> {
        match (self.ready, self.takes_tasks) {
            (false, _) => Some("not heard of"),
            (true, false) => Some("takes no tasks"),
            (true, true) => None,
        }
    }
}

/// What only a network has that reaches over nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Overlay {
    /// The ids by which its packets are known between the nodes (RFC 7348, VNI), one for each subnet.
    pub vxlan: Vec<u32>,
    /// Whether they are encrypted on the way (`IPsec`).
    pub encrypted: bool,
    /// The longest packet of its interfaces, in bytes.
    pub mtu: u32,
    /// So long are its packets between the nodes, in bytes.
    pub path_mtu: u32,
    /// The nodes that are on it, by name, as the manager that was asked hears; none where it isn't on the
    /// network itself, and so hears of nobody.
    pub peers: Option<Vec<String>>,
}

/// A network of the engine.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Network {
    /// Its key in the Compose file; none for a network that the file doesn't have.
    pub key: Option<String>,
    /// Its name on the engine.
    pub name: String,
    /// The engine's id; none for a network that doesn't exist yet.
    pub id: Option<String>,
    /// `bridge`, `host`, `overlay`, ….
    pub driver: String,
    /// `local` or `swarm`.
    pub scope: String,
    /// Without a route to the outside.
    pub internal: bool,
    /// Containers from outside the project may join.
    pub attachable: bool,
    /// Gives IPv6 addresses too.
    pub ipv6: bool,
    /// Address pools.
    pub pools: Vec<Pool>,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
    /// The bridge's interface on the host, by name; for the bridge driver only.
    pub bridge: Option<String>,
    /// That interface, as the host's kernel has it.
    pub bridge_interface: Option<Interface>,
    /// Containers that are attached and don't belong to the project.
    pub others: Vec<String>,
    /// For the overlay driver only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlay: Option<Overlay>,
}

impl Network {
    /// Whether its embedded DNS server resolves names: all but the engine's predefined networks.
    pub fn is_user_defined(&self) -> bool {
        !matches!(self.name.as_str(), "bridge" | "host" | "none")
    }
}

/// An address pool of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pool {
    /// The subnet.
    pub subnet: Option<IpNet>,
    /// The part that containers get addresses from.
    pub ip_range: Option<IpNet>,
    /// The gateway that the engine's address management has set aside.
    pub gateway: Option<IpAddr>,
}

/// A container's network sandbox: a network namespace with its interfaces, routes and resolver.
#[derive(Debug, Clone, Serialize)]
pub struct Sandbox {
    /// The container's name.
    pub container: String,
    /// The container's id.
    pub id: String,
    /// The node that it is on, by name; none on one machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The service that it runs.
    pub service: String,
    /// Its number within the service; 0 where each node has one.
    pub number: u32,
    /// What its process does.
    pub status: Status,
    /// Of the last run, when it ended.
    pub exit_code: Option<i64>,
    /// The host name inside.
    pub hostname: Option<String>,
    /// `HostConfig.NetworkMode`: the first network's name, `host`, `none`, `container:<id>`.
    pub mode: String,
    /// `/etc/resolv.conf` inside.
    pub resolver: Option<Resolver>,
    /// Where the embedded DNS server forwards names that it doesn't know.
    pub forwards_to: Vec<String>,
    /// The IPv4 default gateway, or else the IPv6 one.
    pub default_gateway: Option<IpAddr>,
    /// The main routing tables inside.
    pub routes: Vec<Route>,
    /// Its endpoints, by network.
    pub endpoints: Vec<Endpoint>,
    /// TCP sockets that listen inside.
    pub listening: Vec<Listener>,
    /// Ports that the image or the file declares (`9090/tcp`); a declaration opens nothing.
    pub exposed: Vec<String>,
    /// Ports that are forwarded from the host.
    pub published: Vec<Published>,
    /// Ports that the container was created to publish. The engine forwards none of them while all
    /// its networks are internal, and all of them from the moment that it is attached to another.
    pub requested: Vec<Published>,
}

impl<'a> From<&'a Sandbox> for Within<'a> {
    fn from(sandbox: &'a Sandbox) -> Self {
        Self {
            id: &sandbox.id,
            name: &sandbox.container,
        }
    }
}

impl Sandbox {
    /// How people call it: the service, and the number where it has several containers; on a Swarm with
    /// the node.
    pub fn label(&self, topology: &Topology) -> String {
        let same = |other: &&Sandbox| other.service == self.service;
        let several = topology.sandboxes.iter().filter(same).count() > 1;
        let Self {
            service, number, ..
        } = self;
        match &self.node {
            Some(node) if several && *number > 0 => format!("{service}.{number} ({node})"),
            Some(node) => format!("{service} ({node})"),
            None if several => format!("{service}-{number}"),
            None => service.clone(),
        }
    }

    /// Where it is looked from, in words: on a Swarm from one place for all of a service's on a node.
    pub fn place(&self, topology: &Topology) -> String {
        match &self.node {
            Some(node) => format!("{} ({node})", self.service),
            None => self.label(topology),
        }
    }

    /// Whether there is a network namespace to look into.
    pub fn is_up(&self) -> bool {
        matches!(self.status, Status::Running | Status::Paused)
    }

    /// Its endpoint on the network of this name.
    pub fn endpoint(&self, network: &str) -> Option<&Endpoint> {
        self.endpoints
            .iter()
            .find(|endpoint| endpoint.network == network)
    }

    /// Whether the image or the file declares this TCP port.
    pub fn exposes(&self, port: u16) -> bool {
        self.exposed
            .iter()
            .any(|it| it.strip_suffix("/tcp") == Some(&port.to_string()))
    }

    /// TCP ports that others could connect to: what listens on loopback only doesn't count.
    pub fn open_ports(&self) -> BTreeSet<u16> {
        let open = self
            .listening
            .iter()
            .filter(|listener| !listener.address.is_loopback());
        open.map(|listener| listener.port).collect()
    }

    /// The addresses of each endpoint.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.endpoints.iter().flat_map(Endpoint::addresses)
    }
}

/// What joins a sandbox to a network: for the bridge driver a veth pair, one end inside, the other
/// a port of the bridge.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Endpoint {
    /// The network's name.
    pub network: String,
    /// The engine's id; none while the container isn't running.
    pub id: Option<String>,
    /// The interface inside the sandbox.
    pub interface: Option<String>,
    /// Its index inside.
    pub index: Option<u32>,
    /// Its hardware address.
    pub mac: Option<String>,
    /// Its longest packet, in bytes.
    pub mtu: Option<u32>,
    /// Its IPv4 address with the network's prefix.
    pub address: Option<IpNet>,
    /// Its IPv6 address with the network's prefix.
    pub address6: Option<IpNet>,
    /// The network's gateway as the engine told this endpoint.
    pub gateway: Option<IpAddr>,
    /// Names that it answers to on this network, as far as the engine tells.
    pub aliases: Vec<String>,
    /// The other end of the veth pair: an interface of the host.
    pub host_interface: Option<String>,
    /// Its index on the host.
    pub host_index: Option<u32>,
    /// The bridge that it is a port of.
    pub bridge: Option<String>,
}

impl Endpoint {
    /// The IPv4 address, or else the IPv6 one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.addresses().next()
    }

    /// The IPv4 address, then the IPv6 one.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let both = self.address.into_iter().chain(self.address6);
        both.map(|net| net.addr())
    }
}

/// A port of a container that the host forwards.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Published {
    /// In the container.
    pub port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// The host's address that it listens on.
    pub host_ip: Option<IpAddr>,
    /// On the host; 0 where the engine is to choose one.
    pub host_port: u16,
}

impl Topology {
    /// Whether it is that of a Swarm.
    pub fn is_of_swarm(&self) -> bool {
        !self.nodes.is_empty()
    }

    /// The network of this name.
    pub fn network(&self, name: &str) -> Option<&Network> {
        self.networks.iter().find(|network| network.name == name)
    }

    /// The containers of a service.
    pub fn of_service<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Sandbox> {
        self.sandboxes
            .iter()
            .filter(move |sandbox| sandbox.service == service)
    }
}
