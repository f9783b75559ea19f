//! The API's behaviour as its users see it: HTTP, command line, documents in a real MongoDB.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that can't go on fails"
)]

mod support;

mod admin;
mod answers;
mod cli;
mod coalescing;
mod credentials;
mod database_user;
mod exactly_once;
mod failover;
mod floods;
mod hostile;
mod limits;
mod lost_answer;
mod outage;
mod parity;
mod password_change;
mod recording;
mod shutdown;
mod slow_clients;
mod trace;
mod whole;
mod write_bursts;
