//! The way through the collection, by `_id`, in stretches: back from the newest, or on from the oldest.
//!
//! Where an index has all that a filter asks for, the first stretch is the whole collection. Else a
//! stretch has as many of an index's keys as take about [`STRETCH`] to look at: between two of them
//! the search can stop, and be gone on with later, without leaving one out or telling one twice.

use std::ops::RangeInclusive;
use std::time::Duration;

use mongodb::Collection;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::RawDocumentBuf;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, Result};
use mongodb::options::Hint;
use tokio::time::{Instant, timeout_at};

use crate::requests::filter::Filter;
use crate::requests::recorded::Summary;
use crate::requests::search::{Order, Span};
use crate::store::{LARGEST, LONGEST_URL, MAX_TIME_MS_EXPIRED, Store, has_code};

/// How long looking at a stretch should take: who goes away meanwhile isn't noticed before its end.
const STRETCH: Duration = Duration::from_millis(200);
/// Keys of the first stretch, which tells how many take that long.
const FIRST: u64 = 1_000;
/// Keys of any. There are fewer only where so many can't be looked at in all the time that there is:
/// an answer may be late for other reasons, too.
const KEYS: RangeInclusive<u64> = 1_000..=1_000_000;
const FEWEST: u64 = 10;
/// Summaries in an answer of MongoDB: each may have a long URL.
const SUMMARIES: usize = 16;
/// The room for it.
const SUMMARIES_ROOM: usize = 2 * SUMMARIES * LONGEST_URL;
/// With less time left, nothing is begun.
const SHORTEST: Duration = Duration::from_millis(20);

/// What MongoDB says of a hint to an index that isn't there.
const BAD_VALUE: i32 = 2;

/// A search, and how far it has come.
pub(super) struct Walk {
    store: Store,
    condition: Document,
    /// The indexes that can serve it, each with the part of the condition that it serves: `_id`'s, or
    /// those of docs/search.md, as long as it isn't known that they aren't there.
    indexes: Vec<(Document, Document)>,
    /// Whether the first of them serves all of it.
    is_served: bool,
    order: Order,
    /// What is left: from this on, and before that.
    from: ObjectId,
    before: Option<ObjectId>,
    keys: u64,
    is_at_end: bool,
}

/// What to ask the database for.
#[derive(Clone)]
struct Query {
    condition: Document,
    index: Document,
    sort: Document,
    limit: Duration,
}

impl Walk {
    pub(super) fn new(store: &Store, filter: &Filter, span: Span) -> Self {
        let (from, until) = filter.ids();
        let (after, is_over) = match span.after.map(next) {
            None => (None, false),
            Some(None) => (None, true),
            Some(after) => (after, false),
        };
        let mut indexes = Vec::new();
        if let Some(address) = &filter.address {
            let condition = doc! { "remote_addr": address };
            indexes.push((doc! { "remote_addr": 1, "_id": -1 }, condition));
        }
        if !filter.methods.is_empty() {
            let condition = doc! { "method": { "$in": &filter.methods } };
            indexes.push((doc! { "method": 1, "_id": -1 }, condition));
        }
        let is_served = indexes.len() <= 1 && filter.path.is_none() && !filter.needs_content();
        if indexes.is_empty() || filter.id.is_some() {
            indexes = vec![by_id()];
        }
        Self {
            store: store.clone(),
            condition: filter.to_document(),
            indexes,
            is_served: is_served || filter.id.is_some(),
            order: span.order,
            from: after.map_or(from, |after| after.max(from)),
            before: [span.before, until].into_iter().flatten().min(),
            keys: FIRST,
            is_at_end: is_over,
        }
    }

    /// Whether all has been searched.
    pub(super) fn is_at_end(&self) -> bool {
        self.is_at_end
    }

    /// What comes before this hasn't been searched, if there is more.
    pub(super) fn position(&self) -> Option<ObjectId> {
        let newest = ObjectId::from_bytes([0xff; 12]);
        (!self.is_at_end).then(|| self.before.unwrap_or(newest))
    }

