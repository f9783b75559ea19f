//! What a Swarm's manager tells of a stack's network: tasks over nodes, and the overlay networks that
//! join them.

pub(super) mod mermaid;
pub(super) mod svg;
pub(super) mod table;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use bollard::models::{NetworkInspect, PeerInfo};
use bollard::query_parameters::InspectNetworkOptionsBuilder;
use compose_file::Project;
use compose_file::model::{Mode, PublishMode};
use engine::Engine;
use engine::concurrency;
use engine::error::{EngineContext, Result};
use engine::image;
use engine::state::Status;
use engine::swarm::attachment::{self, Attachment};
use engine::swarm::node::Role;
use engine::swarm::stack::{Service, Stack};
use engine::swarm::task::{self, Task};
use ipnet::IpNet;

use super::engine::{is_missing, network};
use super::model::{Endpoint, Host, Network, Node, Overlay, Published, Sandbox, Topology};

/// The option that says how long a packet between the nodes may be.
const MTU: &str = "com.docker.network.driver.mtu";
/// Where the engine says which VXLAN ids it gave a network, separated by commas.
const VXLAN_IDS: &str = "com.docker.network.driver.overlay.vxlanid_list";
/// How long a packet between the nodes may be, unless the network says otherwise.
const DEFAULT_MTU: u32 = 1_500;
/// What VXLAN adds to a packet: outer Ethernet, IPv4, UDP and its own header (RFC 7348 §5).
const ENCAPSULATION: u32 = 50;
/// What the overlay driver sets aside for ESP.
const ENCRYPTION: u32 = 26;

impl Topology {
    /// What the manager alone tells.
    ///
    /// # Errors
    /// When the engine isn't one, or doesn't answer.
    pub async fn of_swarm(engine: &Engine, project: &Project, stack: &Stack) -> Result<Self> {
        let attachments = attachment::all(engine).await?;
        let position = |key: &str| {
            let index = project.services.get_index_of(key);
            index.unwrap_or(project.services.len())
        };
        let mut services: Vec<(&String, &Service)> = stack.services.iter().collect();
        services.sort_by_key(|(key, _)| (position(key), (*key).clone()));
        let mut notes = Vec::new();
        let mut sandboxes = Vec::new();
        for (key, service) in services {
            let tasks = task::of_service(engine, &service.name).await?;
            let mut tasks: Vec<Task> = tasks.into_iter().filter(|it| it.wanted).collect();
            tasks.sort_by_key(|it| (it.slot, it.node.clone()));
            let exposed = exposed(engine, project, (key, service), &mut notes).await?;
            for task in tasks {
                let mut found = sandbox(project, stack, (key, service), &task, &attachments);
                found.exposed.clone_from(&exposed);
                sandboxes.push(found);
            }
        }

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
        let own = &own;
        let networks = concurrency::try_all(wanted.into_iter().map(async |(key, name)| {
            let options = InspectNetworkOptionsBuilder::new().verbose(true).build();
            match engine.docker().inspect_network(&name, Some(options)).await {
                Ok(found) => Ok(overlay(key, found, own, stack)),
                Err(missing) if is_missing(&missing) => Ok(Network {
                    key,
                    name,
                    ..Network::default()
                }),
                Err(error) => Err(error).doing(|| format!("inspect network {name}")),
            }
        }))
        .await?;

        // As the networks are listed, so that tables and pictures have one order.
        let order = |it: &Endpoint| networks.iter().position(|on| on.name == it.network);
        for sandbox in &mut sandboxes {
            sandbox.endpoints.sort_by_key(order);
        }
        for network in networks.iter().filter(|it| it.id.is_none()) {
            notes.push(format!("network {} doesn't exist", network.name));
        }
        for service in project.services.keys() {
            if !sandboxes.iter().any(|it| it.service == **service) {
                notes.push(format!("{service} has no task"));
            }
        }
        let topology = Self {
            project: project.name.to_string(),
            host: Host::default(),
            nodes: stack.nodes.iter().map(node).collect(),
            networks,
            sandboxes,
            notes,
        };
        Ok(topology.with_notes_of_nodes())
    }

    fn with_notes_of_nodes(mut self) -> Self {
        for node in &self.nodes {
            let why = match (node.ready, node.takes_tasks) {
                (false, _) => "isn't heard of",
                (true, false) => "takes no tasks",
                (true, true) => continue,
            };
            self.notes.push(format!("node {} {why}", node.name));
        }
        for sandbox in self.sandboxes.iter().filter(|it| !it.is_up()) {
            let place = sandbox.label(&self);
            self.notes.push(format!("{place} isn't running"));
        }
        self
    }
}

fn node(node: &engine::swarm::node::Node) -> Node {
    Node {
        id: node.id.clone(),
        name: node.name.clone(),
        address: node.address.clone(),
        manager: matches!(node.role, Role::Manager { .. }),
        ready: node.ready,
        takes_tasks: node.takes_tasks(),
    }
}

