//! The product as its users meet it: a fresh checkout, `make deploy`, and the real stack.
//!
//! The stack's networks bear fixed names, so one test at a time has the engine: the `e2e` profile
//! of nextest sees to that. What takes a stack only as it runs shares one: [`running_stack`] calls it
//! part by part. `make test` runs them on an engine of their own (`scripts/own-engine.sh`), which has
//! the images already. On an engine with a running stack they say so instead of starting.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step fails the test"
)]

mod api_redeploy;
mod backup;
mod container;
mod hardening;
mod load;
mod proxy_redeploy;
mod recorded;
mod replay;
mod replica_set;
mod retention;
mod rotation;
mod running_stack;
mod secrets;
mod stack;
mod story;
