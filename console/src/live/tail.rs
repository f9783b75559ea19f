//! Reads what was recorded since the last time, again and again, while somebody follows.
//!
//! It walks back in natural order, the order of the record ids, from the newest record to one below
//! which nothing new can be ([`met`](crate::live::met)). By `_id` one couldn't tell: it is made when
//! a request arrives, and a large upload is recorded minutes after that.
//!
//! A replica set's primary is read in the same way; change streams would spare it the query, but need
//! a privilege and a place in memory for each client, and a standalone server has none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mongodb::Collection;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::{RawBsonRef, RawDocument, RawDocumentBuf};
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::{Error, Result};
use mongodb::options::FindOptions;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::live::content::{Answers, Looked};
use crate::live::met::{Acquaintance, End, Met, News, Walk};
use crate::live::ring::{self, Item, Slot};
use crate::live::{LINGER, LiveMetrics, Shared};
use crate::requests::recorded::{Original, Recorded, Summary};
use crate::store::{LARGEST, LONGEST_URL, Store};

/// A little less than the half second within which a request is to be told, for the query takes time.
const EVERY: Duration = Duration::from_millis(450);
/// What a poll reads at most. More was recorded since the last one only where MongoDB takes 35 000
/// requests a second, or has been away.
const MOST_READ: usize = 16_000;
/// Bytes of content that a poll reads at most. It keeps none of them.
const MOST_CONTENT: usize = 64 << 20;
/// What the first poll reads, for those who come back. It is also how far back a transaction may have
/// begun that commits after it.
const EARLIER: usize = 10_000;
/// Documents in an answer of MongoDB, which has 16 MiB at most.
const BATCH: usize = 500;
const BATCH_WITH_CONTENT: usize = 256;
/// Polls under way: only one, unless that one gets no answer.
const AT_A_TIME: usize = 2;

/// Reads while there are followers, until the end.
pub(super) async fn run(shared: Arc<Shared>, store: Store, metrics: LiveMetrics) {
    let mut changed = shared.changed.subscribe();
    while wait_for_a_follower(&shared, &mut changed).await {
        let tail = Tail {
            shared: &shared,
            store: &store,
            metrics: &metrics,
            met: Arc::default(),
            places: Arc::new(Semaphore::new(AT_A_TIME)),
            last: 0,
        };
        tail.follow(&mut changed).await;
    }
}

/// Whether there is one; otherwise it is over.
async fn wait_for_a_follower(shared: &Shared, changed: &mut watch::Receiver<()>) -> bool {
    loop {
        {
            let state = shared.state();
            if state.closed {
                return false;
            }
            if state.followers > 0 {
                return true;
            }
        }
        if changed.changed().await.is_err() {
            return false;
        }
    }
}

struct Tail<'a> {
    shared: &'a Shared,
    store: &'a Store,
    metrics: &'a LiveMetrics,
    met: Arc<Mutex<Met>>,
    places: Arc<Semaphore>,
    /// How many records the last poll read.
    last: usize,
}

impl Tail<'_> {
    /// Polls until nobody has followed for a while.
    async fn follow(mut self, changed: &mut watch::Receiver<()>) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if self.is_over() {
                return;
            }
            let read = self.poll().await;
            self.metrics.polls.inc();
            if let Err(error) = read {
                self.metrics.failed_polls.inc();
                self.away(&error);
            }
            changed.mark_unchanged();
        }
    }

    /// Whether it is; if so, it leaves nothing behind.
    fn is_over(&self) -> bool {
        let mut state = self.shared.state();
        let is_over = state.closed
            || state.followers == 0 && state.left.is_some_and(|left| left.elapsed() >= LINGER);
        if is_over {
            state.goes_on = false;
            state.away = None;
            state.ring.clear();
        }
        is_over
    }

    fn away(&self, error: &Error) {
        let reason = self.store.describe(error);
        let mut state = self.shared.state();
        if state.away.as_deref() == Some(reason.as_str()) {
            return;
        }
        if state.away.is_none() {
            tracing::warn!(%reason, "the live view can't be read");
        }
        state.away = Some(reason.into());
        drop(state);
        self.shared.tell();
    }

    async fn poll(&mut self) -> Result<()> {
        let (goes_on, looked) = {
            let mut state = self.shared.state();
            (state.goes_on, state.content.look())
        };
        if !looked.is_empty() {
            // Who waited for its filter to be looked at needs to wait no longer.
            self.shared.tell();
        }
        let reading = Arc::new(Reading {
            met: Arc::clone(&self.met),
            limit: if goes_on { MOST_READ } else { EARLIER },
            // Most likely enough, so that one answer is.
            first: self.last + self.last / 2 + 8,
            time: self.store.query_timeout(),
            looked,
        });
        let store = self.store.with_room(reading.room()).await;
        let store = store.map_err(|busy| Error::custom(busy.to_string()))?;
        let places = Arc::clone(&self.places);
        let read = move |requests| {
            let (reading, places) = (Arc::clone(&reading), Arc::clone(&places));
            async move {
                let place = places.try_acquire_owned();
                let _place =
                    place.map_err(|_| Error::custom("MongoDB doesn't answer".to_owned()))?;
                reading.walk(&requests).await
            }
        };
        let walk = store.read(read).await?;
        self.last = walk.records.len();
        self.metrics.read.inc_by(walk.records.len() as u64);
        let news = met(&self.met).take(walk);
        self.publish(goes_on, news);
        Ok(())
    }

    fn publish(&self, goes_on: bool, news: News<(Recorded, Answers)>) {
        let mut state = self.shared.state();
        let is_news = news.missed || !news.new.is_empty() || !goes_on || state.away.is_some();
        if news.missed && goes_on {
            state.ring.push(Slot::Missed);
        }
        for ((recorded, answers), record, extent) in news.new {
            let item = Item::new(recorded, record, extent, answers);
            state.ring.push(Slot::Recorded(Arc::new(item)));
        }
        if !goes_on {
            state.ring.begin();
            state.goes_on = true;
            if state.away.is_some() {
                // Some follow already, and what was recorded since then is among the earlier ones.
                state.ring.push(Slot::Missed);
            }
        }
        if state.away.take().is_some() {
            tracing::info!("the live view can be read again");
        }
        drop(state);
        if is_news {
            self.shared.tell();
        }
    }
}

