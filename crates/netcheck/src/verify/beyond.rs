//! The ways out of a container: what lies behind the host, the names of the world outside, and the
//! host's own services.
//!
//! `internal` closes the first. The other two it leaves to the engine: the network's gateway is an
//! address of the host, at which its services answer, and an engine before 25.0.5 has names of the
//! outside resolved by a host that has its resolver on a loopback address (CVE-2024-29018). A file
//! closes them with `driver_opts` of the network and `dns` of the service; then it is a finding that
//! they are open. Where it doesn't, what is open is told as what remains.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use compose_file::Project;
use rand::distr::{Alphanumeric, SampleString};

use super::link::{Basis, By, End, Expectation};
use crate::inspect::Topology;
use crate::inspect::model::Sandbox;

/// The bridge driver's switch for whether the bridge has the gateway's address: every engine that we
/// support has it.
pub(super) const INHIBIT: &str = "com.docker.network.bridge.inhibit_ipv4";
/// The bridge driver's switches for whether the host reaches into the network (Docker 27 and later;
/// `isolated`, which takes the bridge its address, from Docker 28 on).
pub(super) const GATEWAY_MODE: &str = "com.docker.network.bridge.gateway_mode_ipv4";
/// The same for IPv6.
pub(super) const GATEWAY_MODE6: &str = "com.docker.network.bridge.gateway_mode_ipv6";
/// More of the host's services than this prove nothing more.
const MOST_PORTS: usize = 8;

/// What there is beyond the containers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Beyond {
    /// The host's router and its name servers. Nobody else is bothered.
    pub(super) outside: Vec<By>,
    /// A name that nobody in the world has (RFC 6761 §6.4): who is told so was answered from out there.
    pub(super) name: Option<String>,
    /// TCP ports that services of the host listen on.
    pub(super) ports: Vec<u16>,
}

impl Beyond {
    /// What there is beyond the host that was looked at. Each time with a name that nothing has cached.
    pub(super) fn of(topology: &Topology) -> Self {
        let random = Alphanumeric.sample_string(&mut rand::rng(), 12);
        let listening: BTreeSet<u16> = topology
            .host
            .listening
            .iter()
            .filter(|listener| !listener.address.is_loopback())
            .map(|listener| listener.port)
            .collect();
        Self {
            outside: outside(topology),
            name: Some(format!("verify-{}.invalid", random.to_lowercase())),
            ports: listening.into_iter().take(MOST_PORTS).collect(),
        }
    }

    /// What is asked of the host itself: what doesn't answer it proves nothing.
    pub(super) fn of_the_host(&self) -> impl Iterator<Item = By> {
        let name = self.name.clone().map(|name| By::Name { name });
        self.outside.iter().cloned().chain(name)
    }

    /// Everything that the file implies of the ways out of the container at this position. `open`:
    /// whether it gives the container one.
    pub(super) fn links(
        &self,
        project: &Project,
        topology: &Topology,
        (from, source): (usize, &Sandbox),
        open: bool,
    ) -> Vec<Expectation> {
        let from = End::Sandbox(from);
        let outside = self.outside.iter().cloned();
        let mut links: Vec<Expectation> = outside
            .map(|by| Expectation::new((from, End::Outside), by, open))
            .collect();
        if open {
            return links;
        }
        let verify = project.verify.as_ref();
        let declared = verify.is_some_and(|it| it.no_way_out.contains(source.service.as_str()));
        let closed = |to, by, by_file| Expectation {
            basis: if by_file || declared {
                Basis::File
            } else {
                Basis::Engine
            },
            ..Expectation::new((from, to), by, false)
        };
        links.extend(self.name.clone().map(|name| {
            let by_file = asks_nobody(project, source);
            closed(End::Outside, By::Name { name }, by_file)
        }));
        for address in addresses_of_host(topology, source) {
            let host = address.to_string();
            let ports = self.ports.iter().map(|port| By::Tcp {
                host: host.clone(),
                port: *port,
            });
            let ping = By::Ping { host: host.clone() };
            let by_file = has_no_gateway(project, source, address);
            let each = ports.chain([ping]);
            links.extend(each.map(|by| closed(End::Host, by, by_file)));
        }
        links
    }
}

/// Whether the driver's options leave a bridge without an address of this family on the host, so that
/// neither reaches the other.
pub(super) fn closes_gateway(options: &BTreeMap<String, String>, ipv4: bool) -> bool {
    let is = |key: &str, value: &str| options.get(key).is_some_and(|it| it == value);
    if ipv4 {
        is(INHIBIT, "true") || is(GATEWAY_MODE, "isolated")
    } else {
        is(GATEWAY_MODE6, "isolated")
    }
}

fn has_no_gateway(project: &Project, source: &Sandbox, address: IpAddr) -> bool {
    project.attachments(&source.service).is_none_or(|given| {
        given
            .iter()
            .all(|(network, _)| closes_gateway(&network.driver_opts, address.is_ipv4()))
    })
}

/// Whether the engine's name server asks nobody but the container itself for names that aren't of its
/// networks: a loopback address in `dns` is the container's own.
fn asks_nobody(project: &Project, source: &Sandbox) -> bool {
    let service = project.services.get(source.service.as_str());
    service.is_some_and(|service| {
        service.network_mode.is_some()
            || !service.dns.is_empty() && service.dns.iter().all(IpAddr::is_loopback)
    })
}

/// Behind the host: its router and its name servers.
fn outside(topology: &Topology) -> Vec<By> {
    let host = &topology.host;
    let own = |address: &IpAddr| {
        let nets = host
            .interfaces
            .iter()
            .flat_map(|interface| &interface.addresses);
        address.is_loopback() || nets.into_iter().any(|net| net.addr() == *address)
    };
    let servers = host
        .resolver
        .iter()
        .flat_map(|resolver| &resolver.nameservers)
        .copied();
    let beyond: BTreeSet<IpAddr> = host
        .default_gateway
        .into_iter()
        .chain(servers)
        .filter(|it| !own(it))
        .collect();
    beyond
        .into_iter()
        .flat_map(|address| {
            let host = address.to_string();
            [
                By::Tcp {
                    host: host.clone(),
                    port: 53,
                },
                By::Ping { host },
            ]
        })
        .collect()
}

/// Where a container might find the host: at its networks' gateways, and by a default route at the
/// address that the host itself goes out with.
fn addresses_of_host(topology: &Topology, source: &Sandbox) -> BTreeSet<IpAddr> {
    let host = &topology.host;
    let networks = source
        .endpoints
        .iter()
        .filter_map(|it| topology.network(&it.network));
    let gateways = networks.flat_map(|network| {
        let bridge = network.bridge_interface.iter();
        let on_bridge = bridge.flat_map(|it| it.addresses.iter().map(ipnet::IpNet::addr));
        let given = network.pools.iter().filter_map(|pool| pool.gateway);
        on_bridge.chain(given)
    });
    let default = host
        .routes
        .iter()
        .find(|route| route.destination.prefix_len() == 0);
    let outward = host
        .interfaces
        .iter()
        .filter(|interface| Some(&interface.name) == default.and_then(|it| it.interface.as_ref()))
        .flat_map(|interface| interface.addresses.iter().map(ipnet::IpNet::addr));
    // A link-local address is one only together with an interface.
    let usable = |address: &IpAddr| match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => !address.is_unicast_link_local(),
    };
    gateways.chain(outward).filter(usable).collect()
}