    /// The next of them: `wanted` at most, or as many as have so many bytes. None where the time is up.
    pub(super) async fn summaries(
        &mut self,
        wanted: usize,
        bytes: usize,
        deadline: Instant,
    ) -> Result<Option<Vec<Summary>>> {
        let find = move |requests: Collection<RawDocumentBuf>, query: Query| async move {
            let mut cursor = requests
                .find(query.condition)
                .sort(query.sort)
                .projection(Summary::projection())
                .hint(Hint::Keys(query.index))
                .limit(i64::try_from(wanted).unwrap_or(i64::MAX))
                .batch_size(u32::try_from(wanted.min(SUMMARIES)).unwrap_or(u32::MAX))
                .max_time(query.limit)
                .await?;
            let mut found = Vec::new();
            let mut room = bytes;
            while room > 0 && cursor.advance().await? {
                let summary = Summary::from_document(cursor.current());
                room = room.saturating_sub(summary.bytes());
                found.push(summary);
            }
            Ok((found, room == 0))
        };
        let Some((found, is_cut)) = self.stretch(find, SUMMARIES_ROOM, deadline).await? else {
            return Ok(None);
        };
        if let Some(last) = found.last()
            && (is_cut || found.len() == wanted)
        {
            self.go_to(last.id);
        }
        Ok(Some(found))
    }

    /// The next of them, whole: `wanted` at most, or as many as have so many bytes.
    pub(super) async fn documents(
        &mut self,
        wanted: usize,
        bytes: usize,
    ) -> Result<Vec<RawDocumentBuf>> {
        let find = move |requests: Collection<RawDocumentBuf>, query: Query| async move {
            let mut cursor = requests
                .find(query.condition)
                .sort(query.sort)
                .hint(Hint::Keys(query.index))
                .limit(i64::try_from(wanted).unwrap_or(i64::MAX))
                .batch_size(u32::try_from(wanted).unwrap_or(u32::MAX))
                .max_time(query.limit)
                .await?;
            let mut found: Vec<RawDocumentBuf> = Vec::new();
            let mut room = bytes;
            while room > 0 && cursor.advance().await? {
                room = room.saturating_sub(cursor.current().as_bytes().len());
                found.push(cursor.current().to_owned());
            }
            Ok((found, room == 0))
        };
        let deadline = Instant::now() + self.store.query_timeout();
        let Some((found, is_cut)) = self.stretch(find, LARGEST, deadline).await? else {
            return Err(Error::custom("the database is busy"));
        };
        if let Some(last) = found.last()
            && (is_cut || found.len() == wanted)
            && let Ok(id) = last.get_object_id("_id")
        {
            self.go_to(id);
        }
        Ok(found)
    }

    /// How many the next stretch has, `highest` at most. None where the time is up.
    pub(super) async fn count(&mut self, highest: u64, deadline: Instant) -> Result<Option<u64>> {
        let count = move |requests: Collection<RawDocumentBuf>, query: Query| async move {
            requests
                .count_documents(query.condition)
                .hint(Hint::Keys(query.index))
                .limit(highest)
                .max_time(query.limit)
                .await
        };
        let (from, before) = (self.from, self.before);
        let count = self.stretch(count, 0, deadline).await?;
        if count == Some(highest) {
            (self.from, self.before) = (from, before);
            self.is_at_end = false;
        }
        Ok(count)
    }

    /// Goes on behind this one.
    fn go_to(&mut self, id: ObjectId) {
        self.is_at_end = false;
        match (self.order, next(id)) {
            (Order::Newest, _) => self.before = Some(id),
            (Order::Oldest, Some(next)) => self.from = next,
            (Order::Oldest, None) => self.is_at_end = true,
        }
    }

