//! The network model of a running stack, libnetwork's: networks, the containers' sandboxes, and
//! the endpoints that join the two.
//!
//! `engine` asks the Engine API, `swarm` that of a Swarm's manager, [`observe`] a probe in every sandbox
//! and one on the host; [`model`] is what is known then; the other files show it, a Swarm's by files of its
//! own beside `swarm`.

mod engine;
mod mermaid;
pub(crate) mod model;
pub(crate) mod observe;
mod svg;
mod swarm;
mod table;

use terminal::style::Style;

pub use model::Topology;
#[cfg(test)]
pub(crate) use swarm::of_two_nodes;

impl Topology {
    /// For reading: one table each of networks, endpoints and sandboxes, with what couldn't be looked at below.
    pub fn table(&self, style: Style) -> String {
        if self.is_of_swarm() {
            return swarm::table::render(self, style);
        }
        table::render(self, style)
    }

    /// The source of a Mermaid flowchart.
    pub fn mermaid(&self) -> String {
        let mut text = String::from("flowchart TB\n");
        // Writing to a string can't fail.
        let _ = if self.is_of_swarm() {
            swarm::mermaid::draw(self, &mut text)
        } else {
            mermaid::draw(self, &mut text)
        };
        text
    }

    /// A whole SVG document.
    pub fn svg(&self) -> String {
        if self.is_of_swarm() {
            return swarm::svg::render(self);
        }
        svg::render(self)
    }
}
