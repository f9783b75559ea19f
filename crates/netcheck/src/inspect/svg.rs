//! The network as a picture: the host with its bridges, the containers below, each veth pair a
//! line with both its ends named. Colours read on white and on GitHub's dark background, because
//! the picture brings its own.

use std::fmt::Write;

use super::model::{Endpoint, Network, Sandbox, Topology};

const MARGIN: i32 = 28;
const BOX: i32 = 268;
const GAP: i32 = 44;
const HOST_TOP: i32 = 76;
const BRIDGE_TOP: i32 = HOST_TOP + 62;
const BRIDGE: i32 = 104;
const HOST_BOTTOM: i32 = BRIDGE_TOP + BRIDGE + 62;
const CONTAINER_TOP: i32 = HOST_BOTTOM + 132;
const ENDPOINT: i32 = 58;
/// Between the right edges of stacked endpoints.
const GUTTER: i32 = 26;
/// What fits beside a hardware address, in characters.
const LONGEST_ALIAS: usize = 12;
pub(super) const STYLE: &str = "text{font:13px ui-sans-serif,system-ui,'Segoe UI',Helvetica,Arial,sans-serif;fill:#24292f}\
.t{font-weight:600;font-size:15px}.m{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:12px}\
.f{fill:#57606a;font-size:12px}.e{text-anchor:middle}";
/// Of networks, in turn: line and fill.
const COLOURS: [(&str, &str); 5] = [
    ("#0969da", "#ddf4ff"),
    ("#8250df", "#fbefff"),
    ("#1a7f37", "#dafbe1"),
    ("#bc4c00", "#fff1e5"),
    ("#bf3989", "#ffeff7"),
];

/// A whole SVG document.
pub(super) fn render(topology: &Topology) -> String {
    let mut picture = Picture {
        topology,
        text: String::new(),
        labels: String::new(),
    };
    // Writing to a string can't fail.
    let _ = picture.draw();
    picture.text
}

struct Picture<'a> {
    topology: &'a Topology,
    text: String,
    /// Names along lines, drawn last so that no line crosses them.
    labels: String,
}

