//! What the proxy promises, asked of the real binary over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]
// A copied value costs a test nothing; another `&` at each call costs its reader something.
#![allow(clippy::needless_pass_by_value, clippy::format_collect)]

mod support;

mod acme;
mod balancing;
mod configuration;
mod discovery;
mod drain;
mod error_pages;
mod exactly_once;
mod expect;
mod handover;
mod headers;
mod http2;
mod keep_alive;
mod limits;
mod look;
mod messages;
mod metrics;
mod name_service;
mod observability;
mod request_chunks;
mod request_framing;
mod request_heads;
mod response_framing;
mod smuggling;
mod streaming;
mod tls;
mod tls_certificates;
mod tls_handshakes;
mod trace;
mod upstream_failures;
mod vanished;
mod websocket;
