//! A Swarm's network as a picture: overlay networks as bars across, nodes as boxes below them with their
//! tasks inside. A line joins a network and each node with tasks on it; in a task, each place on a network
//! has the network's colour.

use std::fmt::{Result, Write};

use super::super::model::{Network, Node, Sandbox, Topology};
use super::super::svg::{STYLE, colour, escaped, whole};
use super::mermaid;

const MARGIN: i32 = 28;
const NODE: i32 = 308;
const GAP: i32 = 32;
const BARS_TOP: i32 = 24;
const BAR: i32 = 58;
const BAR_GAP: i32 = 14;
/// Between the last bar and the nodes.
const DROP: i32 = 54;
const HEAD: i32 = 58;
const TITLE: i32 = 34;
const PLACE: i32 = 28;
const LINE: i32 = 18;

pub(in super::super) fn render(topology: &Topology) -> String {
    let mut text = String::new();
    // Writing to a string can't fail.
    let _ = draw(topology, &mut text);
    text
}

fn draw(topology: &Topology, text: &mut String) -> Result {
    let count = whole(topology.nodes.len().max(2));
    let width = 2 * MARGIN + count * (NODE + GAP) - GAP;
    let bars = whole(topology.networks.len());
    let top = BARS_TOP + bars * (BAR + BAR_GAP) - BAR_GAP + DROP;
    let tasks = |node: &Node| -> Vec<&Sandbox> {
        let all = topology.sandboxes.iter();
        all.filter(|it| it.node.as_ref() == Some(&node.name))
            .collect()
    };
    let tall = |node: &Node| -> i32 { tasks(node).iter().map(|it| height(it) + 12).sum() };
    let inside = topology.nodes.iter().map(tall).max().unwrap_or(0);
    let bottom = top + HEAD + inside + 8;
    let whole_height = bottom + MARGIN + 20;
    write!(
        text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {whole_height}\" width=\"{width}\" \
         height=\"{whole_height}\" role=\"img\" aria-label=\"Network of {}\"><style>{STYLE}</style>\
         <rect width=\"{width}\" height=\"{whole_height}\" rx=\"12\" fill=\"#ffffff\" stroke=\"#d0d7de\"/>",
        escaped(&topology.project)
    )?;
    // Below the bars, so that those hide where lines cross them.
    for (number, network) in topology.networks.iter().enumerate() {
        for (column, node) in topology.nodes.iter().enumerate() {
            let on = |it: &&Sandbox| it.endpoint(&network.name).is_some();
            if !tasks(node).iter().any(on) {
                continue;
            }
            let x = left(column) + 40 + 36 * whole(number);
            let from = BARS_TOP + whole(number) * (BAR + BAR_GAP) + BAR;
            let (line, _) = colour(number);
            write!(
                text,
                "<path d=\"M{x} {from}V{top}\" stroke=\"{line}\" stroke-width=\"3\"/>\
                 <circle cx=\"{x}\" cy=\"{top}\" r=\"5\" fill=\"{line}\"/>"
            )?;
        }
    }
    for (number, network) in topology.networks.iter().enumerate() {
        let y = BARS_TOP + whole(number) * (BAR + BAR_GAP);
        bar(text, number, network, (y, width - 2 * MARGIN))?;
    }
    for (column, node) in topology.nodes.iter().enumerate() {
        let x = left(column);
        let (line, fill) = if node.ready {
            ("#57606a", "#f6f8fa")
        } else {
            ("#cf222e", "#ffebe9")
        };
        rect(text, (x, top, NODE, bottom - top), line, fill, "")?;
        label(
            text,
            (x + 14, top + 28),
            "t",
            &format!("node {}", node.name),
        )?;
        let role = if node.manager { "manager" } else { "worker" };
        let mut about = format!("{}  {role}", node.address);
        if let Some(trouble) = node.trouble() {
            about = format!("{about}, {trouble}");
        }
        label(text, (x + 14, top + 47), "f", about.trim())?;
        let mut y = top + HEAD;
        for sandbox in tasks(node) {
            task(text, topology, sandbox, (x + 12, y))?;
            y += height(sandbox) + 12;
        }
    }
    label(
        text,
        (MARGIN + 4, whole_height - MARGIN + 8),
        "f",
        "Between the nodes, packets of a network go in UDP datagrams to port 4789 (VXLAN), marked with its id.",
    )?;
    text.push_str("</svg>\n");
    Ok(())
}

