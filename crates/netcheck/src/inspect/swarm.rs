//! What a Swarm's manager tells of a stack's network: tasks over nodes, and the overlay networks that
//! join them.

pub(super) mod mermaid;
pub(super) mod svg;
pub(super) mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use compose_file::Project;
use compose_file::model::{Mode, PublishMode};
use engine::Engine;
use engine::api::{NetworkInspect, PeerInfo};
use engine::error::Result;
use engine::image;
use engine::state::Status;
use engine::swarm::attachment::{self, Attachment};
use engine::swarm::node::Role;
use engine::swarm::stack::{Service, Stack};
use engine::swarm::task::{self, Task};
use ipnet::IpNet;

use super::engine::{absent, network, networks};
use super::model::{Endpoint, Host, Network, Node, Overlay, Published, Sandbox, Topology};

#[cfg(test)]
pub(crate) use tests::of_two_nodes;

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

        let read = |key: Option<String>, found: NetworkInspect, own: &[String]| {
            overlay(key, found, own, stack)
        };
        let networks = networks(engine, project, &mut sandboxes, true, read).await?;
        notes.extend(absent(project, &networks, &sandboxes, "task"));
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
