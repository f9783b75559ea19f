//! The console's behaviour as its users see it: HTTP, the command line, a real MongoDB.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that can't go on fails"
)]

mod access;
mod alerts;
mod api;
mod database_user;
mod export;
mod gateway;
mod live;
mod pages;
mod search;
mod stack;
mod support;
