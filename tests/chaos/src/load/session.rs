//! A session of HTTP/2 that requests share.

use std::io;

use bytes::Bytes;
use h2::client::{self, SendRequest};
use h2::{Error, Reason};
use tokio::task::AbortHandle;

use super::answer::{self, Head};
use super::carrier::{Carrier, Published};
use super::request::{Request, TOKEN};
use crate::ledger::Outcome;

/// A session; the connection ends with the last one that has it.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    sender: SendRequest<Bytes>,
    connection: AbortHandle,
}

/// What became of a request.
pub(crate) enum Exchanged {
    Answered(Outcome),
    /// The server hasn't taken it up, and has said so or never saw it: it goes over another session
    /// (RFC 9113 §8.7).
    NotTaken,
}

impl Session {
    /// Opens one.
    pub(crate) async fn open(target: Published) -> io::Result<Self> {
        let stream = target.connect(Carrier::Http2).await?;
        let (sender, connection) = client::handshake(stream).await.map_err(io::Error::other)?;
        let running = tokio::spawn(async move {
            // Each request learns by itself how it ended.
            _ = connection.await;
        });
        Ok(Self {
            sender,
            connection: running.abort_handle(),
        })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.connection.is_finished()
    }

    /// Whether both are of one connection.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.connection.id() == other.connection.id()
    }

    /// Ends the connection: for the last one who uses it.
    pub(crate) fn close(&self) {
        self.connection.abort();
    }

    /// Sends `request` as a stream, and reads the response.
    pub(crate) async fn exchange(&self, request: &Request) -> Exchanged {
        let Ok(mut sender) = self.sender.clone().ready().await else {
            return Exchanged::NotTaken;
        };
        let head = http::Request::builder()
            .method(request.method())
            .uri(format!("https://chaos.test{}", request.target()))
            .version(http::Version::HTTP_2)
            .header(TOKEN, &request.token)
            .header("content-length", request.length);
        let Ok(head) = head.body(()) else {
            return Exchanged::Answered(Outcome::Malformed("no such request".to_owned()));
        };
        let body = request.body();
        let Ok((response, mut send)) = sender.send_request(head, body.is_empty()) else {
            return Exchanged::NotTaken;
        };
        if !body.is_empty() {
            // An answer may come before the whole body has gone; what can be read decides.
            _ = send.send_data(body.into(), true);
        }
        let response = match response.await {
            Ok(response) => response,
            Err(error) if is_not_taken(&error) => return Exchanged::NotTaken,
            Err(_) => return Exchanged::Answered(Outcome::Cut),
        };
        let status = response.status().as_u16();
        let request_id = response.headers().get("x-request-id");
        let request_id = request_id.and_then(|id| id.to_str().ok());
        let request_id = request_id.unwrap_or_default().to_owned();
        let mut incoming = response.into_body();
        let mut received = Vec::new();
        while let Some(part) = incoming.data().await {
            let Ok(part) = part else {
                return Exchanged::Answered(Outcome::Truncated);
            };
            // Fails only for a stream that has ended.
            _ = incoming.flow_control().release_capacity(part.len());
            received.extend_from_slice(&part);
        }
        let head = Head {
            status,
            length: 0,
            body: received.len(),
            close: false,
            request_id,
        };
        Exchanged::Answered(answer::outcome(request, &head, &received))
    }
}

/// Whether the other side says that it hasn't looked at the request.
fn is_not_taken(error: &Error) -> bool {
    error.is_remote()
        && (error.reason() == Some(Reason::REFUSED_STREAM)
            || (error.is_go_away() && error.reason() == Some(Reason::NO_ERROR)))
}