/// Ports that the file or the image declares. The image is looked at where the manager has it.
async fn exposed(
    engine: &Engine,
    project: &Project,
    (key, service): (&str, &Service),
    notes: &mut Vec<String>,
) -> Result<Vec<String>> {
    let mut ports: Vec<String> = Vec::new();
    if let Some(known) = project.services.get(key) {
        ports.extend(
            known
                .expose
                .iter()
                .map(|it| format!("{}/{}", it.port, it.protocol)),
        );
    }
    let template = service.spec.task_template.as_ref();
    let image = template.and_then(|it| it.container_spec.as_ref()?.image.clone());
    if let Some(image) = image {
        match image::inspect(engine, &image).await? {
            Some(found) => {
                let config = found.config.unwrap_or_default();
                ports.extend(config.exposed_ports.unwrap_or_default());
            }
            None => notes.push(format!(
                "this manager doesn't have {key}'s image {image}: which ports it declares isn't known"
            )),
        }
    }
    ports.sort();
    ports.dedup();
    Ok(ports)
}

fn sandbox(
    project: &Project,
    stack: &Stack,
    (key, service): (&str, &Service),
    task: &Task,
    attachments: &HashMap<String, Vec<Attachment>>,
) -> Sandbox {
    let node = task.node.as_deref().map(|id| stack.node_name(id));
    let container = match (task.slot, node) {
        (Some(slot), _) => format!("{}.{slot}", service.name),
        (None, Some(node)) => format!("{}.{node}", service.name),
        (None, None) => service.name.clone(),
    };
    let attached = attachments.get(&task.id).into_iter().flatten();
    // What belongs to the routing mesh is nobody's network.
    let attached = attached.filter(|it| it.network != "ingress");
    let file = project.services.get(key);
    let global = file.is_some_and(|it| it.deploy.mode == Mode::Global);
    let ports = file.into_iter().flat_map(|it| &it.ports);
    let published = ports.filter(|it| it.mode == Some(PublishMode::Host));
    Sandbox {
        container,
        id: task.container.clone().unwrap_or_default(),
        node: Some(node.unwrap_or("no node").to_owned()),
        service: key.to_owned(),
        number: task
            .slot
            .filter(|_| !global)
            .and_then(|it| it.try_into().ok())
            .unwrap_or(0),
        status: status(task),
        exit_code: None,
        hostname: None,
        mode: String::new(),
        resolver: None,
        forwards_to: file
            .into_iter()
            .flat_map(|it| &it.dns)
            .map(IpAddr::to_string)
            .collect(),
        default_gateway: None,
        routes: Vec::new(),
        endpoints: attached.map(|it| endpoint(service, it)).collect(),
        listening: Vec::new(),
        exposed: Vec::new(),
        published: published
            .map(|it| Published {
                port: it.target,
                protocol: it.protocol.to_string(),
                host_ip: None,
                host_port: it.published.unwrap_or(0),
            })
            .collect(),
        requested: Vec::new(),
    }
}

fn status(task: &Task) -> Status {
    if task.runs() {
        return Status::Running;
    }
    if task.is_live() {
        Status::Created
    } else {
        Status::Exited
    }
}

/// Its names are the service's: all tasks answer to them.
fn endpoint(service: &Service, attachment: &Attachment) -> Endpoint {
    let template = service.spec.task_template.as_ref();
    let attached = template.and_then(|it| it.networks.as_ref());
    let ours = attached.into_iter().flatten().find(|it| {
        let target = it.target.as_deref();
        target == Some(attachment.id.as_str()) || target == Some(attachment.network.as_str())
    });
    let nets: Vec<IpNet> = attachment
        .addresses
        .iter()
        .filter_map(|it| it.parse().ok())
        .collect();
    Endpoint {
        network: attachment.network.clone(),
        address: nets.iter().find(|it| it.addr().is_ipv4()).copied(),
        address6: nets.iter().find(|it| it.addr().is_ipv6()).copied(),
        aliases: ours.and_then(|it| it.aliases.clone()).unwrap_or_default(),
        ..Endpoint::default()
    }
}

fn overlay(
    key: Option<String>,
    mut found: NetworkInspect,
    own: &[String],
    stack: &Stack,
) -> Network {
    let peers = found.peers.take();
    let mut network = network(key, found, own);
    // The driver's own ends, and what looks for us.
    network
        .others
        .retain(|it| !it.starts_with("lb-") && !it.ends_with("-endpoint"));
    if network.driver != "overlay" {
        return network;
    }
    network.overlay = Some(Overlay {
        peers: peers.filter(|it| !it.is_empty()).map(|it| names(it, stack)),
        ..of_options(&network.options)
    });
    network
}

