//! What the Engine API tells of a stack's network.

use std::collections::BTreeMap;
use std::net::IpAddr;

use compose_file::Project;
use engine::Engine;
use engine::api::{
    ContainerInspectResponse, ContainerStateStatusEnum, EndpointSettings, NetworkInspect, PortMap,
};
use engine::concurrency;
use engine::error::{EngineContext, Result, is_missing};
use engine::labels;
use engine::state::{Status, with_owners};
use ipnet::IpNet;

use super::model::{Endpoint, Host, Network, Pool, Published, Sandbox, Topology};

/// The driver option that names the bridge's interface.
const BRIDGE_NAME: &str = "com.docker.network.bridge.name";

impl Topology {
    /// What the Engine API alone tells.
    pub async fn of_engine(engine: &Engine, project: &Project) -> Result<Self> {
        // The label that Docker Compose gives as well, so that its stacks can be looked at too.
        let label = format!("{}={}", labels::COMPOSE_PROJECT, project.name);
        let listed = engine
            .list_containers(&[("label", &label)])
            .await
            .doing(|| "list the containers".to_owned())?;
        let listed = with_owners(engine, &project.name, listed).await?;
        // Neither what `docker compose run` started nor what bears the label of its image.
        let part = listed
            .into_iter()
            .filter(|(_, owner)| owner.is_deploy(&project.name) || owner.is_compose(&project.name));
        let inspected =
            concurrency::try_all(part.filter_map(|(listed, _)| listed.id).map(async |id| {
                match engine.inspect_container(&id).await {
                    Err(gone) if is_missing(&gone) => Ok(None),
                    other => other.map(Some).doing(|| format!("inspect container {id}")),
                }
            }))
            .await?;
        let mut sandboxes: Vec<Sandbox> = inspected
            .into_iter()
            .flatten()
            .filter_map(sandbox)
            .collect();
        let position = |service: &str| {
            project
                .services
                .get_index_of(service)
                .unwrap_or(project.services.len())
        };
        sandboxes.sort_by_key(|it| (position(&it.service), it.service.clone(), it.number));

        let networks = networks(engine, project, &mut sandboxes, false, network).await?;
        let mut notes = absent(project, &networks, &sandboxes, "container");
        for stopped in sandboxes.iter().filter(|sandbox| !sandbox.is_up()) {
            notes.push(format!(
                "{} isn't running: it has no sandbox now",
                stopped.container
            ));
        }
        let project = project.name.to_string();
        Ok(Self {
            project,
            host: Host::default(),
            nodes: Vec::new(),
            networks,
            sandboxes,
            notes,
        })
    }
}

/// The file's networks in its order, then others that sandboxes are on: what `read` makes of each that the
/// engine has. With `verbose` it tells what it hears of other nodes. The sandboxes' endpoints are put into
/// the same order, so that tables and pictures have one.
pub(super) async fn networks(
    engine: &Engine,
    project: &Project,
    sandboxes: &mut [Sandbox],
    verbose: bool,
    read: impl Fn(Option<String>, NetworkInspect, &[String]) -> Network,
) -> Result<Vec<Network>> {
    let mut wanted: Vec<(Option<String>, String)> = project
        .networks
        .iter()
        .map(|(key, network)| (Some(key.to_string()), network.name.clone()))
        .collect();
    for endpoint in sandboxes.iter().flat_map(|it| &it.endpoints) {
        if !wanted.iter().any(|(_, name)| *name == endpoint.network) {
            wanted.push((None, endpoint.network.clone()));
        }
    }
    let own: Vec<String> = sandboxes.iter().map(|it| it.id.clone()).collect();
    let (own, read) = (&own, &read);
    let networks = concurrency::try_all(wanted.into_iter().map(async |(key, name)| {
        let found = if verbose {
            engine.inspect_network_verbosely(&name).await
        } else {
            engine.inspect_network(&name).await
        };
        match found {
            Ok(found) => Ok(read(key, found, own)),
            Err(missing) if is_missing(&missing) => Ok(Network {
                key,
                name,
                ..Network::default()
            }),
            Err(error) => Err(error).doing(|| format!("inspect network {name}")),
        }
    }))
    .await?;
    let order = |it: &Endpoint| networks.iter().position(|on| on.name == it.network);
    for sandbox in sandboxes {
        sandbox.endpoints.sort_by_key(order);
    }
    Ok(networks)
}

/// A note for each of the file's networks that isn't there, and each service without any `of_it`.
pub(super) fn absent(
    project: &Project,
    networks: &[Network],
    sandboxes: &[Sandbox],
    of_it: &str,
) -> Vec<String> {
    let missing = networks.iter().filter(|it| it.id.is_none());
    let missing = missing.map(|it| format!("network {} doesn't exist", it.name));
    let services = project.services.keys();
    let idle = services.filter(|key| !sandboxes.iter().any(|it| it.service == ***key));
    missing
        .chain(idle.map(|key| format!("{key} has no {of_it}")))
        .collect()
}

