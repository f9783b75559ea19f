//! The `deploy` command against a real engine: every test has its own project,
//! networks, ports and directory, and leaves nothing behind.

// The conveniences that test functions have, for the helpers beside them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod build;
mod command_line;
mod conflicts;
mod converge;
mod down;
mod failures;
mod interrupted;
mod json;
mod lock;
mod podman;
mod pull;
mod replicas;
mod rollback;
mod rolling;
mod rotation;
mod secrets;
mod stack;
