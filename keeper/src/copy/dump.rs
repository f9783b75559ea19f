//! `keeper dump`: every document, by `_id`, onto standard output.
//!
//! What is promised of it:
//!
//! - What was acknowledged before it began is in it, unless it was removed meanwhile (retention). The newest
//!   `_id` is asked for first, and of a replica set in the one way that asks the majority whether this is still
//!   the primary (`linearizable`). Then documents are read up to that one, from whoever is the primary: each
//!   that may become it has what was acknowledged. What is recorded meanwhile may be in it.
//! - Each is whole, and there once: the walk only goes up, and an `_id` doesn't change.
//! - Where the server is lost (restarted, stepped down), the walk goes on behind the last document.
//!
//! Pages of about [`PAGE`] are read, and the next only when the one before was taken: whoever writes to
//! MongoDB has to wait for one such page at most.

use std::time::Duration;

use dump_stream::{END, FORMAT, Header, Summary};
use mongodb::Cursor;
use mongodb::bson::raw::{RawDocument, RawDocumentBuf};
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::Result as MongoResult;
use mongodb::options::{Hint, ReadConcern};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufWriter};

use super::{Failure, Patience, id_of, indexes, store, text_of, value_of};
use crate::settings::Settings;
use crate::store::Store;

/// Bytes of documents that are asked for at a time, about.
const PAGE: u64 = 1 << 20;
/// Documents, at most: with the one that the page before has ended with.
const MOST: u64 = 2_000;
/// Bytes of a document, before any is known.
const GUESS: u64 = 1 << 10;
/// Longest that a majority may take to confirm the primary.
const CONFIRMATION: Duration = Duration::from_secs(10);
/// Bytes that are written at a time.
const PIECE: usize = 256 << 10;

/// Dumps everything into `output`, for as long as `input` is open: who has started it needn't be able to end
/// it, and may end itself.
///
/// # Errors
/// When MongoDB is away for too long or refuses, or nobody reads.
pub async fn run(
    settings: &Settings,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin,
) -> Result<Summary, Failure> {
    let store = store(settings).await?;
    tokio::select! {
        dumped = dump(settings, &store, output) => dumped,
        () = end_of(input) => Err(Failure::Stream("whoever wanted the dump is gone".to_owned())),
    }
}

async fn end_of(mut input: impl AsyncRead + Unpin) {
    let mut ignored = [0; 64];
    while matches!(input.read(&mut ignored).await, Ok(1..)) {}
}

async fn dump(
    settings: &Settings,
    store: &Store,
    output: impl AsyncWrite + Unpin,
) -> Result<Summary, Failure> {
    let mut output = BufWriter::with_capacity(PIECE, output);
    let newest = newest(store).await?;
    let header = Header {
        format: FORMAT,
        database: settings.mongo.database.clone(),
        collection: settings.mongo.collection.clone(),
        metadata: metadata(store, &settings.mongo.collection).await?,
        documents: count(store).await?,
    };
    let mut line = serde_json::to_vec(&header).map_err(std::io::Error::from)?;
    line.push(b'\n');
    output.write_all(&line).await?;

    let mut walk = Walk::default();
    if let Some(newest) = &newest {
        let mut patience = Patience::new(store, "reading documents");
        loop {
            let before = walk.summary.documents;
            match walk.page(store, newest, &mut output).await? {
                Ok(true) => break,
                Ok(false) => patience.renew(),
                Err(error) => {
                    if walk.summary.documents > before {
                        patience.renew();
                    }
                    patience.after(error).await?;
                }
            }
        }
    }
    let mut summary = walk.summary;
    summary.last_id = walk.last.as_deref().map(text_of);
    summary.sha256 = hex::encode(walk.sha256.finalize());
    let mut end = END.to_vec();
    end.extend(serde_json::to_vec(&summary).map_err(std::io::Error::from)?);
    end.push(b'\n');
    output.write_all(&end).await?;
    output.flush().await?;
    Ok(summary)
}

/// The way up.
#[derive(Default)]
struct Walk {
    /// The last document's `_id`.
    last: Option<RawDocumentBuf>,
    summary: Summary,
    sha256: Sha256,
}

