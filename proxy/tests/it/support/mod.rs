//! What the tests are made of: the proxy as a process, backends and clients as bare sockets, a
//! name server. Nothing here knows the proxy's code; a test sees what a peer would see.

mod backend;
mod client;
mod lax;
mod listener;
mod message;
mod name_server;
mod net;
mod proxy;
mod refusal;
mod wire;

pub(crate) use backend::{Backend, BackendConnection};
pub(crate) use client::RawClient;
pub(crate) use lax::{Reading, Seen};
pub(crate) use listener::TestListener;
pub(crate) use message::{Framing, Request, Response, ok};
pub(crate) use name_server::{Answer, NameServer};
pub(crate) use net::{assert_within, free_address, free_port, loopback, until};
pub(crate) use proxy::{ProxyBuilder, TestProxy, run_proxy};
pub(crate) use refusal::{
    assert_refused_unfinished, assert_refused_unseen, case, chunked, get, post,
};
pub(crate) use wire::{End, WireError};
