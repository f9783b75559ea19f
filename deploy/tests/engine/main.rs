//! The `deploy` command against a real engine: every test has its own project, networks, ports and
//! directory, and leaves nothing behind.

// The conveniences that test functions have, for the helpers beside them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod backup;
mod build;
mod certificates;
mod command_line;
mod compose_file;
mod conflicts;
mod console;
mod converge;
mod down;
mod failures;
mod hooks;
mod interrupted;
mod json;
mod lab;
mod live_restore;
mod lock;
mod lost_secrets;
mod network;
mod origin;
mod over_ssh;
mod ownership;
mod podman;
mod preflight;
mod profiles;
mod pull;
mod replay;
mod replica_set;
mod replicas;
mod requests;
mod restart;
mod rollback;
mod rolling;
mod rotation;
mod secrets;
mod several_files;
mod stack;
mod told_secrets;
mod unhealthy;