impl Walk {
    /// Writes the next page. Whether it was the last; or what MongoDB says, which may pass: what was written
    /// until then counts.
    async fn page(
        &mut self,
        store: &Store,
        newest: &RawDocument,
        output: &mut (impl AsyncWrite + Unpin),
    ) -> Result<MongoResult<bool>, Failure> {
        let average = self.summary.bytes.checked_div(self.summary.documents);
        let wanted = (PAGE / average.unwrap_or(GUESS).max(1)).clamp(1, MOST);
        let after = self.last.as_deref().map(value_of).transpose()?;
        // The last one is there again, unless it was removed.
        let wanted = wanted + u64::from(after.is_some());
        let found = store.run(move |requests| {
            let after = after.clone();
            async move { page(&requests, wanted, after).await }
        });
        let mut cursor = match found.await {
            Ok(cursor) => cursor,
            Err(error) => return Ok(Err(error)),
        };
        let mut came = 0;
        loop {
            match cursor.advance().await {
                Ok(true) => {}
                // Fewer than there could be: nothing is left.
                Ok(false) => return Ok(Ok(came < wanted)),
                Err(error) => return Ok(Err(error)),
            }
            came += 1;
            let document = cursor.current();
            let id = id_of(document)?;
            if self.last.as_ref() == Some(&id) {
                continue;
            }
            output.write_all(document.as_bytes()).await?;
            self.sha256.update(document.as_bytes());
            self.summary.bytes += document.as_bytes().len() as u64;
            self.summary.documents += 1;
            if self.last.is_none() {
                self.summary.first_id = Some(text_of(&id));
            }
            let was_newest = id.as_bytes() == newest.as_bytes();
            self.last = Some(id);
            if was_newest {
                return Ok(Ok(true));
            }
        }
    }
}

async fn page(
    requests: &crate::store::Requests,
    wanted: u64,
    after: Option<Document>,
) -> MongoResult<Cursor<RawDocumentBuf>> {
    let ascending = doc! { "_id": 1 };
    let mut find = requests
        .find(doc! {})
        .sort(ascending.clone())
        .hint(Hint::Keys(ascending))
        .limit(wanted.try_into().unwrap_or(i64::MAX))
        .batch_size(wanted.try_into().unwrap_or(u32::MAX));
    if let Some(after) = after {
        find = find.min(after);
    }
    find.await
}

/// The greatest `_id`, in a document of its own; none, where there are no documents.
async fn newest(store: &Store) -> Result<Option<RawDocumentBuf>, Failure> {
    let mut patience = Patience::new(store, "looking for the newest document");
    loop {
        let found = store.run(|requests| async move {
            let admin = requests.client().database("admin");
            let hello = admin.run_command(doc! { "hello": 1 }).await?;
            let mut find = requests
                .find_one(doc! {})
                .sort(doc! { "_id": -1 })
                .projection(doc! { "_id": 1 })
                .max_time(CONFIRMATION);
            if hello.contains_key("setName") {
                find = find.read_concern(ReadConcern::linearizable());
            }
            find.await
        });
        match found.await {
            Ok(found) => return found.as_deref().map(id_of).transpose(),
            Err(error) => patience.after(error).await?,
        }
    }
}

/// How many there are, about.
async fn count(store: &Store) -> Result<u64, Failure> {
    let mut patience = Patience::new(store, "counting the documents");
    loop {
        let count = store.run(|requests| async move { requests.estimated_document_count().await });
        match count.await {
            Ok(count) => return Ok(count),
            Err(error) => patience.after(error).await?,
        }
    }
}

/// What `mongodump` writes beside the documents.
async fn metadata(store: &Store, collection: &str) -> Result<String, Failure> {
    let indexes = indexes(store).await?;
    let indexes: Vec<_> = indexes.into_iter().map(Bson::Document).collect();
    let metadata = json!({
        "indexes": canonical(&Bson::Array(indexes)),
        "collectionName": collection,
        "type": "collection",
    });
    Ok(metadata.to_string())
}

/// MongoDB's canonical extended JSON, of what is in the description of an index.
fn canonical(value: &Bson) -> Value {
    match value {
        Bson::Int32(number) => json!({ "$numberInt": number.to_string() }),
        Bson::Int64(number) => json!({ "$numberLong": number.to_string() }),
        Bson::Double(number) => json!({ "$numberDouble": format!("{number:?}") }),
        Bson::Boolean(is) => json!(is),
        Bson::String(text) => json!(text),
        Bson::ObjectId(id) => json!({ "$oid": id.to_hex() }),
        Bson::DateTime(time) => {
            json!({ "$date": { "$numberLong": time.timestamp_millis().to_string() } })
        }
        Bson::Array(values) => values.iter().map(canonical).collect(),
        Bson::Document(document) => {
            let fields = document.iter();
            fields
                .map(|(key, it)| (key.clone(), canonical(it)))
                .collect()
        }
        // An index has no other.
        _ => Value::Null,
    }
}
