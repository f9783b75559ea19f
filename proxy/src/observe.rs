//! What is told of the work: the log and the access log, the metrics and the admin endpoints.

pub(crate) mod access_log;
pub(crate) mod admin;
pub(crate) mod log_sink;
pub(crate) mod logging;
pub(crate) mod metrics;
pub(crate) mod trace;
