//! Reading a request's body within bounds: its own size, the time it takes, and the memory that all
//! bodies take together.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::header;
use actix_web::web::{Bytes, BytesMut, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::StreamExt as _;

/// Longest time for a whole body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// More bytes than allowed.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// The body didn't arrive in time.
    #[error("the body took longer than {BODY_TIMEOUT:?}")]
    TooSlow,
    /// The client went away or broke the framing.
    #[error("the body is incomplete: {0}")]
    Broken(actix_web::error::PayloadError),
    /// All bodies in memory together are at their limit.
    #[error("too many bodies in memory")]
    NoRoom,
}

/// The memory that bodies may take together.
#[derive(Clone, Debug)]
pub struct BodyBudget {
    taken: Arc<AtomicUsize>,
    limit: usize,
}

/// A body and its share of the budget, which is given back on drop.
#[derive(Debug)]
pub struct Body {
    /// The bytes.
    pub bytes: Bytes,
    _share: Share,
}

#[derive(Debug)]
struct Share {
    budget: BodyBudget,
    size: usize,
}

impl BodyBudget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            taken: Arc::default(),
            limit,
        }
    }

    /// Reads the body of `request`, of at most `limit` bytes.
    pub async fn read(
        &self,
        request: &HttpRequest,
        payload: &mut Payload,
        limit: usize,
    ) -> Result<Body, BodyError> {
        let length = content_length(request);
        if length.is_some_and(|length| length > limit as u64) {
            return Err(BodyError::TooLarge(limit));
        }
        let mut share = Share {
            budget: self.clone(),
            size: 0,
        };
        // Without either field there is no body (RFC 9112 §6.3), whatever a CONNECT or an Upgrade
        // would send next.
        let has_body =
            length.is_some() || request.headers().contains_key(header::TRANSFER_ENCODING);
        let bytes = if has_body {
            let whole = collect(payload, length, limit, &mut share);
            tokio::time::timeout(BODY_TIMEOUT, whole)
                .await
                .map_err(|_| BodyError::TooSlow)??
        } else {
            Bytes::new()
        };
        Ok(Body {
            bytes,
            _share: share,
        })
    }
}

impl Share {
    fn grow(&mut self, by: usize) -> Result<(), BodyError> {
        let taken = self.budget.taken.fetch_add(by, Ordering::Relaxed);
        self.size += by;
        if taken + by > self.budget.limit {
            Err(BodyError::NoRoom)
        } else {
            Ok(())
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.size, Ordering::Relaxed);
    }
}

/// The announced length; the server has refused what isn't a number.
fn content_length(request: &HttpRequest) -> Option<u64> {
    request
        .headers()
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
}

async fn collect(
    payload: &mut Payload,
    length: Option<u64>,
    limit: usize,
    share: &mut Share,
) -> Result<Bytes, BodyError> {
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    let mut received = 0;
    // A request for an upgrade is not followed by end of file: the length says when to stop.
    while length.is_none_or(|length| (received as u64) < length) {
        let Some(piece) = payload.next().await else {
            break;
        };
        let piece = piece.map_err(BodyError::Broken)?;
        received += piece.len();
        if received > limit {
            return Err(BodyError::TooLarge(limit));
        }
        share.grow(piece.len())?;
        // Most bodies come in one piece, which needs no copy.
        if first.is_empty() && whole.is_empty() {
            first = piece;
        } else {
            if whole.is_empty() {
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(&piece);
        }
    }
    Ok(if whole.is_empty() {
        first
    } else {
        whole.freeze()
    })
}

/// Keeps what wasn't read of a body until its answer is sent. The server then closes the connection
/// and reads on only for a short time; without it, it would read an endless body to the end.
pub fn hold_unread(response: HttpResponse, payload: Payload) -> HttpResponse {
    response.map_body(|_, body| {
        BoxBody::new(Holding {
            body,
            _payload: payload,
        })
    })
}

struct Holding {
    body: BoxBody,
    _payload: Payload,
}

impl MessageBody for Holding {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}
