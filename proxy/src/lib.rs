//! Causeway's reverse proxy: HTTP/1.1 in and out, upstream found and followed through DNS.
//!
//! Pingora runs the process: one thread per worker, signals, the end. The data path is our own,
//! because it is what this crate exists for:
//!
//! ```text
//! listener ─► connection ─► exchange ─► retry ─► upstream (resolver, balancer, slots, pool)
//!                 │             │
//!                 │             └─► relay, tunnel: bodies in both directions
//!                 └─► http1: what a message is    headers: what becomes of its head
//! ```
//!
//! What all of it may take, [`budget`] derives from what the machine grants; who has to go where that
//! isn't enough, a [`ledger`] decides.
//!
//! The library is public for the binary's sake, not as an interface for others.

pub mod access_log;
pub mod admin;
pub mod budget;
pub mod cli;
pub mod config;
pub mod connection;
pub mod drain;
pub mod error_page;
pub mod exchange;
pub mod headers;
pub mod healthcheck;
pub mod http1;
pub mod ledger;
pub mod listener;
pub mod log_sink;
pub mod metrics;
pub mod open_connections;
pub mod pace;
pub mod relay;
pub mod request_id;
pub mod retry;
pub mod startup;
pub mod telemetry;
pub mod trusted_proxies;
pub mod tunnel;
pub mod upstream;
pub mod upstream_token;
pub mod watchdog;
pub mod worker;
