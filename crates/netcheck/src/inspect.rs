//! The network model of a running stack, libnetwork's: networks, the containers' sandboxes, and
//! the endpoints that join the two.
//!
//! `engine` asks the Engine API, `swarm` that of a Swarm's manager, [`observe`] a probe in every sandbox
//! and one on the host; [`model`] is what is known then; the other files show it: as [`table`], [`mermaid`]
//! or [`svg`], each of a Swarm by a file of its own beside `swarm`.

mod engine;
pub mod mermaid;
pub(crate) mod model;
pub(crate) mod observe;
pub mod svg;
mod swarm;
pub mod table;

pub use model::Topology;
#[cfg(test)]
pub(crate) use swarm::of_two_nodes;
