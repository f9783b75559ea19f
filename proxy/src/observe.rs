//! What is told of the work: the log and the access log, the metrics and the admin endpoints.

pub mod access_log;
pub mod admin;
pub mod log_sink;
pub mod logging;
pub mod metrics;
