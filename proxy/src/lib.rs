//! Causeway's reverse proxy: HTTP/1.1 and HTTP/2 in, HTTP/1.1 out, upstream found and followed through DNS.
//!
//! Pingora runs the process: one thread per worker, signals, the end. The data path is our own,
//! because it is what this crate exists for:
//!
//! ```text
//! accept ──► exchange ──► upstream (resolver, balancer, slots, pool)
//!    │  ▲        ├──► http1: what a message is
//!    ▼  └ http2  │    (its streams are connections)
//!  edge (TLS)    └──► rewrite: what becomes of its head
//!    └───────────┴──► worker: what one thread has, and may hold
//! ```
//!
//! What all of it may take, [`worker::budget`] derives from what the machine grants; who has to go
//! where that isn't enough, a [`worker::ledger`] decides. [`observe`] is what is told of it.
//!
//! The library is public for the binary's sake, its tests and benchmarks, not as an interface for others.
#![allow(missing_docs)]

mod accept;
mod app;
pub mod cli;
mod edge;
mod exchange;
pub mod http1;
mod http2;
mod look;
mod observe;
pub mod rewrite;
pub mod settings;
pub mod upstream;
mod worker;
