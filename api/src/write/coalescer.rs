//! Write coalescing (group commit): many requests, one durable write.
//!
//! MongoDB's answer to a journaled write takes about as long for a thousand documents as for one.
//! So requests queue here, and a *lane* takes what has gathered, writes it as one batch, and answers
//! every request in it with the fate of its own document. While a lane waits for MongoDB the next
//! batch gathers: batches are as large as the load makes them, there is no timer, and a lone request
//! is written at once.
//!
//! What holds, whatever the store does (property tests in `tests/it/coalescing.rs`):
//!
//! - A request is answered `Ok` only after the store has acknowledged its document.
//! - A document is handed to the store at most once, so it is stored at most once.
//! - A request that the proxy repeats comes with the same id again. Its documents may then be in the
//!   queue, in one batch, or in the database together: the first is stored, the others are rejected
//!   for their `_id`, and all are answered `Ok`. For an id of our own that answer would be wrong.
//! - Every request is answered within its timeout. One that runs past it gets
//!   [`WriteError::TimedOut`]; a document still in the queue then is dropped and never written, one
//!   in flight may be stored, and its fate is logged when it is known.
//! - Queue and batches never exceed their [`Limits`]. Beyond the queue's a request is refused at
//!   once ([`WriteError::QueueFull`]), because waiting longer would only end in a timeout.
//! - A document that the store rejects fails its own request only.
//! - [`Coalescer::drain`] refuses new documents and returns when all accepted ones are answered.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mongodb::bson::raw::RawDocumentBuf;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use crate::budget::{BATCH_DOCUMENTS, Budget};
use crate::observe::metrics::WriteMetrics;
use crate::record::document_id::DocumentId;
use crate::write::fate::{Acknowledged, Fate, WriteError};

/// Where batches go.
pub trait Store: Send + Sync + 'static {
    /// Stores `batch` durably, each document independently of the others, and returns the documents
    /// that were rejected; all others are acknowledged. An error concerns the whole batch.
    fn insert(
        &self,
        batch: Vec<RawDocumentBuf>,
    ) -> impl Future<Output = Result<Vec<Rejection>, StoreError>> + Send;
}

/// A document that the store doesn't want.
#[derive(Clone, Debug)]
pub struct Rejection {
    pub index: usize,
    /// Whether the reason is that a document with the same `_id` is stored, as durably as the rest
    /// of the batch.
    pub duplicate_id: bool,
    pub reason: String,
}

/// Why a batch as a whole wasn't acknowledged. Some or all of it may be stored nevertheless.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);

/// Bounds on memory and on batch size.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Batches in flight at once. Measured with 4 to 256 connections, a second lane adds no
    /// throughput, since batches only get smaller, and more than doubles the p99, since they wait for
    /// each other in MongoDB.
    pub lanes: usize,
    pub batch_documents: usize,
    /// Bytes in a batch, unless a single document is larger.
    pub batch_bytes: usize,
    pub queue_documents: usize,
    pub queue_bytes: usize,
}

impl Limits {
    /// Those of the budget.
    pub fn of(budget: &Budget) -> Self {
        Self {
            lanes: 1,
            batch_documents: BATCH_DOCUMENTS,
            batch_bytes: budget.batch,
            queue_documents: budget.queue_documents,
            queue_bytes: budget.queue,
        }
    }
}

/// A handle to the queue; the lanes run as tasks of the runtime that [`Coalescer::start`] was
/// called on.
#[derive(Debug)]
pub struct Coalescer {
    shared: Arc<Shared>,
    write_timeout: Duration,
    lanes: Mutex<JoinSet<()>>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// Wakes an idle lane for each document, and all of them to end.
    arrival: Notify,
    limits: Limits,
    metrics: WriteMetrics,
}

#[derive(Debug, Default)]
struct Queue {
    entries: VecDeque<Entry>,
    bytes: usize,
    draining: bool,
}

/// A document on its way.
#[derive(Debug)]
struct Entry {
    id: DocumentId,
    document: RawDocumentBuf,
    queued_at: Instant,
    deadline: Instant,
    answer: oneshot::Sender<Fate>,
}

/// An entry whose document is with the store.
struct InFlight {
    id: DocumentId,
    answer: oneshot::Sender<Fate>,
}

impl Coalescer {
    pub fn start<S: Store>(
        store: &Arc<S>,
        write_timeout: Duration,
        limits: Limits,
        metrics: WriteMetrics,
    ) -> Self {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            arrival: Notify::new(),
            limits,
            metrics,
        });
        let mut lanes = JoinSet::new();
        for _ in 0..limits.lanes.max(1) {
            lanes.spawn(run_lane(
                Arc::clone(&shared),
                Arc::clone(store),
                write_timeout,
            ));
        }
        Self {
            shared,
            write_timeout,
            lanes: Mutex::new(lanes),
        }
    }

    /// Writes a document; returns when the store has acknowledged it, or why it hasn't.
    pub async fn write(&self, id: DocumentId, document: RawDocumentBuf) -> Fate {
        let queued_at = Instant::now();
        let deadline = queued_at + self.write_timeout;
        let (answer, answered) = oneshot::channel();
        let entry = Entry {
            id,
            document,
            queued_at,
            deadline,
            answer,
        };
        let fate = match self.shared.push(entry) {
            Err(refusal) => Err(refusal),
            Ok(()) => match timeout_at(deadline, answered).await {
                Ok(Ok(fate)) => fate,
                // Dropped unsent by the lane, which saw the deadline pass before we did.
                Ok(Err(_)) | Err(_) => Err(WriteError::TimedOut),
            },
        };
        self.shared.metrics.answered(&fate);
        fate
    }

    /// Refuses new documents from now on, and waits until the accepted ones are answered: at most
    /// two write timeouts.
    pub async fn drain(&self) {
        self.shared.queue().draining = true;
        // Stored permits would wake only one lane; idle lanes are waiting, busy ones look for
        // themselves.
        self.shared.arrival.notify_waiters();
        let mut lanes =
            std::mem::take(&mut *self.lanes.lock().unwrap_or_else(PoisonError::into_inner));
        while lanes.join_next().await.is_some() {}
    }
}

