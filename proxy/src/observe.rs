//! What is told of the work: the access log and the metrics.

pub mod access_log;
pub mod log_sink;
pub mod metrics;
