//! HTTP/2 for clients (RFC 9113): a session over whatever carries it, and each of its streams as a
//! connection of HTTP/1.1 with one request.
//!
//! ```text
//! transport ─► watch (counts frames) ─► h2 (frames, HPACK, flow control) ─► session
//!                                                                            │ one task per stream
//!          connection::serve_stream ◄── reads as a request, takes a response apart ── stream
//! ```
//!
//! So framing rules, retries, deadlines, budgets, error pages and logs are those of HTTP/1.1, and what
//! reaches the upstream has gone through the same parser. What has no meaning there, or another one,
//! ends here: [`request`] is the only place where a request's fields become text.

mod download;
mod frames;
mod load;
mod request;
mod session;
mod stream;
mod upload;
mod watch;
mod websocket;

use std::sync::Arc;

use self::session::Session;
use crate::{
    accept::arrival::Arrival,
    exchange::{deadline::Deadline, transport::Transport},
    worker::{Worker, ledger::Account},
};

/// How a client begins a session (RFC 9113 §3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether `input`, in which there is no request, begins a session.
pub(crate) fn is_preface(input: &[u8]) -> bool {
    let length = input.len().min(PREFACE.len());
    length > 0 && input[..length] == PREFACE[..length]
}

/// Serves a client who has asked for a session, and is counted already, until either side ends it.
pub(crate) async fn serve(
    transport: impl Transport,
    arrival: Arrival,
    worker: Arc<Worker>,
    account: Account,
) {
    let deadline = Deadline::new(account, worker.settings.header_timeout);
    resume(transport, Vec::new(), arrival, worker, deadline).await;
}

/// Serves a session of which the first bytes, its preface among them, have been `received`.
pub(crate) async fn resume(
    transport: impl Transport,
    received: Vec<u8>,
    mut arrival: Arrival,
    worker: Arc<Worker>,
    deadline: Deadline,
) {
    arrival.hop.http2 = true;
    Session::run(transport, received, arrival, worker, deadline).await;
}
