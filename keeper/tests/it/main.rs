//! The keeper on a real mongod.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that can't go on fails"
)]

mod copy;
mod database_user;
mod metrics;
mod replica_set;
mod retention;
mod support;
