//! Letting go of requests, the oldest first, in small batches, and counting them.
//!
//! By ranges of `_id`: the proxy's and the API's ids are `ObjectId`s, which begin with the second in
//! which they were made, and there is an index of them anyway. Ids of other types are never touched.
//! What an id says isn't enough: by age goes what is too old by `received_at` as well, where a document
//! has that.

use std::time::{Instant, SystemTime};

use futures_util::TryStreamExt as _;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::RawDocumentBuf;
use mongodb::bson::{DateTime, Document, doc};
use mongodb::error::Result;

use crate::pace::Pace;
use crate::store::{Requests, Store};

/// Documents of a batch: few enough that a writer who waits for one waits for a few milliseconds.
const BATCH: i64 = 100;

/// What makes documents go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// They were recorded before then.
    Before(SystemTime),
    /// There are so many bytes too many.
    Over(u64),
}

/// Documents that follow each other by id.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Batch {
    first: ObjectId,
    last: ObjectId,
    documents: u64,
    bytes: u64,
}

/// A batch of which nobody knows how much of it has gone: MongoDB didn't answer.
#[derive(Debug)]
pub(crate) struct Open(Batch);

/// Lets everything go that has to, and in a `hurry` whatever that costs writers; `count` hears of each batch. On an error, what is left `open` has to be
/// settled before the next sweep.
pub(crate) async fn sweep(
    store: &Store,
    why: Why,
    hurry: bool,
    open: &mut Option<Open>,
    mut count: impl FnMut(u64),
) -> Result<()> {
    let mut bytes_gone = 0;
    let mut pace = Pace::default();
    let mut after = ObjectId::from_bytes([0; 12]);
    loop {
        let begun = Instant::now();
        let left = match why {
            Why::Before(_) => u64::MAX,
            Why::Over(bytes) => bytes.saturating_sub(bytes_gone),
        };
        if left == 0 {
            return Ok(());
        }
        let batch = store
            .run(move |requests| async move { next(&requests, why, after, left).await })
            .await?;
        let Some(batch) = batch else {
            return Ok(());
        };
        *open = Some(Open(batch.clone()));
        let filter = filter(why, &batch);
        let removed = store
            .run(move |requests| {
                let filter = filter.clone();
                async move { Ok(requests.delete_many(filter).await?.deleted_count) }
            })
            .await?;
        *open = None;
        count(removed);
        bytes_gone += batch.bytes;
        after = batch.last;
        pace.rest(begun, hurry).await;
    }
}

/// How many of a batch have gone.
pub(crate) async fn settle(store: &Store, Open(batch): &Open) -> Result<u64> {
    let Batch {
        first,
        last,
        documents,
        ..
    } = *batch;
    store
        .run(move |requests| async move {
            let range = doc! { "_id": { "$gte": first, "$lte": last } };
            let left = requests.count_documents(range).await?;
            Ok(documents.saturating_sub(left))
        })
        .await
}

/// The next documents to go.
async fn next(requests: &Requests, why: Why, after: ObjectId, left: u64) -> Result<Option<Batch>> {
    let mut range = doc! { "$gte": after };
    if let Why::Before(limit) = why {
        range.insert("$lt", first_of(limit));
    }
    // The bytes are only asked for where they matter: without them the index says it all.
    let fields = match why {
        Why::Before(_) => doc! { "_id": 1 },
        Why::Over(_) => doc! { "_id": 1, "bytes": { "$bsonSize": "$$ROOT" } },
    };
    let mut oldest = requests
        .find(doc! { "_id": range })
        .sort(doc! { "_id": 1 })
        .limit(BATCH)
        .projection(fields)
        .await?;
    let mut batch: Option<Batch> = None;
    while let Some(document) = oldest.try_next().await? {
        let Ok(id) = document.get_object_id("_id") else {
            break;
        };
        let batch = batch.get_or_insert(Batch {
            first: id,
            last: id,
            documents: 0,
            bytes: 0,
        });
        batch.last = id;
        batch.documents += 1;
        batch.bytes += bytes_of(&document);
        if batch.bytes >= left {
            break;
        }
    }
    Ok(batch)
}

fn bytes_of(document: &RawDocumentBuf) -> u64 {
    let bytes = document.get_i32("bytes").unwrap_or_default();
    u64::try_from(bytes).unwrap_or_default()
}

fn filter(why: Why, batch: &Batch) -> Document {
    let mut filter = doc! { "_id": { "$gte": batch.first, "$lte": batch.last } };
    if let Why::Before(limit) = why {
        // Also where there is none, as in what the Flask application has stored.
        let young = doc! { "$gte": DateTime::from_system_time(limit) };
        filter.insert("received_at", doc! { "$not": young });
    }
    filter
}

/// The first id of the second in which a moment is.
fn first_of(moment: SystemTime) -> ObjectId {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH);
    let seconds = since.map_or(0, |since| since.as_secs());
    // The four bytes end in 2106.
    let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&seconds.to_be_bytes());
    ObjectId::from_bytes(bytes)
}
