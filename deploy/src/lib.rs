//! Brings a Compose stack up on a Docker engine and proves its network.

pub mod compose;