fn met(met: &Mutex<Met>) -> MutexGuard<'_, Met> {
    met.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a poll reads.
struct Reading {
    met: Arc<Mutex<Met>>,
    /// Records that it reads at most.
    limit: usize,
    /// Those in the first answer.
    first: usize,
    time: Duration,
    looked: Looked,
}

impl Reading {
    async fn walk(
        &self,
        requests: &Collection<RawDocumentBuf>,
    ) -> Result<Walk<(Recorded, Answers)>> {
        let began = Instant::now();
        let mut cursor = requests.find(doc! {}).with_options(self.options()).await?;
        let (mut records, mut end) = (Vec::new(), End::Oldest);
        let (mut read, mut kept, mut content) = (0, 0, 0);
        while cursor.advance().await? {
            let document = cursor.current();
            read += 1;
            content += document.as_bytes().len();
            let Some((id, record)) = names(document)? else {
                continue;
            };
            let acquaintance = met(&self.met).look(&id, record);
            let new = match acquaintance {
                Acquaintance::Settled => {
                    end = End::Settled;
                    break;
                }
                Acquaintance::Known => None,
                Acquaintance::New => {
                    let recorded = Recorded::from_document(document);
                    let answers = Answers::of(&self.looked, &recorded);
                    let recorded = Recorded {
                        headers: Vec::new(),
                        body: Vec::new(),
                        original: Original::default(),
                        ..recorded
                    };
                    kept += ring::bytes(&recorded);
                    Some((recorded, answers))
                }
            };
            records.push((id, record, new));
            // What takes longer than it may would begin anew next time, and take longer still.
            let is_late = began.elapsed() >= self.time / 2;
            if read >= self.limit || kept >= ring::MOST_BYTES || content >= MOST_CONTENT || is_late
            {
                end = End::Bound;
                break;
            }
        }
        Ok(Walk {
            began,
            records,
            end,
        })
    }

    /// What its answers take at a time.
    fn room(&self) -> usize {
        if self.looked.is_empty() {
            LARGEST.min(2 * self.batch() * LONGEST_URL)
        } else {
            LARGEST
        }
    }

    fn batch(&self) -> usize {
        let most = if self.looked.is_empty() {
            BATCH
        } else {
            BATCH_WITH_CONTENT
        };
        self.first.clamp(1, most)
    }

    fn options(&self) -> FindOptions {
        FindOptions::builder()
            .sort(doc! { "$natural": -1 })
            .projection(self.projection())
            .show_record_id(true)
            .batch_size(u32::try_from(self.batch()).ok())
            .max_time(self.time)
            .comment(Bson::from("the console's live view"))
            .build()
    }

    fn projection(&self) -> Document {
        let mut projection = Summary::projection();
        if !self.looked.is_empty() {
            projection.extend(doc! { "headers": 1, "data": 1, "body": 1 });
        }
        projection
    }
}

/// `_id` and record id of a document. One with an `_id` of another kind isn't of our writing, and has
/// no address here.
fn names(document: &RawDocument) -> Result<Option<(ObjectId, i64)>> {
    let value = |name| document.get(name).ok().flatten();
    let Some(RawBsonRef::ObjectId(id)) = value("_id") else {
        return Ok(None);
    };
    match value("$recordId") {
        Some(RawBsonRef::Int64(record)) => Ok(Some((id, record))),
        Some(RawBsonRef::Int32(record)) => Ok(Some((id, record.into()))),
        _ => Err(Error::custom(
            "the collection has no record ids (is it clustered, or a view?)".to_owned(),
        )),
    }
}
