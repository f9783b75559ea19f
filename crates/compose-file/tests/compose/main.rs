//! The Compose-file reader, driven through `compose_file::load` with real files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]

mod beside_compose;
mod compose2;
mod errors;
mod hooks;
mod merging;
mod profiles;
mod resolution;
mod robustness;
mod settings;
mod support;
mod surroundings;
mod swarm;
