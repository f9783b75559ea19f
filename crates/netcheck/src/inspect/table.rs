//! The network for reading: networks, endpoints, sandboxes, one table each.

use terminal::style::{Style, Tone};
use terminal::table::{Cell, lines};
use terminal::text::escape;

use super::model::{Endpoint, Network, Sandbox, Topology};

/// All tables, with what couldn't be looked at below.
pub(super) fn render(topology: &Topology, style: Style) -> String {
    let mut text = Vec::new();
    let networks: Vec<_> = topology.networks.iter().map(network).collect();
    section(
        &mut text,
        style,
        "Networks",
        &[
            "NAME",
            "DRIVER",
            "SUBNET",
            "GATEWAY",
            "BRIDGE ON HOST",
            "WAY OUT",
        ],
        &networks,
    );
    let endpoints: Vec<_> = topology
        .sandboxes
        .iter()
        .flat_map(|sandbox| {
            sandbox
                .endpoints
                .iter()
                .map(|it| endpoint(topology, sandbox, it))
        })
        .collect();
    section(
        &mut text,
        style,
        "Endpoints (a veth pair each: one end in the container, one on the host)",
        &[
            "CONTAINER",
            "NETWORK",
            "INSIDE",
            "ADDRESS",
            "MAC",
            "ON HOST",
            "BRIDGE",
            "NAMES",
        ],
        &endpoints,
    );
    let sandboxes: Vec<_> = topology
        .sandboxes
        .iter()
        .map(|it| sandbox(topology, it))
        .collect();
    section(
        &mut text,
        style,
        "Sandboxes",
        &[
            "CONTAINER",
            "HOSTNAME",
            "DEFAULT GATEWAY",
            "DNS",
            "FORWARDS TO",
            "LISTENS",
            "EXPOSED",
            "PUBLISHED",
        ],
        &sandboxes,
    );
    notes(&mut text, style, topology);
    text.join("\n")
}

/// What couldn't be looked at, a line each.
pub(super) fn notes(text: &mut Vec<String>, style: Style, topology: &Topology) {
    let heading = style.paint(Tone::Notice, "note:");
    let notes = topology.notes.iter();
    text.extend(notes.map(|note| format!("{heading} {}", escape(note))));
}

/// A table under its title; nothing where it has no rows.
pub(super) fn section(
    text: &mut Vec<String>,
    style: Style,
    title: &str,
    heading: &[&str],
    rows: &[Vec<Cell>],
) {
    if rows.is_empty() {
        return;
    }
    text.push(style.paint(Tone::Strong, title));
    let lines = lines(heading, rows, style).into_iter();
    text.extend(lines.map(|line| format!("  {line}")));
    text.push(String::new());
}

fn network(network: &Network) -> Vec<Cell> {
    let Some(_) = network.id else {
        return vec![
            plain(&network.name),
            ("doesn't exist".to_owned(), Tone::Bad),
        ];
    };
    let each = |of: &dyn Fn(&super::model::Pool) -> Option<String>| {
        or_dash(&network.pools.iter().filter_map(of).collect::<Vec<_>>())
    };
    vec![
        plain(&network.name),
        plain(&network.driver),
        plain(&each(&|pool| Some(pool.subnet?.to_string()))),
        plain(&each(&|pool| Some(pool.gateway?.to_string()))),
        bridge(network),
        if network.internal {
            ("none (internal)".to_owned(), Tone::Notice)
        } else {
            ("yes".to_owned(), Tone::Plain)
        },
    ]
}

fn bridge(network: &Network) -> Cell {
    match (&network.bridge, &network.bridge_interface) {
        (Some(bridge), Some(interface)) => plain(&format!("{bridge} {}", interface.state)),
        (Some(bridge), None) => (format!("{bridge} not seen"), Tone::Bad),
        (None, _) => plain("-"),
    }
}

fn endpoint(topology: &Topology, sandbox: &Sandbox, endpoint: &Endpoint) -> Vec<Cell> {
    let text = |value: &Option<String>| plain(value.as_deref().unwrap_or("-"));
    let names: Vec<String> = endpoint
        .aliases
        .iter()
        .filter(|alias| !sandbox.id.starts_with(alias.as_str()))
        .cloned()
        .collect();
    vec![
        plain(&sandbox.label(topology)),
        plain(&endpoint.network),
        text(&endpoint.interface),
        plain(
            &endpoint
                .address
                .or(endpoint.address6)
                .map_or("-".to_owned(), |it| it.to_string()),
        ),
        text(&endpoint.mac),
        text(&endpoint.host_interface),
        text(&endpoint.bridge),
        plain(&or_dash(&names)),
    ]
}

fn sandbox(topology: &Topology, sandbox: &Sandbox) -> Vec<Cell> {
    let name = sandbox.label(topology);
    if !sandbox.is_up() {
        let state = format!("{:?}", sandbox.status).to_lowercase();
        return vec![plain(&name), (state, Tone::Bad)];
    }
    let servers = sandbox
        .resolver
        .iter()
        .flat_map(|resolver| &resolver.nameservers);
    let published = sandbox
        .published
        .iter()
        .map(|it| format!("{}->{}/{}", it.host_port, it.port, it.protocol));
    let mut published: Vec<String> = published.collect();
    published.dedup();
    let listens: Vec<String> = sandbox.open_ports().iter().map(u16::to_string).collect();
    vec![
        plain(&name),
        plain(sandbox.hostname.as_deref().unwrap_or("-")),
        plain(
            &sandbox
                .default_gateway
                .map_or("-".to_owned(), |it| it.to_string()),
        ),
        plain(&or_dash(
            &servers.map(ToString::to_string).collect::<Vec<_>>(),
        )),
        plain(&or_dash(&sandbox.forwards_to)),
        plain(&or_dash(&listens)),
        plain(&or_dash(&sandbox.exposed)),
        plain(&or_dash(&published)),
    ]
}

pub(super) fn plain(text: &str) -> Cell {
    (escape(text).into_owned(), Tone::Plain)
}

pub(super) fn or_dash(values: &[String]) -> String {
    if values.is_empty() {
        "-".to_owned()
    } else {
        values.join(", ")
    }
}
