//! What the tests of several crates are made of: [`wait`]ing for a condition, addresses of one's own
//! ([`net`]), [`http`] on the wire and over [`tls`], [`ssh`], [`process`]es that end with their test, Docker ([`engine`]), a real MongoDB (`mongo`), a receiver of traces (`otlp`), the
//! [`table`]s of cases, the fuzzer ([`fuzz`]), and docs/metrics.md held against what a part tells ([`metrics_page`]).
//!
//! Nothing here is part of a binary. A helper panics where a test can't go on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test that can't go on fails"
)]

#[cfg(feature = "mongo")]
pub mod bench;
pub mod engine;
pub mod fuzz;
pub mod http;
pub mod metrics_page;
#[cfg(feature = "mongo")]
pub mod mongo;
pub mod net;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod process;
pub mod ssh;
pub mod table;
pub mod tls;
pub mod wait;

use std::path::{Path, PathBuf};

/// The repository's folder.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
}

/// Cargo's folder for what tests leave, `target/tmp`.
pub fn scratch() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    // target/PROFILE/deps/TEST
    test.ancestors().nth(3).unwrap().join("tmp")
}
