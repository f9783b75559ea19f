//! What is told of the work: the access log and the metrics.

pub(crate) mod access_log;
pub(crate) mod log_sink;
pub(crate) mod metrics;
