//! Replies on their way to clients. All that wait to be sent have one budget of memory, since nobody knows
//! how long a client takes, or whether it goes on at all (docs/budgets.md).

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError as _, web};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api::Problem;
use crate::app::Console;
use crate::pages::PageError;

/// What all replies may have in memory that are on their way.
const ROOM: usize = 32 << 20;
/// Smaller ones are part of what each connection may take.
const SMALL: usize = 16 << 10;
/// Exports: each has a batch of documents.
const EXPORTS: usize = 4;
/// Bytes of a reply that are passed on to its connection at a time.
const CHUNK: usize = 32 << 10;

/// Those under way.
#[derive(Debug)]
pub struct Replies {
    /// In KiB.
    room: Arc<Semaphore>,
    exports: Arc<Semaphore>,
}

/// There is too much of something: it may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    #[error("too much is being read at once: try again in a moment")]
    Reading,
    #[error("too much is on its way to clients that take it slowly: try again in a moment")]
    Sending,
    #[error("{EXPORTS} exports are under way: try again when one has ended")]
    Exporting,
}

impl Default for Replies {
    fn default() -> Self {
        Self {
            room: Arc::new(Semaphore::new(ROOM >> 10)),
            exports: Arc::new(Semaphore::new(EXPORTS)),
        }
    }
}

impl Replies {
    /// A place for an export, given back on drop.
    pub(crate) fn export(&self) -> Result<OwnedSemaphorePermit, Busy> {
        let place = Arc::clone(&self.exports).try_acquire_owned();
        place.map_err(|_| Busy::Exporting)
    }

    /// A body that has its room until the connection has taken all of it. Nobody waits for room: what has
    /// been made already would have to wait outside of it.
    fn hold(&self, bytes: Bytes) -> Result<Held, Busy> {
        let share = bytes.len().min(ROOM).div_ceil(1024);
        let share = u32::try_from(share).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).try_acquire_many_owned(share);
        Ok(Held {
            left: bytes,
            _room: room.map_err(|_| Busy::Sending)?,
        })
    }
}

/// Gives every reply that is made whole its room; what is streamed is bounded where it is made.
pub(crate) async fn bound(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let console = request.app_data::<web::Data<Console>>().cloned();
    let (request, response) = next.call(request).await?.into_parts();
    let (response, body) = response.into_parts();
    let held = match (body.boxed().try_into_bytes(), console) {
        (Ok(bytes), Some(console)) if bytes.len() > SMALL => console.replies.hold(bytes),
        (body, _) => {
            let body = body.map_or_else(|body| body, MessageBody::boxed);
            return Ok(ServiceResponse::new(request, response.set_body(body)));
        }
    };
    let response = match held {
        Ok(held) => response.set_body(held.boxed()),
        Err(busy) if request.path().starts_with("/api/") => Problem::from(busy).error_response(),
        Err(busy) => PageError::from(busy).error_response(),
    };
    Ok(ServiceResponse::new(request, response))
}

struct Held {
    left: Bytes,
    _room: OwnedSemaphorePermit,
}

impl MessageBody for Held {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.left.len() as u64)
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let left = &mut self.get_mut().left;
        let chunk = left.split_to(left.len().min(CHUNK));
        Poll::Ready((!chunk.is_empty()).then_some(Ok(chunk)))
    }
}
