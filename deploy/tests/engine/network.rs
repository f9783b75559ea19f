//! The network, looked at from inside: probe, `inspect` and `verify` against a real engine.

mod docs;
mod inspect;
mod ipv6;
mod probe;
mod remote;
mod stack;
mod support;
mod tls;
mod unjudged;
mod verify;
mod watch;
mod ways_out;
