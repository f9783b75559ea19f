//! From the tree to the model, a file for each part of the Compose specification.

mod backup;
mod build;
mod deploy;
mod environment;
mod external;
mod forms;
mod health;
mod hooks;
pub(super) mod identity;
mod mounts;
mod network;
mod ports;
mod process;
mod project;
mod replica_set;
mod service;
mod swarm;
mod verify;
mod words;

pub(super) use forms::parse_size;
pub(super) use network::named as default_network;
pub(super) use project::{Sections, project, project_name};
pub(super) use swarm::is_for_swarm;
