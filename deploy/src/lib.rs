//! Brings a Compose stack up on a Docker engine and proves its network.
//!
//! The way of an `up`: [`compose`] reads the file, [`state`] the engine; [`plan`]
//! compares them; [`preflight`] looks for what stands in the way; `execute` does it;
//! [`verify`] looks whether it works.

pub mod apply;
pub mod capacity;
pub mod cli;
mod commands;
pub mod compose;
pub mod concurrency;
pub mod container;
pub mod diff;
pub mod engine;
pub mod error;
pub mod exec;
mod execute;
mod file;
pub mod health;
pub mod image;
pub mod inspect;
pub mod lab;
pub mod labels;
pub mod lock;
pub mod origin;
pub mod output;
pub mod owner;
pub mod plan;
pub mod preflight;
pub mod probe;
pub mod releases;
pub mod rotation;
pub mod secrets;
pub mod spec;
pub mod state;
pub mod verify;

pub use commands::{refuse, run};
