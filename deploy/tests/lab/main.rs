//! `deploy lab` against a real engine: lessons that pass, an engine that is left as it was.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod by_hand;
mod command_line;
mod leaves_nothing;
mod shown;
mod support;