    /// Runs `ask`, whose answer takes so much `room`, over the next stretch that it comes to the end of.
    /// None where the time is up.
    async fn stretch<T, F, Fut>(
        &mut self,
        ask: F,
        room: usize,
        deadline: Instant,
    ) -> Result<Option<T>>
    where
        F: Fn(Collection<RawDocumentBuf>, Query) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<T>> + Send,
        T: Send + 'static,
    {
        let mut place = None;
        loop {
            if !self.is_served && place.is_none() {
                let Ok(granted) = timeout_at(deadline, self.store.scan()).await else {
                    return Ok(None);
                };
                place = Some(granted?);
            }
            // Half of it: what doesn't come to an end is tried again with fewer keys.
            let limit = deadline.saturating_duration_since(Instant::now()) / 2;
            if limit < SHORTEST {
                return Ok(None);
            }
            let begun = Instant::now();
            let asked = self.ask(&ask, room, limit).await;
            match asked {
                Ok((answer, end)) => {
                    self.is_at_end = end.is_none();
                    match self.order {
                        Order::Newest => self.before = end.or(self.before),
                        Order::Oldest => self.from = end.unwrap_or(self.from),
                    }
                    self.adapt(begun.elapsed());
                    return Ok(Some(answer));
                }
                Err(error) if has_code(&error, MAX_TIME_MS_EXPIRED) => {
                    if !self.is_served {
                        self.keys = (self.keys / 8).max(FEWEST);
                    }
                    self.is_served = false;
                }
                Err(error) if has_code(&error, BAD_VALUE) && self.indexes[0] != by_id() => {
                    self.is_served = false;
                    self.indexes.remove(0);
                    if self.indexes.is_empty() {
                        self.indexes.push(by_id());
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn adapt(&mut self, took: Duration) {
        let took = took.as_millis().max(1);
        let fitting = u128::from(self.keys) * STRETCH.as_millis() / took;
        let keys = u64::try_from(fitting).unwrap_or(u64::MAX);
        let keys = keys.clamp(self.keys / 4, self.keys * 4);
        self.keys = keys.clamp(*KEYS.start(), *KEYS.end());
    }

    /// The answer for the next stretch, and where it ends unless it goes to the very end.
    async fn ask<T, F, Fut>(
        &mut self,
        ask: &F,
        room: usize,
        limit: Duration,
    ) -> Result<(T, Option<ObjectId>)>
    where
        F: Fn(Collection<RawDocumentBuf>, Query) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<T>> + Send,
        T: Send + 'static,
    {
        let (mut end, mut used) = (None, 0);
        if !self.is_served {
            // The index that comes farthest with so many keys has the fewest others among them.
            let mut ends = Vec::new();
            while let Some((index, condition)) = self.indexes.get(ends.len()) {
                match self.end(index, condition, limit).await {
                    // There isn't this one, but there is another to try.
                    Err(error) if has_code(&error, BAD_VALUE) && self.indexes.len() > 1 => {
                        self.indexes.remove(ends.len());
                    }
                    end => ends.push(end?),
                }
            }
            let ends = ends.into_iter().zip(0..);
            let farthest = match self.order {
                Order::Newest => ends.min_by_key(|(end, _)| *end),
                Order::Oldest => ends.max_by_key(|(end, _)| (end.is_none(), *end)),
            };
            (end, used) = farthest.unwrap_or((None, 0));
        }
        let ids = match self.order {
            Order::Newest => ids(end.unwrap_or(self.from), self.before),
            Order::Oldest => ids(self.from, end.or(self.before)),
        };
        let query = Query {
            condition: doc! { "$and": [{ "_id": ids }, self.condition.clone()] },
            index: self.indexes[used].0.clone(),
            sort: self.sort(),
            limit,
        };
        let ask = ask.clone();
        let asking = move |requests| ask(requests, query.clone());
        let store = self.store.with_room(room).await;
        let store = store.map_err(|busy| Error::custom(busy.to_string()))?;
        Ok((store.read(asking).await?, end))
    }

    /// The id at the end of a stretch, by the keys of an index alone; it is the stretch's last on the way
    /// back, and the next one's first on the way on. None if it has no more.
    async fn end(
        &self,
        index: &Document,
        condition: &Document,
        limit: Duration,
    ) -> Result<Option<ObjectId>> {
        let mut condition = condition.clone();
        condition.insert("_id", ids(self.from, self.before));
        let (index, sort, keys) = (index.clone(), self.sort(), self.keys);
        let found = self.store.read(move |requests| {
            let (condition, index, sort) = (condition.clone(), index.clone(), sort.clone());
            async move {
                requests
                    .find_one(condition)
                    .sort(sort)
                    .projection(doc! { "_id": 1 })
                    .hint(Hint::Keys(index))
                    .skip(keys - 1)
                    .max_time(limit)
                    .await
            }
        });
        let found: Option<RawDocumentBuf> = found.await?;
        Ok(found.and_then(|document| document.get_object_id("_id").ok()))
    }

    fn sort(&self) -> Document {
        match self.order {
            Order::Newest => doc! { "_id": -1 },
            Order::Oldest => doc! { "_id": 1 },
        }
    }
}

fn ids(from: ObjectId, before: Option<ObjectId>) -> Document {
    let mut ids = doc! { "$gte": from };
    ids.extend(before.map(|id| ("$lt".to_owned(), id.into())));
    ids
}

/// The id that comes right after this one, if one can.
fn next(id: ObjectId) -> Option<ObjectId> {
    let mut bytes = id.bytes();
    for byte in bytes.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            return Some(ObjectId::from_bytes(bytes));
        }
    }
    None
}

fn by_id() -> (Document, Document) {
    (doc! { "_id": 1 }, doc! {})
}
