//! The network, looked at from inside: probe, `inspect` and `verify` against a real engine.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod docs;
mod inspect;
mod ipv6;
mod probe;
mod remote;
mod stack;
mod support;
mod unjudged;
mod verify;
mod watch;
mod ways_out;