fn sandbox(inspected: ContainerInspectResponse) -> Option<Sandbox> {
    let config = inspected.config.unwrap_or_default();
    let labels = config.labels.unwrap_or_default();
    let state = inspected.state.unwrap_or_default();
    let status = match state.status {
        Some(ContainerStateStatusEnum::RUNNING) => Status::Running,
        Some(ContainerStateStatusEnum::PAUSED) => Status::Paused,
        Some(ContainerStateStatusEnum::RESTARTING) => Status::Restarting,
        Some(ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::STOPPING) => {
            Status::Exited
        }
        Some(ContainerStateStatusEnum::DEAD | ContainerStateStatusEnum::REMOVING) => Status::Dead,
        Some(ContainerStateStatusEnum::CREATED | ContainerStateStatusEnum::EMPTY) | None => {
            Status::Created
        }
    };
    let settings = inspected.network_settings.unwrap_or_default();
    let host_config = inspected.host_config.unwrap_or_default();
    let mut exposed = config.exposed_ports.unwrap_or_default();
    exposed.sort();
    let mut endpoints: Vec<Endpoint> = settings
        .networks
        .unwrap_or_default()
        .into_iter()
        .filter(|(network, _)| network != "host" && network != "none")
        .map(|(network, settings)| endpoint(network, settings))
        .collect();
    endpoints.sort_by(|a, b| a.network.cmp(&b.network));
    Some(Sandbox {
        container: inspected
            .name
            .unwrap_or_default()
            .trim_start_matches('/')
            .to_owned(),
        id: inspected.id?,
        node: None,
        service: labels
            .get(labels::COMPOSE_SERVICE)
            .cloned()
            .unwrap_or_default(),
        number: labels
            .get(labels::COMPOSE_NUMBER)
            .and_then(|n| n.parse().ok())
            .unwrap_or(1),
        status,
        exit_code: state.exit_code.filter(|_| status == Status::Exited),
        hostname: config.hostname.filter(|name| !name.is_empty()),
        mode: host_config.network_mode.unwrap_or_default(),
        resolver: None,
        forwards_to: host_config.dns.unwrap_or_default(),
        default_gateway: None,
        routes: Vec::new(),
        endpoints,
        listening: Vec::new(),
        exposed,
        published: published(settings.ports.unwrap_or_default()),
        requested: published(host_config.port_bindings.unwrap_or_default()),
    })
}

fn endpoint(network: String, settings: EndpointSettings) -> Endpoint {
    let net = |address: Option<String>, prefix: Option<i64>| {
        let address: IpAddr = address?.parse().ok()?;
        IpNet::new(address, u8::try_from(prefix?).ok()?).ok()
    };
    let present = |text: Option<String>| text.filter(|text| !text.is_empty());
    Endpoint {
        network,
        id: present(settings.endpoint_id),
        mac: present(settings.mac_address),
        address: net(settings.ip_address, settings.ip_prefix_len),
        address6: net(
            settings.global_ipv6_address,
            settings.global_ipv6_prefix_len,
        ),
        gateway: settings
            .gateway
            .and_then(|gateway| gateway.parse().ok())
            .or_else(|| settings.ipv6_gateway?.parse().ok()),
        aliases: settings.aliases.unwrap_or_default(),
        ..Endpoint::default()
    }
}

fn published(ports: PortMap) -> Vec<Published> {
    let mut published = Vec::new();
    for (target, bindings) in ports {
        let (port, protocol) = target.split_once('/').unwrap_or((&target, "tcp"));
        let Ok(port) = port.parse() else { continue };
        for binding in bindings.unwrap_or_default() {
            let host_port = binding
                .host_port
                .and_then(|port| port.parse().ok())
                .unwrap_or(0);
            published.push(Published {
                port,
                protocol: protocol.to_owned(),
                host_ip: binding.host_ip.and_then(|ip| ip.parse().ok()),
                host_port,
            });
        }
    }
    published.sort();
    published
}

pub(super) fn network(key: Option<String>, found: NetworkInspect, own: &[String]) -> Network {
    let options: BTreeMap<String, String> = found.options.unwrap_or_default().into_iter().collect();
    let driver = found.driver.unwrap_or_default();
    let id = found.id.unwrap_or_default();
    // The bridge driver's rule: `br-` and the first twelve digits of the id, unless told otherwise.
    let bridge = (driver == "bridge").then(|| {
        let named = options.get(BRIDGE_NAME).cloned();
        named.unwrap_or_else(|| format!("br-{}", id.get(..12).unwrap_or(&id)))
    });
    let pools = found.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    let mut others: Vec<String> = found
        .containers
        .unwrap_or_default()
        .into_iter()
        .filter(|(id, _)| !own.contains(id))
        .map(|(id, endpoint)| endpoint.name.unwrap_or(id))
        .collect();
    others.sort();
    Network {
        key,
        name: found.name.unwrap_or_default(),
        id: Some(id),
        driver,
        scope: found.scope.unwrap_or_default(),
        internal: found.internal.unwrap_or_default(),
        attachable: found.attachable.unwrap_or_default(),
        ipv6: found.enable_ipv6.unwrap_or_default(),
        pools: pools
            .into_iter()
            .map(|pool| Pool {
                subnet: pool.subnet.and_then(|subnet| subnet.parse().ok()),
                ip_range: pool.ip_range.and_then(|range| range.parse().ok()),
                gateway: pool.gateway.and_then(|gateway| gateway.parse().ok()),
            })
            .collect(),
        options,
        bridge,
        bridge_interface: None,
        others,
        overlay: None,
    }
}