/// What the network's options say. Its interfaces' packets leave room for what the nodes put around them
/// (the overlay driver's `maxMTU`).
fn of_options(options: &BTreeMap<String, String>) -> Overlay {
    let ids = options.get(VXLAN_IDS).map_or("", String::as_str);
    let path_mtu = options.get(MTU).and_then(|it| it.parse().ok());
    let path_mtu = path_mtu.filter(|it| *it > 0).unwrap_or(DEFAULT_MTU);
    let encrypted = options.contains_key("encrypted");
    let inside = path_mtu.saturating_sub(ENCAPSULATION);
    let mtu = if encrypted {
        let padded = inside.saturating_sub(ENCRYPTION);
        padded - padded % 4
    } else {
        inside
    };
    Overlay {
        vxlan: ids.split(',').filter_map(|it| it.parse().ok()).collect(),
        encrypted,
        mtu,
        path_mtu,
        peers: None,
    }
}

/// Of a peer the engine tells the address, and a name that begins with its host's.
fn names(peers: Vec<PeerInfo>, stack: &Stack) -> Vec<String> {
    let mut names: Vec<String> = peers
        .into_iter()
        .filter_map(|peer| {
            let address = peer.ip?;
            let mut nodes = stack.nodes.iter();
            let node = nodes.find(|it| it.address == address);
            Some(node.map_or(address, |it| it.name.clone()))
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

/// For tests and pictures without an engine.
#[cfg(test)]
pub(crate) fn of_two_nodes() -> Topology {
    let node = |name: &str, address: &str, manager| Node {
        id: format!("id-{name}"),
        name: name.to_owned(),
        address: address.to_owned(),
        manager,
        ready: true,
        takes_tasks: true,
    };
    let network = |name: &str, subnet: &str, id: u32, internal| Network {
        key: Some(name.to_owned()),
        name: name.to_owned(),
        id: Some(name.to_owned()),
        driver: "overlay".to_owned(),
        scope: "swarm".to_owned(),
        internal,
        attachable: true,
        pools: vec![super::model::Pool {
            subnet: subnet.parse().ok(),
            ip_range: None,
            gateway: None,
        }],
        overlay: Some(Overlay {
            peers: Some(vec!["n1".to_owned(), "n2".to_owned()]),
            ..of_options(&BTreeMap::from([(VXLAN_IDS.to_owned(), id.to_string())]))
        }),
        ..Network::default()
    };
    let sandbox = |service: &str, node: &str, number: u32, on: &[(&str, &str, &[&str])]| Sandbox {
        container: match number {
            0 => format!("p_{service}.{node}"),
            number => format!("p_{service}.{number}"),
        },
        id: format!("{service}-{node}"),
        node: Some(node.to_owned()),
        service: service.to_owned(),
        number,
        status: Status::Running,
        exit_code: None,
        hostname: None,
        mode: String::new(),
        resolver: None,
        forwards_to: Vec::new(),
        default_gateway: None,
        routes: Vec::new(),
        endpoints: on
            .iter()
            .map(|(network, address, aliases)| Endpoint {
                network: (*network).to_owned(),
                address: address.parse().ok(),
                aliases: aliases.iter().map(|it| (*it).to_owned()).collect(),
                ..Endpoint::default()
            })
            .collect(),
        listening: Vec::new(),
        exposed: match service {
            "proxy" => Vec::new(),
            "api" => vec!["8000/tcp".to_owned()],
            _ => vec!["27017/tcp".to_owned()],
        },
        published: if service == "proxy" {
            vec![Published {
                port: 80,
                protocol: "tcp".to_owned(),
                host_ip: None,
                host_port: 8080,
            }]
        } else {
            Vec::new()
        },
        requested: Vec::new(),
    };
    let names: &[&str] = &["api", "flask-app"];
    Topology {
        project: "p".to_owned(),
        host: Host::default(),
        nodes: vec![
            node("n1", "10.77.0.11", true),
            node("n2", "10.77.0.12", false),
        ],
        networks: vec![
            network("front", "10.0.1.0/24", 4097, false),
            network("back", "10.0.2.0/24", 4098, true),
        ],
        sandboxes: vec![
            sandbox("proxy", "n1", 0, &[("front", "10.0.1.2/24", &["proxy"])]),
            sandbox("proxy", "n2", 0, &[("front", "10.0.1.3/24", &["proxy"])]),
            sandbox(
                "api",
                "n1",
                1,
                &[
                    ("front", "10.0.1.4/24", names),
                    ("back", "10.0.2.4/24", &["api"]),
                ],
            ),
            sandbox(
                "api",
                "n2",
                2,
                &[
                    ("front", "10.0.1.5/24", names),
                    ("back", "10.0.2.5/24", &["api"]),
                ],
            ),
            sandbox(
                "store",
                "n1",
                1,
                &[("back", "10.0.2.3/24", &["store", "mongo"])],
            ),
        ],
        notes: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_leave_room_for_what_the_nodes_put_around_them() {
        let mtu = |options: &[(&str, &str)]| {
            let options = options
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            let overlay = of_options(&options.collect());
            (overlay.path_mtu, overlay.mtu)
        };
        assert_eq!(mtu(&[]), (1_500, 1_450));
        assert_eq!(mtu(&[(MTU, "1400")]), (1_400, 1_350));
        assert_eq!(mtu(&[("encrypted", "")]), (1_500, 1_424));
    }
}