impl Picture<'_> {
    fn draw(&mut self) -> std::fmt::Result {
        let columns = self
            .topology
            .sandboxes
            .len()
            .max(self.topology.networks.len())
            .max(2);
        let width = 2 * MARGIN + across(columns) + 2 * MARGIN;
        let most = self
            .topology
            .sandboxes
            .iter()
            .map(|it| it.endpoints.len())
            .max()
            .unwrap_or(0);
        let container = 108 + ENDPOINT * whole(most);
        let height = CONTAINER_TOP + container + MARGIN + 34;
        write!(
            self.text,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" aria-label=\"Network of {}\"><style>{STYLE}</style>\
             <rect width=\"{width}\" height=\"{height}\" rx=\"12\" fill=\"#ffffff\" stroke=\"#d0d7de\"/>",
            escaped(&self.topology.project)
        )?;
        self.host(width)?;
        for (number, network) in self.topology.networks.iter().enumerate() {
            self.bridge(number, network, width)?;
        }
        for (number, sandbox) in self.topology.sandboxes.iter().enumerate() {
            self.container(number, sandbox, width, container)?;
        }
        self.line(
            MARGIN + 8,
            height - MARGIN + 2,
            "f",
            "Each coloured line is a veth pair: a cable whose one end is a port of the bridge on the \
             host, the other an interface inside the container.",
        )?;
        self.text.push_str(&self.labels);
        self.text.push_str("</svg>\n");
        Ok(())
    }

    fn host(&mut self, width: i32) -> std::fmt::Result {
        let host = &self.topology.host;
        let (left, inner) = (MARGIN, width - 2 * MARGIN);
        self.rect(
            (left, HOST_TOP, inner, HOST_BOTTOM - HOST_TOP),
            "#57606a",
            "#f6f8fa",
            "",
        )?;
        let name = host.hostname.as_deref().unwrap_or("not looked at");
        self.line(left + 16, HOST_TOP + 26, "t", &format!("host {name}"))?;
        let servers = host.resolver.iter().flat_map(|it| &it.nameservers);
        let servers: Vec<String> = servers.map(ToString::to_string).collect();
        let out = host
            .default_gateway
            .map_or_else(String::new, |it| format!("way out via {it}   "));
        let dns = if servers.is_empty() {
            String::new()
        } else {
            format!("DNS {}", servers.join(", "))
        };
        self.line(left + 16, HOST_TOP + 46, "f", &format!("{out}{dns}"))?;

        for (number, sandbox) in self.topology.sandboxes.iter().enumerate() {
            let mut ports: Vec<String> = sandbox
                .published
                .iter()
                .map(|it| format!(":{} → :{}", it.host_port, it.port))
                .collect();
            ports.dedup();
            if ports.is_empty() {
                continue;
            }
            let x = column(number, self.topology.sandboxes.len(), width) + BOX / 2;
            write!(
                self.text,
                "<path d=\"M{x} 44V{y}\" stroke=\"#cf222e\" stroke-width=\"2.5\"/>\
                 <path d=\"M{} {y}l6 9 6-9z\" fill=\"#cf222e\"/>",
                x - 6,
                y = HOST_TOP - 8
            )?;
            self.line(x, 30, "t e", &format!("published {}", ports.join("  ")))?;
        }
        Ok(())
    }

    fn bridge(&mut self, number: usize, network: &Network, width: i32) -> std::fmt::Result {
        let x = column(number, self.topology.networks.len(), width);
        let (line, fill) = colour(number);
        let dashes = if network.internal {
            "stroke-dasharray=\"7 5\""
        } else {
            ""
        };
        self.rect((x, BRIDGE_TOP, BOX, BRIDGE), line, fill, dashes)?;
        self.line(x + 14, BRIDGE_TOP + 25, "t", &network.name)?;
        let kind = match (&network.bridge, &network.id) {
            (_, None) => "doesn't exist".to_owned(),
            (Some(bridge), _) => format!("bridge {bridge}"),
            (None, _) => format!("driver {}", network.driver),
        };
        self.line(x + 14, BRIDGE_TOP + 46, "m", &kind)?;
        for pool in network.pools.iter().take(1) {
            let subnet = pool
                .subnet
                .map_or_else(String::new, |it| format!("subnet {it}"));
            let gateway = pool
                .gateway
                .map_or_else(String::new, |it| format!("gateway {it}"));
            self.line(x + 14, BRIDGE_TOP + 66, "m", &subnet)?;
            self.line(x + 14, BRIDGE_TOP + 86, "m", &gateway)?;
        }
        if network.internal {
            self.line(x + BOX - 60, BRIDGE_TOP + 46, "f", "internal")?;
        } else if network.bridge.is_some() {
            // Open to the outside: an arrow through the host's upper edge.
            let at = x + BOX - 34;
            write!(
                self.text,
                "<path d=\"M{at} {BRIDGE_TOP}V{}\" stroke=\"{line}\" stroke-width=\"2\"/>\
                 <path d=\"M{} {}l6-9 6 9z\" fill=\"{line}\"/>",
                HOST_TOP + 20,
                at - 6,
                HOST_TOP + 21,
            )?;
            self.line(at + 10, HOST_TOP + 40, "f", "out")?;
        }
        Ok(())
    }

    fn container(
        &mut self,
        number: usize,
        sandbox: &Sandbox,
        width: i32,
        height: i32,
    ) -> std::fmt::Result {
        let x = column(number, self.topology.sandboxes.len(), width);
        let (line, fill, dashes) = if sandbox.is_up() {
            ("#24292f", "#ffffff", "")
        } else {
            ("#cf222e", "#ffebe9", "stroke-dasharray=\"4 4\"")
        };
        self.rect((x, CONTAINER_TOP, BOX, height), line, fill, dashes)?;
        let mut y = CONTAINER_TOP + 12;
        let count = whole(sandbox.endpoints.len());
        for (position, endpoint) in sandbox.endpoints.iter().enumerate() {
            let network = self
                .topology
                .networks
                .iter()
                .position(|it| it.name == endpoint.network);
            let network = network.unwrap_or(0);
            // Upper boxes are shorter, so that the lines of those below pass beside them.
            let box_width = BOX - 20 - GUTTER * (count - 1 - whole(position));
            self.endpoint((x + 10, y, box_width), network, endpoint)?;
            let right = x + 10 + box_width;
            let at = if position == 0 {
                x + BOX / 3
            } else {
                right - GUTTER / 2
            };
            self.veth((at, y), network, number, endpoint, width)?;
            y += ENDPOINT;
        }
        self.line(x + 14, y + 22, "t", &sandbox.label(self.topology))?;
        let listens: Vec<String> = sandbox.open_ports().iter().map(u16::to_string).collect();
        let state = if !sandbox.is_up() {
            "not running".to_owned()
        } else if listens.is_empty() {
            "listens on nothing".to_owned()
        } else {
            format!("listens on {}", listens.join(", "))
        };
        self.line(x + 14, y + 43, "f", &state)?;
        if let Some(resolver) = &sandbox.resolver {
            let servers: Vec<String> = resolver
                .nameservers
                .iter()
                .map(ToString::to_string)
                .collect();
            let forwards = if resolver.is_embedded() && !sandbox.forwards_to.is_empty() {
                format!(" → {}", sandbox.forwards_to.join(", "))
            } else {
                String::new()
            };
            self.line(
                x + 14,
                y + 63,
                "f",
                &format!("DNS {}{forwards}", servers.join(", ")),
            )?;
        }
        if let Some(gateway) = sandbox.default_gateway {
            self.line(x + 14, y + 83, "f", &format!("default gateway {gateway}"))?;
        }
        Ok(())
    }

    fn endpoint(
        &mut self,
        (x, y, width): (i32, i32, i32),
        network: usize,
        endpoint: &Endpoint,
    ) -> std::fmt::Result {
        let (line, fill) = colour(network);
        self.rect((x, y, width, ENDPOINT - 8), line, fill, "")?;
        let interface = endpoint.interface.as_deref().unwrap_or("no interface");
        let address = endpoint.address.or(endpoint.address6);
        let address = address.map_or_else(String::new, |it| it.to_string());
        self.line(x + 10, y + 20, "m", &format!("{interface}  {address}"))?;
        // An alias that the file gave on purpose comes after the service's own name.
        let alias = endpoint
            .aliases
            .get(1)
            .filter(|alias| alias.len() <= LONGEST_ALIAS);
        let is_id = |alias: &str| alias.len() == 12 && alias.chars().all(|c| c.is_ascii_hexdigit());
        let alias = alias
            .filter(|alias| !is_id(alias))
            .map_or("", String::as_str);
        let mac = endpoint.mac.as_deref().unwrap_or("");
        self.line(x + 10, y + 39, "m", &format!("{mac}  {alias}"))
    }

    /// From the bridge's lower edge to the endpoint's box, with both interfaces' names.
    fn veth(
        &mut self,
        (x, y): (i32, i32),
        network: usize,
        container: usize,
        endpoint: &Endpoint,
        width: i32,
    ) -> std::fmt::Result {
        let Some(host_end) = &endpoint.host_interface else {
            return Ok(());
        };
        let (line, _) = colour(network);
        let left = column(network, self.topology.networks.len(), width);
        let count = whole(self.topology.sandboxes.len());
        let from = left + BOX * (whole(container) + 1) / (count + 1);
        let (top, bend) = (BRIDGE_TOP + BRIDGE, HOST_BOTTOM + 24 + 22 * whole(network));
        let bend_to = CONTAINER_TOP - 46;
        write!(
            self.text,
            "<path d=\"M{from} {top}V{bend}C{from} {bend_to} {x} {bend} {x} {bend_to}V{y}\" fill=\"none\" \
             stroke=\"{line}\" stroke-width=\"2.5\"/><circle cx=\"{from}\" cy=\"{top}\" r=\"4.5\" fill=\"{line}\"/>\
             <circle cx=\"{x}\" cy=\"{y}\" r=\"4.5\" fill=\"{line}\"/>"
        )?;
        // Above one another, so that neighbours' names don't meet.
        let row = BRIDGE_TOP + BRIDGE + 20 + 17 * (whole(container) % 3);
        self.halo(from + 7, row, host_end)?;
        self.halo(
            x + 7,
            CONTAINER_TOP - 12,
            endpoint.interface.as_deref().unwrap_or(""),
        )
    }

    /// Text that stays readable over lines.
    fn halo(&mut self, x: i32, y: i32, text: &str) -> std::fmt::Result {
        write!(
            self.labels,
            "<text class=\"m\" x=\"{x}\" y=\"{y}\" stroke=\"#f6f8fa\" stroke-width=\"4\" \
             paint-order=\"stroke\">{}</text>",
            escaped(text)
        )
    }

    fn line(&mut self, x: i32, y: i32, class: &str, text: &str) -> std::fmt::Result {
        if text.is_empty() {
            return Ok(());
        }
        write!(
            self.text,
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{}</text>",
            escaped(text)
        )
    }

    fn rect(
        &mut self,
        (x, y, width, height): (i32, i32, i32, i32),
        line: &str,
        fill: &str,
        more: &str,
    ) -> std::fmt::Result {
        write!(
            self.text,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"{fill}\" \
             stroke=\"{line}\" stroke-width=\"1.5\" {more}/>"
        )
    }
}

/// The left edge of the box with this number, of so many that are centred.
fn column(number: usize, of: usize, width: i32) -> i32 {
    (width - across(of)) / 2 + (BOX + GAP) * whole(number)
}

/// The width of so many boxes side by side.
fn across(boxes: usize) -> i32 {
    (BOX + GAP) * whole(boxes) - GAP
}

/// Counts of boxes: no stack comes near the limit.
pub(super) fn whole(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX / (BOX + GAP) / 2)
}

pub(super) fn colour(number: usize) -> (&'static str, &'static str) {
    COLOURS
        .get(number % COLOURS.len())
        .copied()
        .unwrap_or(("#57606a", "#f6f8fa"))
}

/// Text as XML has it. Control characters have no place in XML 1.0.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            c if c.is_control() => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_stay_text() {
        assert_eq!(
            escaped("<a href=\"x\">&\u{1b}"),
            "&lt;a href=&quot;x&quot;&gt;&amp;\u{fffd}"
        );
    }
}
