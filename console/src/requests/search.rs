//! Searches, newest first unless the oldest are wanted first, each bounded in time and memory: an answer of
//! MongoDB, for which the store has room, is the most that one has at a time.

mod walk;

use futures_util::{Stream, StreamExt as _, stream};
use mongodb::bson::doc;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::RawDocumentBuf;
use mongodb::error::Result;
use serde::Serialize;
use tokio::time::Instant;

use crate::requests::filter::Filter;
use crate::requests::recorded::{Recorded, Summary};
use crate::requests::search::walk::Walk;
use crate::store::Store;

/// A page has no more than this, but for its last request: few long URLs rather than many.
const PAGE_BYTES: usize = 128 << 10;
/// Counting ends here: more is told as "at least".
const HIGHEST_COUNT: u64 = 10_000;
/// What [`all`] keeps of an answer of MongoDB, but for a document that is larger by itself.
const BATCH_BYTES: usize = 2 << 20;
const BATCH: usize = 200;

/// Which end a search begins at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    #[default]
    Newest,
    Oldest,
}

/// Between which ids requests are wanted, neither of them included, and in which order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    pub after: Option<ObjectId>,
    pub before: Option<ObjectId>,
    pub order: Order,
}

/// A page of a list.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Page {
    pub requests: Vec<Summary>,
    /// Where to go on: with those recorded before this id. None where there are no more.
    pub next: Option<String>,
    /// Set where the time was up before the page was full: how far back it has searched, as RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub searched_to: Option<String>,
}

/// How many requests a filter lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    pub count: u64,
    /// Whether there may be more: the time was up, or the limit reached.
    pub at_least: bool,
}

/// At most `limit` requests that were recorded before `before`, newest first; fewer where their URLs are
/// long.
pub async fn page(
    store: &Store,
    filter: &Filter,
    before: Option<ObjectId>,
    limit: usize,
) -> Result<Page> {
    let _timed = store.searches().time("page");
    let deadline = Instant::now() + store.query_timeout();
    let span = Span {
        before,
        ..Span::default()
    };
    let mut walk = Walk::new(store, filter, span);
    let mut page = Page::default();
    let mut room = PAGE_BYTES;
    while !walk.is_at_end() && room > 0 {
        // One more than is shown tells whether there are more.
        let wanted = limit + 1 - page.requests.len();
        let Some(found) = walk.summaries(wanted, room, deadline).await? else {
            page.next = walk.position().map(ObjectId::to_hex);
            let searched_to = walk.position().map(|id| id.timestamp());
            page.searched_to = searched_to.and_then(|at| at.try_to_rfc3339_string().ok());
            return Ok(page);
        };
        let bytes = found.iter().map(Summary::bytes);
        room = room.saturating_sub(bytes.sum());
        page.requests.extend(found);
        if page.requests.len() > limit {
            page.requests.truncate(limit);
            page.next = page.requests.last().map(|last| last.id.to_hex());
            return Ok(page);
        }
        if page.requests.len() == limit {
            break;
        }
    }
    page.next = walk.position().map(ObjectId::to_hex);
    Ok(page)
}

/// How many there are.
pub async fn count(store: &Store, filter: &Filter) -> Result<Count> {
    let _timed = store.searches().time("count");
    if *filter == Filter::default() {
        let limit = store.query_timeout();
        let counting = store.read(move |requests| async move {
            let counting = requests.estimated_document_count();
            counting.max_time(limit).await
        });
        return Ok(Count {
            count: counting.await?,
            at_least: false,
        });
    }
    let deadline = Instant::now() + store.query_timeout();
    let mut walk = Walk::new(store, filter, Span::default());
    let mut count = 0;
    while !walk.is_at_end() && count < HIGHEST_COUNT {
        match walk.count(HIGHEST_COUNT - count, deadline).await? {
            Some(more) => count += more,
            None => break,
        }
    }
    Ok(Count {
        count,
        at_least: !walk.is_at_end(),
    })
}

/// One, whole. What it takes is the store's room ([`Store::with_room`]), until it has been put into words.
pub async fn one(store: &Store, id: ObjectId) -> Result<Option<Recorded>> {
    let _timed = store.searches().time("one");
    let limit = store.query_timeout();
    let found = store.read(move |requests| async move {
        let finding = requests.find_one(doc! { "_id": id });
        finding.max_time(limit).await
    });
    let found: Option<RawDocumentBuf> = found.await?;
    Ok(found.map(|document| Recorded::from_document(&document)))
}

/// All of a span, as many in memory at a time as a batch has. It has no end in time; it ends when it is
/// dropped.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the stream is a caller's own"
)]
pub fn all(
    store: &Store,
    filter: Filter,
    span: Span,
) -> impl Stream<Item = Result<Recorded>> + Send + 'static {
    let walk = Walk::new(store, &filter, span);
    let batches = stream::try_unfold((walk, 16), |(mut walk, wanted)| async move {
        while !walk.is_at_end() {
            let found = walk.documents(wanted, BATCH_BYTES).await?;
            if found.is_empty() {
                continue;
            }
            let bytes: usize = found.iter().map(|it| it.as_bytes().len()).sum();
            let wanted = (BATCH_BYTES / (bytes / found.len()).max(1)).clamp(1, BATCH);
            return Ok(Some((found, (walk, wanted))));
        }
        Ok(None)
    });
    batches.flat_map(|batch: Result<Vec<RawDocumentBuf>>| {
        let (found, error) = match batch {
            Ok(found) => (found, None),
            Err(error) => (Vec::new(), Some(Err(error))),
        };
        let read = |document: RawDocumentBuf| Ok(Recorded::from_document(&document));
        stream::iter(found.into_iter().map(read).chain(error))
    })
}
