//! What becomes of a document, as its request is told.

/// How a document came to be acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledged {
    Written,
    /// It was there, from an earlier attempt of the proxy at the same request.
    AlreadyStored,
}

/// What a request is told of its document.
pub type Fate = Result<Acknowledged, WriteError>;

/// Why a document wasn't acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The queue is at its limit; the document was never sent.
    #[error("the write queue is full")]
    QueueFull,
    /// No acknowledgement in time; the document may or may not be stored.
    #[error("no acknowledgement within the write timeout")]
    TimedOut,
    /// The store rejected this document.
    #[error("the document was rejected: {0}")]
    Rejected(String),
    /// The batch failed; the document may or may not be stored.
    #[error("the write failed: {0}")]
    Failed(String),
    /// The coalescer is draining; the document was never sent.
    #[error("shutting down")]
    ShuttingDown,
}

impl WriteError {
    /// What happened, as one of few words.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::TimedOut => "timed_out",
            Self::Rejected(_) => "rejected",
            Self::Failed(_) => "failed",
            Self::ShuttingDown => "shutting_down",
        }
    }
}
