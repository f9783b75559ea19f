//! A backup: one file that holds the documents as the service of `x-backup` gives them, and says of itself
//! what is in it.
//!
//! It is a ZIP archive, written in one go, with what `mongodump` writes into its directory, and a
//! [`Manifest`]. Reading and writing are plain functions over bytes, which run in a thread of their own: what
//! they read or write comes and goes through channels of a few pieces, so that the slowest of all who are
//! concerned says how fast it goes, and no more than these pieces are in memory.

mod archive;
mod pieces;
mod service;
mod target;
mod write;

use std::sync::atomic::{AtomicU64, Ordering};

use engine::error::{Error, Result};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

pub(crate) use archive::Archive;
pub(crate) use pieces::{PIECES, Pieces};
pub(crate) use service::{Keeper, ended_well};
pub(crate) use target::{Target, remove_left};
pub(crate) use write::{Source, write};

/// What the manifest is called in the archive.
const MANIFEST: &str = "manifest.json";

/// What a backup holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// [`dump_stream::FORMAT`].
    pub(crate) format: u32,
    /// When it was begun, as RFC 3339: what was acknowledged before is in it.
    pub(crate) created: String,
    /// The project's name.
    pub(crate) project: String,
    /// The version of `deploy` that wrote it.
    pub(crate) deploy: String,
    pub(crate) database: String,
    pub(crate) collection: String,
    pub(crate) documents: u64,
    /// The least and the greatest `_id`, as text.
    pub(crate) first_id: Option<String>,
    pub(crate) last_id: Option<String>,
    /// The documents.
    pub(crate) data: Part,
    /// The collection's options and indexes.
    pub(crate) metadata: Part,
}

/// A file in the archive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) path: String,
    /// Its size, not compressed.
    pub(crate) bytes: u64,
    /// In hexadecimal.
    pub(crate) sha256: String,
}

/// How far the thread is.
#[derive(Debug, Default)]
pub(crate) struct Done {
    documents: AtomicU64,
    bytes: AtomicU64,
}

impl Done {
    fn set(&self, documents: u64, bytes: u64) {
        self.documents.store(documents, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn documents(&self) -> u64 {
        self.documents.load(Ordering::Relaxed)
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let bytes = size(self.bytes.load(Ordering::Relaxed));
        format!("{} documents, {bytes}", self.documents())
    }
}

/// A number of bytes, for people.
#[allow(clippy::cast_precision_loss, reason = "it is rounded anyway")]
pub(crate) fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut scaled = bytes as f64;
    let mut unit = "bytes";
    for larger in units {
        if scaled < 1024.0 {
            break;
        }
        (scaled, unit) = (scaled / 1024.0, larger);
    }
    let digits = usize::from(unit != "bytes" && scaled < 100.0);
    format!("{scaled:.digits$} {unit}")
}

/// What a thread came to.
pub(crate) async fn joined<T>(thread: JoinHandle<Result<T>>) -> Result<T> {
    let broken = |err: tokio::task::JoinError| {
        Error::failed(
            format!("a thread of deploy's ended: {err}"),
            "run again; if it stays, report it with this message",
        )
    };
    thread.await.map_err(broken)?
}

#[cfg(test)]
mod tests;