impl Shared {
    /// The queue. A panic can't leave it half changed, so a poisoned lock is taken as it is.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, entry: Entry) -> Result<(), WriteError> {
        let size = entry.document.as_bytes().len();
        let mut queue = self.queue();
        if queue.draining {
            return Err(WriteError::ShuttingDown);
        }
        if queue.entries.len() >= self.limits.queue_documents
            || queue.bytes + size > self.limits.queue_bytes
        {
            return Err(WriteError::QueueFull);
        }
        queue.bytes += size;
        queue.entries.push_back(entry);
        self.metrics.queued(queue.entries.len(), queue.bytes);
        drop(queue);
        self.arrival.notify_one();
        Ok(())
    }

    /// The next batch, as soon as there is one; nothing once draining is done.
    async fn next_batch(&self) -> Option<Vec<Entry>> {
        loop {
            // Registered before the look at the queue, so that nothing that happens in between is
            // missed.
            let arrival = self.arrival.notified();
            tokio::pin!(arrival);
            arrival.as_mut().enable();
            {
                let mut queue = self.queue();
                let (batch, expired) = self.take(&mut queue);
                let done = queue.draining && queue.entries.is_empty();
                drop(queue);
                log_fate(&expired, "not written: timed out in the queue");
                if !batch.is_empty() {
                    return Some(batch);
                }
                if done {
                    return None;
                }
            }
            arrival.await;
        }
    }

    /// Takes a batch from the front, and the ids of what nobody waits for any more.
    fn take(&self, queue: &mut Queue) -> (Vec<Entry>, Vec<DocumentId>) {
        let now = Instant::now();
        let (mut batch, mut expired, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some(entry) = queue.entries.pop_front() {
            let size = entry.document.as_bytes().len();
            let full = batch.len() >= self.limits.batch_documents
                || (!batch.is_empty() && bytes + size > self.limits.batch_bytes);
            if full {
                queue.entries.push_front(entry);
                break;
            }
            queue.bytes -= size;
            if entry.deadline <= now {
                expired.push(entry.id);
            } else {
                bytes += size;
                batch.push(entry);
            }
        }
        self.metrics.queued(queue.entries.len(), queue.bytes);
        (batch, expired)
    }
}

/// Writes batch after batch until draining is done.
async fn run_lane<S: Store>(shared: Arc<Shared>, store: Arc<S>, write_timeout: Duration) {
    while let Some(batch) = shared.next_batch().await {
        let started = Instant::now();
        let (in_flight, documents): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|entry| {
                shared.metrics.dequeued(started - entry.queued_at);
                (
                    InFlight {
                        id: entry.id,
                        answer: entry.answer,
                    },
                    entry.document,
                )
            })
            .unzip();
        // By then every request in the batch has timed out; a store that hangs must not keep the
        // lane.
        let outcome = timeout(write_timeout, store.insert(documents)).await;
        shared.metrics.written(in_flight.len(), started.elapsed());
        match outcome {
            Ok(Ok(rejections)) => settle(in_flight, &rejections),
            Ok(Err(StoreError(reason))) => {
                tracing::warn!(documents = in_flight.len(), %reason, "a batch failed");
                fail(
                    in_flight,
                    &WriteError::Failed(reason),
                    "unknown: the batch failed",
                );
            }
            Err(_) => {
                tracing::warn!(documents = in_flight.len(), "a batch got no answer in time");
                fail(
                    in_flight,
                    &WriteError::TimedOut,
                    "unknown: no answer to the batch",
                );
            }
        }
    }
}

/// Tells each request what became of its document.
fn settle(batch: Vec<InFlight>, rejections: &[Rejection]) {
    let mut late = Vec::new();
    let mut rejected = vec![None; batch.len()];
    for rejection in rejections {
        if let Some(place) = rejected.get_mut(rejection.index) {
            *place = Some(rejection);
        }
    }
    for (entry, rejection) in batch.into_iter().zip(rejected) {
        let fate = match (rejection, entry.id) {
            (None, _) => Ok(Acknowledged::Written),
            (Some(rejection), DocumentId::Given(_)) if rejection.duplicate_id => {
                Ok(Acknowledged::AlreadyStored)
            }
            (Some(rejection), _) => Err(WriteError::Rejected(rejection.reason.clone())),
        };
        let stored = fate.is_ok();
        if let Err(WriteError::Rejected(reason)) = &fate {
            tracing::warn!(id = %entry.id.object_id(), reason, "a document was rejected");
        }
        if entry.answer.send(fate).is_err() && stored {
            late.push(entry.id);
        }
    }
    log_fate(&late, "stored");
}

/// Tells all requests of a batch the same.
fn fail(batch: Vec<InFlight>, error: &WriteError, fate: &str) {
    let mut late = Vec::new();
    for entry in batch {
        if entry.answer.send(Err(error.clone())).is_err() {
            late.push(entry.id);
        }
    }
    log_fate(&late, fate);
}

/// Logs the fate of documents whose requests ended before it was known.
fn log_fate(ids: &[DocumentId], fate: &str) {
    if !ids.is_empty() {
        let ids: Vec<String> = ids.iter().map(|id| id.object_id().to_hex()).collect();
        tracing::warn!(
            fate,
            ids = ids.join(" "),
            "documents whose requests had ended"
        );
    }
}
