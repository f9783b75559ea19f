//! What the tests are made of: the proxy as a process, scripted backends, a name server. Nothing here
//! knows the proxy's code; a test sees what a peer would see.

mod backend;
pub(crate) mod hpack;
pub(crate) mod http2;
mod lax;
mod listener;
mod name_server;
mod over_http2;
mod pebble;
mod proxy;
mod refusal;

pub(crate) use backend::{Backend, BackendConnection};
pub(crate) use lax::{Reading, Seen};
pub(crate) use listener::TestListener;
pub(crate) use name_server::{Answer, NameServer};
pub(crate) use over_http2::over_http2;
pub(crate) use pebble::{Clock, Pebble, PebbleBuilder};
pub(crate) use proxy::{ProxyBuilder, TestProxy, proxied, run_proxy, serving};
pub(crate) use refusal::{
    CHUNKED, POST, assert_refused_unfinished, assert_refused_unseen, chunked, table,
};
pub(crate) use testkit::http::{End, Framing, RawClient, Request, Response, WireError, ok};
pub(crate) use testkit::net::{free_address, free_port, loopback};
pub(crate) use testkit::process::Signal;
pub(crate) use testkit::tls::{self as tls_kit, Authority, PKCS_ECDSA_P256_SHA256};
pub(crate) use testkit::wait::{assert_within, until, wait_until};
