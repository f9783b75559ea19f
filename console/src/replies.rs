//! Replies that have whole documents in memory: few at a time, for each may be as large as MongoDB
//! stores (docs/budgets.md).

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Those of one document: as many as there are threads that put them into words.
const DOCUMENTS: usize = 2;
/// Exports: each has a batch of documents.
const EXPORTS: usize = 4;
/// Bytes of a reply that are passed on to its connection at a time.
const CHUNK: usize = 64 << 10;

/// Those under way.
#[derive(Debug)]
pub struct Replies {
    documents: Arc<Semaphore>,
    exports: Arc<Semaphore>,
}

/// There are too many.
#[derive(Debug, thiserror::Error)]
#[error("{number} {what} are under way: try again when one has ended")]
pub(crate) struct Busy {
    number: usize,
    what: &'static str,
}

impl Default for Replies {
    fn default() -> Self {
        Self {
            documents: Arc::new(Semaphore::new(DOCUMENTS)),
            exports: Arc::new(Semaphore::new(EXPORTS)),
        }
    }
}

impl Replies {
    /// A place for a reply of one document, from before it is read; waits for one at most so long.
    pub(crate) async fn document(&self, patience: Duration) -> Result<Place, Busy> {
        let place = timeout(patience, Arc::clone(&self.documents).acquire_owned()).await;
        let place = place.ok().and_then(Result::ok);
        let place = place.map(|permit| Place { _permit: permit });
        place.ok_or(Busy {
            number: DOCUMENTS,
            what: "replies of a whole request",
        })
    }

    /// A place for an export.
    pub(crate) fn export(&self) -> Result<Place, Busy> {
        let place = Arc::clone(&self.exports).try_acquire_owned();
        let place = place.map(|permit| Place { _permit: permit });
        place.map_err(|_| Busy {
            number: EXPORTS,
            what: "exports",
        })
    }
}

/// Given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// A body that has its place until the connection has taken all of it.
    pub(crate) fn hold(self, bytes: impl Into<Bytes>) -> impl MessageBody {
        Held {
            left: bytes.into(),
            _place: self,
        }
    }
}

struct Held {
    left: Bytes,
    _place: Place,
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
