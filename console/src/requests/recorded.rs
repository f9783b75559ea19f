//! A request as it was recorded: docs/… has the document's fields. Documents that Flask wrote have
//! neither `received_at` nor `remote_addr`.

use mongodb::bson::DateTime;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::RawDocument;
use serde::Serialize;

/// What a list shows of a request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// 24 hex digits.
    #[serde(serialize_with = "hex")]
    pub id: ObjectId,
    /// When its head was read; of a document without it, when its id was made.
    #[serde(serialize_with = "rfc3339")]
    pub received_at: DateTime,
    pub method: String,
    /// The full URL.
    pub url: String,
    /// Empty where it isn't known.
    pub remote_addr: String,
    /// How many bytes the recorded body has.
    pub body_bytes: u64,
}

/// All of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    pub summary: Summary,
    /// By name, as recorded.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether `body` is what came, byte for byte: not where a byte that isn't UTF-8 was replaced.
    pub is_exact: bool,
}

impl Recorded {
    /// Reads a document; what it lacks, or has in another type, is as if it were empty.
    pub fn from_document(_document: &RawDocument) -> Self {
        todo!("requests::recorded")
    }
}

fn hex<S: serde::Serializer>(id: &ObjectId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&id.to_hex())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde passes it")]
fn rfc3339<S: serde::Serializer>(at: &DateTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.try_to_rfc3339_string().unwrap_or_default())
}
