//! Causeway: the `deploy` crate.
