//! Reading a request's body within bounds: its own size, the time it takes, and the memory that all
//! bodies take together.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::header;
use actix_web::web::{Bytes, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::Stream as _;
use tokio::time::{Instant, sleep_until};

use crate::http::connections::{Account, Full, Phase};

/// How long any body may take to arrive.
const GRACE: Duration = Duration::from_secs(20);

/// Bytes that have to arrive in each second beyond, on average.
const LEAST_RATE: u32 = 16 << 10;

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the body took longer than {GRACE:?}, and a second for each {LEAST_RATE} bytes")]
    TooSlow,
    /// The client went away or broke the framing.
    #[error("the body is incomplete: {0}")]
    Broken(actix_web::error::PayloadError),
    /// All bodies in memory together are at their limit, or this one had to make room for others.
    #[error("too many bodies in memory")]
    NoRoom,
}

impl From<Full> for BodyError {
    fn from(_: Full) -> Self {
        Self::NoRoom
    }
}

/// A body and its share of the memory for bodies, which is given back on drop.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) bytes: Bytes,
    _share: Share,
}

/// What a connection holds for a body.
#[derive(Debug)]
struct Share(Arc<Account>);

impl Drop for Share {
    fn drop(&mut self) {
        // Only more can be refused.
        let _ = self.0.hold_body(0);
    }
}

/// Reads the body of `request`, of at most `limit` bytes.
pub(crate) async fn read(
    request: &HttpRequest,
    payload: &mut Payload,
    limit: usize,
) -> Result<Body, BodyError> {
    let length = content_length(request);
    if length.is_some_and(|length| length > limit as u64) {
        return Err(BodyError::TooLarge(limit));
    }
    // Every connection has one: `crate::http::server` sees to it.
    let account = request
        .conn_data::<Arc<Account>>()
        .ok_or(BodyError::NoRoom)?;
    let share = Share(Arc::clone(account));
    // Without either field there is no body (RFC 9112 §6.3), whatever a CONNECT or an Upgrade
    // would send next.
    let has_body = length.is_some_and(|length| length > 0)
        || request.headers().contains_key(header::TRANSFER_ENCODING);
    let mut bytes = Bytes::new();
    if has_body {
        account.enter(Phase::Body);
        bytes = collect(payload, length, limit, account).await?;
        account.enter(Phase::Working);
    }
    Ok(Body {
        bytes,
        _share: share,
    })
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
    account: &Account,
) -> Result<Bytes, BodyError> {
    let began = Instant::now();
    let mut timer = pin!(sleep_until(began + GRACE));
    let mut first = Bytes::new();
    let mut whole = Vec::new();
    let mut received = 0;
    // A request for an upgrade is not followed by end of file: the length says when to stop.
    while length.is_none_or(|length| (received as u64) < length) {
        let piece = poll_fn(|context| {
            account.watch(context.waker());
            if account.is_evicted() {
                return Poll::Ready(Err(BodyError::NoRoom));
            }
            if let Poll::Ready(piece) = Pin::new(&mut *payload).poll_next(context) {
                return Poll::Ready(piece.transpose().map_err(BodyError::Broken));
            }
            // Set again only when it has fired, so that a piece costs no timer.
            while timer.as_mut().poll(context).is_ready() {
                let earned = Duration::from_secs(1) * u32::try_from(received).unwrap_or(u32::MAX);
                let deadline = began + GRACE + earned / LEAST_RATE;
                if Instant::now() >= deadline {
                    return Poll::Ready(Err(BodyError::TooSlow));
                }
                timer.as_mut().reset(deadline);
            }
            Poll::Pending
        });
        let Some(piece) = piece.await? else {
            break;
        };
        received += piece.len();
        if received > limit {
            return Err(BodyError::TooLarge(limit));
        }
        // Most bodies come in one piece, which needs no copy.
        if first.is_empty() && whole.is_empty() {
            account.hold_body(received)?;
            first = piece;
            continue;
        }
        if received > whole.capacity() {
            let most = length.and_then(|length| usize::try_from(length).ok());
            let size = received.next_power_of_two().min(most.unwrap_or(limit));
            account.hold_body(size)?;
            whole.reserve_exact(size - whole.len());
        }
        if whole.is_empty() {
            whole.extend_from_slice(&std::mem::take(&mut first));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(if whole.is_empty() {
        first
    } else {
        whole.into()
    })
}

/// Keeps what wasn't read of a body until its answer is sent. The server then closes the connection
/// (`crate::http::stream`); without it, it would read an endless body to the end.
pub(crate) fn hold_unread(response: HttpResponse, payload: Payload) -> HttpResponse {
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
