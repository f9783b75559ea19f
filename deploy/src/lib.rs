//! Brings a Compose stack up on a Docker engine and proves its network.
//!
//! The way of an `up`: [`compose`] reads the file, [`state`] the engine; [`plan`]
//! compares them; [`preflight`] looks for what stands in the way; `execute` does it;
//! [`verify`] looks whether it works.

pub mod apply;
pub mod capacity;
pub mod cli;
mod commands;
pub use compose_file as compose;
pub mod diff;
mod execute;
pub mod lock;
pub mod origin;
pub mod output;
pub mod plan;
pub mod preflight;
pub mod releases;
pub mod rotation;
pub mod secrets;
pub mod spec;

pub use ::engine;
pub use engine::{concurrency, container, error, exec, file, health, image, labels, owner, state};

pub use netcheck::{inspect, probe, verify};

pub use commands::{refuse, run};
