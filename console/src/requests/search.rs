//! Searches, newest first, each bounded in time and memory.

use futures_util::Stream;
use futures_util::stream::empty;
use mongodb::bson::oid::ObjectId;
use mongodb::error::Result;
use serde::Serialize;

use crate::requests::filter::Filter;
use crate::requests::recorded::{Recorded, Summary};
use crate::store::Store;

/// A page of a list.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Page {
    pub requests: Vec<Summary>,
    /// Where to go on: with those recorded before this id. None where there are no more.
    pub next: Option<String>,
    /// Set where the time was up before the page was full: how far back it has searched.
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

/// At most `limit` requests that were recorded before `before`, newest first.
pub async fn page(
    _store: &Store,
    _filter: &Filter,
    _before: Option<ObjectId>,
    _limit: usize,
) -> Result<Page> {
    Ok(Page::default())
}

/// How many there are.
pub async fn count(_store: &Store, _filter: &Filter) -> Result<Count> {
    Ok(Count {
        count: 0,
        at_least: false,
    })
}

/// One, whole.
pub async fn one(_store: &Store, _id: ObjectId) -> Result<Option<Recorded>> {
    Ok(None)
}

/// All of them, newest first, as many in memory at a time as a batch has. It has no end in time; it
/// ends when it is dropped.
pub fn all(
    _store: &Store,
    _filter: Filter,
    _before: Option<ObjectId>,
) -> impl Stream<Item = Result<Recorded>> + Send + 'static {
    empty()
}
