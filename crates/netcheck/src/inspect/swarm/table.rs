//! A Swarm's network for reading: nodes, networks, and the tasks with their addresses.

use terminal::style::{Style, Tone};
use terminal::table::Cell;

use super::super::model::{Endpoint, Network, Node, Sandbox, Topology};
use super::super::table::{notes, or_dash, plain, section};

/// All tables, with what is to be known of them below.
pub(in super::super) fn render(topology: &Topology, style: Style) -> String {
    let mut text = Vec::new();
    let nodes: Vec<_> = topology.nodes.iter().map(|it| node(it, topology)).collect();
    section(
        &mut text,
        style,
        "Nodes",
        &["NAME", "ADDRESS", "ROLE", "STATE", "TASKS"],
        &nodes,
    );
    let networks: Vec<_> = topology.networks.iter().map(network).collect();
    section(
        &mut text,
        style,
        "Networks (VXLAN between the nodes, 4789/udp)",
        &[
            "NAME",
            "DRIVER",
            "SUBNET",
            "VXLAN",
            "ENCRYPTED",
            "MTU",
            "ON NODES",
            "WAY OUT",
        ],
        &networks,
    );
    let tasks: Vec<_> = topology
        .sandboxes
        .iter()
        .flat_map(|sandbox| rows(topology, sandbox))
        .collect();
    section(
        &mut text,
        style,
        "Tasks",
        &[
            "TASK",
            "NODE",
            "NETWORK",
            "ADDRESS",
            "MTU",
            "NAMES",
            "DECLARED",
            "PUBLISHED",
        ],
        &tasks,
    );
    notes(&mut text, style, topology);
    text.join("\n")
}

fn node(node: &Node, topology: &Topology) -> Vec<Cell> {
    let tone = if node.ready { Tone::Notice } else { Tone::Bad };
    let state = match node.trouble() {
        Some(trouble) => (trouble.to_owned(), tone),
        None => ("ready".to_owned(), Tone::Good),
    };
    let tasks = topology
        .sandboxes
        .iter()
        .filter(|it| it.node.as_ref() == Some(&node.name));
    vec![
        plain(&node.name),
        plain(&node.address),
        plain(if node.manager { "manager" } else { "worker" }),
        state,
        plain(&tasks.count().to_string()),
    ]
}

fn network(network: &Network) -> Vec<Cell> {
    if network.id.is_none() {
        return vec![
            plain(&network.name),
            ("doesn't exist".to_owned(), Tone::Bad),
        ];
    }
    let subnets: Vec<String> = network
        .pools
        .iter()
        .filter_map(|pool| Some(pool.subnet?.to_string()))
        .collect();
    let mut cells = vec![
        plain(&network.name),
        plain(&network.driver),
        plain(&or_dash(&subnets)),
    ];
    match &network.overlay {
        None => cells.extend(["-"; 4].map(plain)),
        Some(overlay) => {
            let ids: Vec<String> = overlay.vxlan.iter().map(u32::to_string).collect();
            cells.push(plain(&or_dash(&ids)));
            cells.push(plain(if overlay.encrypted { "yes" } else { "no" }));
            cells.push(plain(&format!("{} of {}", overlay.mtu, overlay.path_mtu)));
            let peers = overlay.peers.as_deref();
            cells.push(plain(&peers.map_or("not known here".to_owned(), or_dash)));
        }
    }
    cells.push(if network.internal {
        ("none (internal)".to_owned(), Tone::Notice)
    } else {
        plain("yes")
    });
    cells
}

/// One for each network that the task is on.
fn rows(topology: &Topology, sandbox: &Sandbox) -> Vec<Vec<Cell>> {
    if sandbox.is_up() && !sandbox.endpoints.is_empty() {
        let each = sandbox.endpoints.iter();
        return each.map(|it| row(topology, sandbox, Some(it))).collect();
    }
    vec![row(topology, sandbox, None)]
}

fn row(topology: &Topology, sandbox: &Sandbox, endpoint: Option<&Endpoint>) -> Vec<Cell> {
    let node = sandbox.node.as_deref().unwrap_or("-");
    let mut cells = vec![plain(&sandbox.container), plain(node)];
    if !sandbox.is_up() {
        let state = format!("{:?}", sandbox.status).to_lowercase();
        cells.push((state, Tone::Bad));
        return cells;
    }
    let address = endpoint.and_then(|it| it.address.or(it.address6));
    let on = endpoint.and_then(|it| topology.network(&it.network));
    let mtu = on.and_then(|it| Some(it.overlay.as_ref()?.mtu));
    // What an interface has, where it was looked at.
    let mtu = endpoint.and_then(|it| it.mtu).or(mtu);
    let published = sandbox.published.iter();
    let published = published.map(|it| format!("{}->{}/{}", it.host_port, it.port, it.protocol));
    let text = |it: Option<String>| plain(&it.unwrap_or_else(|| "-".to_owned()));
    cells.extend([
        text(endpoint.map(|it| it.network.clone())),
        text(address.map(|it| it.to_string())),
        text(mtu.map(|it| it.to_string())),
        plain(&or_dash(
            endpoint.map_or(&[][..], |it| it.aliases.as_slice()),
        )),
        plain(&or_dash(&sandbox.exposed)),
        plain(&or_dash(&published.collect::<Vec<_>>())),
    ]);
    cells
}

#[cfg(test)]
mod tests {
    use super::super::of_two_nodes;
    use super::*;

    #[test]
    fn tables_name_the_node_of_each_task() {
        let text = render(&of_two_nodes(), Style::PLAIN);
        for words in [
            "10.77.0.12",
            "4097",
            "1450 of 1500",
            "none (internal)",
            "p_api.2",
            "api, flask-app",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
}
