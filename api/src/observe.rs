//! How the API is: for those who ask at the [`admin`] port, for the [`healthcheck`], and for the log.

pub mod admin;
pub mod healthcheck;
pub mod metrics;
pub mod telemetry;
