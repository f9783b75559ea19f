//! What every service of the stack is built on, so that each has it the same way.
//!
//! | module | what it is for |
//! |---|---|
//! | [`settings`] | one table of keys; defaults < TOML file < environment; one kind of error |
//! | `secrets` | secrets in files, and what a token is |
//! | `cli` | `--config`, `--help`, `healthcheck`, exit codes |
//! | `logging` | `tracing` events, as JSON or for people |
//! | `metrics` | what `/metrics` tells of a process |
//! | `admin` | `/healthz`, `/readyz` and `/metrics` |
//! | `healthcheck` | asking a service's admin address how it is |
//! | `field_name` | how names of header fields are recorded |
//! | `trace` | W3C Trace Context, spans, and their export as OTLP |
//! | [`sockets`], [`grants`] | where it listens, and how much it may take |
//!
//! Those without a link are there with the feature `full`, and `trace` with the feature of its name.

#[cfg(feature = "full")]
pub mod admin;
#[cfg(feature = "full")]
pub mod cli;
mod environment;
#[cfg(feature = "full")]
pub mod field_name;
pub mod grants;
#[cfg(feature = "full")]
pub mod healthcheck;
#[cfg(feature = "full")]
pub mod logging;
#[cfg(feature = "full")]
pub mod metrics;
#[cfg(feature = "full")]
pub mod secrets;
pub mod settings;
pub mod sockets;
#[cfg(feature = "trace")]
pub mod trace;
