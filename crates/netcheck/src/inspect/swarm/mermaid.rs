//! A Swarm's network as a Mermaid flowchart: nodes are frames, networks stand between them.

use std::fmt::{Result, Write};

use super::super::mermaid::quoted;
use super::super::model::{Network, Sandbox, Topology};

pub(in super::super) fn draw(topology: &Topology, text: &mut String) -> Result {
    for (number, node) in topology.nodes.iter().enumerate() {
        let title = format!("{} {}", node.name, node.address);
        writeln!(text, "  subgraph n{number}[\"{}\"]", quoted(title.trim()))?;
        for (task, sandbox) in topology.sandboxes.iter().enumerate() {
            if sandbox.node.as_ref() == Some(&node.name) {
                writeln!(text, "    c{task}[\"{}\"]", quoted(&task_label(sandbox)))?;
            }
        }
        writeln!(text, "  end")?;
    }
    for (number, network) in topology.networks.iter().enumerate() {
        let label = quoted(&lines(network).join("<br/>"));
        writeln!(text, "  net{number}[[\"{label}\"]]")?;
    }
    for (task, sandbox) in topology.sandboxes.iter().enumerate() {
        for endpoint in &sandbox.endpoints {
            let mut networks = topology.networks.iter();
            let Some(on) = networks.position(|it| it.name == endpoint.network) else {
                continue;
            };
            let address = endpoint
                .ip()
                .map_or_else(String::new, |ip| format!("|\"{ip}\"|"));
            writeln!(text, "  net{on} ---{address} c{task}")?;
        }
    }
    Ok(())
}

fn task_label(sandbox: &Sandbox) -> String {
    let mut lines = vec![name(sandbox)];
    if !sandbox.is_up() {
        lines.push("not running".to_owned());
    }
    for port in &sandbox.published {
        lines.push(format!(":{} → :{}", port.host_port, port.port));
    }
    lines.join("<br/>")
}

/// How a task is called within its node.
pub(super) fn name(sandbox: &Sandbox) -> String {
    match sandbox.number {
        0 => sandbox.service.clone(),
        number => format!("{}.{number}", sandbox.service),
    }
}

/// What is said of a network, a line each.
pub(super) fn lines(network: &Network) -> Vec<String> {
    let mut lines = vec![network.name.clone()];
    if network.id.is_none() {
        lines.push("doesn't exist".to_owned());
        return lines;
    }
    let subnets = network.pools.iter().filter_map(|pool| pool.subnet);
    lines.extend(subnets.map(|subnet| subnet.to_string()));
    if let Some(overlay) = &network.overlay {
        let ids: Vec<String> = overlay.vxlan.iter().map(u32::to_string).collect();
        let encrypted = if overlay.encrypted {
            "encrypted"
        } else {
            "not encrypted"
        };
        lines.push(format!("VXLAN {}, {encrypted}", ids.join(", ")));
        lines.push(format!("MTU {} of {}", overlay.mtu, overlay.path_mtu));
    }
    if network.internal {
        lines.push("internal: no way out".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::of_two_nodes;

    #[test]
    fn nodes_are_frames_around_their_tasks() {
        let text = of_two_nodes().mermaid();
        for words in [
            "subgraph n0[\"n1 10.77.0.11\"]",
            "VXLAN 4098, not encrypted",
            "net1 ---|\"10.0.2.3\"| c4",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
}
