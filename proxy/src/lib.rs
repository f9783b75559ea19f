//! Causeway: the `proxy` crate.
