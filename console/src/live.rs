//! What is recorded now: one tail of the collection, for all who watch.

use std::sync::Arc;

use futures_util::Stream;
use futures_util::stream::pending;
use mongodb::bson::oid::ObjectId;

use crate::requests::filter::Filter;
use crate::requests::recorded::Summary;
use crate::store::Store;

/// The tail. It reads only while somebody follows.
#[derive(Debug)]
pub struct Live {
    _store: Store,
}

/// What a follower is told.
#[derive(Clone, Debug)]
pub enum Event {
    /// A request that was recorded, and that the filter lets through.
    Recorded(Arc<Summary>),
    /// Some that were recorded meanwhile can't be told any more: too many, or too long ago.
    Missed,
    /// Nothing can be read now, for this reason; the stream goes on once it can.
    Away(String),
}

impl Live {
    pub fn new(store: Store) -> Self {
        Self { _store: store }
    }

    /// Follows what is recorded from now on or, after a break, from `after` on: the last that was
    /// told. Each is told once.
    pub fn follow(
        &self,
        _filter: Filter,
        _after: Option<ObjectId>,
    ) -> impl Stream<Item = Event> + Send + 'static {
        pending()
    }
}
