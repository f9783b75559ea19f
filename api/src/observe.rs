//! How the API is, for those who ask at the admin port.

pub(crate) mod admin;
pub mod metrics;
pub(crate) mod trace;