fn bar(text: &mut String, number: usize, network: &Network, (y, width): (i32, i32)) -> Result {
    let (line, fill) = colour(number);
    let dashes = if network.internal {
        "stroke-dasharray=\"7 5\""
    } else {
        ""
    };
    rect(text, (MARGIN, y, width, BAR), line, fill, dashes)?;
    label(text, (MARGIN + 14, y + 24), "t", &network.name)?;
    let about = mermaid::lines(network);
    let about = about.get(1..).unwrap_or_default().join("   ");
    label(text, (MARGIN + 14, y + 45), "m", &about)
}

fn task(text: &mut String, topology: &Topology, sandbox: &Sandbox, (x, y): (i32, i32)) -> Result {
    let width = NODE - 24;
    let (line, fill, dashes) = if sandbox.is_up() {
        ("#24292f", "#ffffff", "")
    } else {
        ("#cf222e", "#ffebe9", "stroke-dasharray=\"4 4\"")
    };
    rect(text, (x, y, width, height(sandbox)), line, fill, dashes)?;
    label(text, (x + 12, y + 22), "t", &mermaid::name(sandbox))?;
    let mut at = y + TITLE;
    for endpoint in &sandbox.endpoints {
        let number = topology
            .networks
            .iter()
            .position(|it| it.name == endpoint.network);
        let (line, fill) = colour(number.unwrap_or(0));
        rect(text, (x + 8, at, width - 16, PLACE - 4), line, fill, "")?;
        let address = endpoint.address.or(endpoint.address6);
        let address = address.map_or_else(String::new, |it| it.to_string());
        // A name that the file gives on purpose comes after the service's own.
        let alias = endpoint.aliases.get(1).map_or("", String::as_str);
        let words = format!("{address}  {alias}");
        label(text, (x + 18, at + 16), "m", words.trim())?;
        at += PLACE;
    }
    if !sandbox.is_up() {
        return label(text, (x + 12, at + 12), "f", "not running");
    }
    let ports = sandbox.published.iter();
    let ports = ports.map(|it| format!(":{} → :{}", it.host_port, it.port));
    let ports: Vec<String> = ports.collect();
    if ports.is_empty() {
        return Ok(());
    }
    let words = format!("published {}", ports.join("  "));
    label(text, (x + 12, at + 12), "f", &words)
}

fn height(sandbox: &Sandbox) -> i32 {
    let more = !sandbox.is_up() || !sandbox.published.is_empty();
    TITLE + PLACE * whole(sandbox.endpoints.len()) + if more { LINE } else { 0 } + 4
}

fn left(column: usize) -> i32 {
    MARGIN + whole(column) * (NODE + GAP)
}

fn label(text: &mut String, (x, y): (i32, i32), class: &str, words: &str) -> Result {
    if words.is_empty() {
        return Ok(());
    }
    let words = escaped(words);
    write!(
        text,
        "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{words}</text>"
    )
}

fn rect(
    text: &mut String,
    (x, y, width, height): (i32, i32, i32, i32),
    line: &str,
    fill: &str,
    more: &str,
) -> Result {
    write!(
        text,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"{fill}\" \
         stroke=\"{line}\" stroke-width=\"1.5\" {more}/>"
    )
}

#[cfg(test)]
mod tests {
    use super::super::of_two_nodes;
    use super::*;

    #[test]
    fn each_node_is_a_box_with_its_tasks() {
        let picture = render(&of_two_nodes());
        for words in [
            "node n1",
            "node n2",
            "VXLAN 4097, not encrypted",
            "internal: no way out",
            "10.0.1.5/24  flask-app",
            "published :8080 → :80",
        ] {
            assert!(picture.contains(words), "{words}: {picture}");
        }
        // `front` is on both nodes, and so is `back`.
        assert_eq!(picture.matches("stroke-width=\"3\"").count(), 4);
    }
}
