//! What a database's dump writes and its load reads: one collection as a stream of bytes, between
//! `deploy` and whoever can reach the database (`x-backup`, docs/backup.md).
//!
//! 1. A line with a [`Header`], as JSON.
//! 2. The documents, one after the other, each as it is stored (BSON, which begins with its own length).
//! 3. [`END`]: no document has that length. A stream without it was broken off.
//! 4. From a dump only: a line with a [`Summary`].
//!
//! A load answers with lines of [`Progress`]; the last one says that it is done.

mod documents;

use serde::{Deserialize, Serialize};

pub use documents::{Documents, Malformed, document_length};

/// The form of the stream, and of the file that `deploy` makes of it.
pub const FORMAT: u32 = 1;
/// Stands where the next document's length would.
pub const END: [u8; 4] = [0; 4];
/// The longest line, in bytes.
pub const LONGEST_LINE: usize = 1 << 20;
/// The longest document that MongoDB stores, in bytes (`BSONObjMaxInternalSize`).
pub const LONGEST_DOCUMENT: usize = (16 << 20) + (16 << 10);

/// Which collection it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: u32,
    /// The database's name.
    pub database: String,
    /// The collection's.
    pub collection: String,
    /// Its options and indexes, as `mongodump` writes them into `COLLECTION.metadata.json`.
    pub metadata: String,
    /// How many documents there are, about.
    pub documents: u64,
}

/// What a dump has written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Documents.
    pub documents: u64,
    /// Their bytes.
    pub bytes: u64,
    /// SHA-256 of these, in hexadecimal.
    pub sha256: String,
    /// The first document's `_id`, as text; none where there is no document.
    pub first_id: Option<String>,
    /// The last one's.
    pub last_id: Option<String>,
}

/// How far a load is. Counts begin with the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Documents that it has stored.
    pub stored: u64,
    /// That were there already, the same to the byte.
    pub already: u64,
    /// That weren't stored because another document has the id.
    pub different: u64,
    /// The ids of the first of these, as text.
    pub different_ids: Vec<String>,
    /// What else there is to say, a sentence each.
    pub notes: Vec<String>,
    /// Whether it has come to the end.
    pub done: bool,
}
