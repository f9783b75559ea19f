//! The network as a Mermaid flowchart, which GitHub and other Markdown renderers draw.

use std::fmt::Write;

use super::model::{Sandbox, Topology};

/// The lines below the first.
pub(super) fn draw(topology: &Topology, text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "  host([\"host {}\"])",
        quoted(topology.host.hostname.as_deref().unwrap_or(""))
    )?;
    for (number, network) in topology.networks.iter().enumerate() {
        let subnets = network.pools.iter().filter_map(|pool| pool.subnet);
        let mut lines = vec![network.name.clone()];
        lines.extend(subnets.map(|subnet| subnet.to_string()));
        lines.extend(network.bridge.clone());
        if network.internal {
            lines.push("internal: no way out".to_owned());
        }
        if network.id.is_none() {
            lines.push("doesn't exist".to_owned());
        }
        writeln!(
            text,
            "  net{number}[[\"{}\"]]",
            quoted(&lines.join("<br/>"))
        )?;
        if network.bridge.is_some() && !network.internal {
            writeln!(text, "  host --- net{number}")?;
        }
    }
    for (number, sandbox) in topology.sandboxes.iter().enumerate() {
        writeln!(
            text,
            "  c{number}[\"{}\"]",
            quoted(&container(sandbox, topology))
        )?;
        for endpoint in &sandbox.endpoints {
            let on = topology
                .networks
                .iter()
                .position(|it| it.name == endpoint.network);
            let Some(on) = on else { continue };
            let inside = endpoint.interface.as_deref().unwrap_or("?");
            let outside = endpoint.host_interface.as_deref().unwrap_or("?");
            let address = endpoint
                .ip()
                .map_or_else(String::new, |ip| format!("<br/>{ip}"));
            writeln!(
                text,
                "  net{on} ---|\"{}\"| c{number}",
                quoted(&format!("{outside} ⇄ {inside}{address}"))
            )?;
        }
        for port in &sandbox.published {
            writeln!(
                text,
                "  host ==>|\":{} → :{}\"| c{number}",
                port.host_port, port.port
            )?;
        }
    }
    Ok(())
}

fn container(sandbox: &Sandbox, topology: &Topology) -> String {
    if sandbox.is_up() {
        sandbox.label(topology)
    } else {
        format!("{}<br/>not running", sandbox.label(topology))
    }
}

/// Mermaid's way to write a quote within a quoted label.
pub(super) fn quoted(text: &str) -> String {
    text.replace('"', "#quot;")
}
