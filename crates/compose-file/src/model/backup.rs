//! Who backs the data up, and stores it again.

use serde::Serialize;

use super::ServiceName;

/// `x-backup`, an extension that other tools skip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Backup {
    /// The service whose container the commands are run in.
    pub service: ServiceName,
    /// Writes the data to standard output (the crate `dump-stream` says how), for as long as standard input
    /// is open.
    pub dump: Vec<String>,
    /// Reads the same from standard input and stores what isn't there.
    pub restore: Vec<String>,
}
