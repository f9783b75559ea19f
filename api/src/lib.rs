//! Causeway: the `api` crate.
