//! Brings a Compose stack up on a Docker engine and proves its network.
//!
//! The way of an `up`: [`compose_file`] reads the file, [`engine`] what is there; [`plan`]
//! compares them; [`preflight`] looks for what stands in the way; [`execute`] does it;
//! [`netcheck`] looks whether it works.

mod apply;
mod backup;
mod capacity;
mod certificates;
pub mod cli;
mod commands;
mod console;
mod context;
mod diff;
mod execute;
mod hooks;
mod lock;
mod origin;
mod output;
mod plan;
mod preflight;
mod records;
mod releases;
mod replica_set;
mod rotation;
mod running;
mod secrets;
mod spec;
mod swarm;

pub use commands::{refuse, run};
