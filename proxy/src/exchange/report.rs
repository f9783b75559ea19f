//! What is told of an exchange.

use std::{sync::Arc, time::Duration};

use super::error_page::Failure;
use crate::upstream::Backend;

/// What is known about an exchange when it is over, for the log and the metrics.
#[derive(Debug)]
pub struct Report {
    /// The status, 499 if the client was gone before there was one.
    pub status: u16,
    /// What went wrong, if anything.
    pub failure: Option<Failure>,
    /// The backend that was asked last.
    pub backend: Option<Arc<Backend>>,
    /// Time from choosing the backend to the head of its response.
    pub upstream_time: Duration,
    /// Attempts beyond the first.
    pub retries: u32,
    /// Bytes sent to the client.
    pub sent: u64,
    /// Bytes received from the client.
    pub received: u64,
}
