//! Somebody who follows: a place in the ring, and a filter.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use futures_util::{FutureExt as _, Stream, StreamExt as _};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::RawBsonRef;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, Result};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::live::ring::{Item, Resumed, Slot};
use crate::live::{After, Event, Seat, State};
use crate::requests::filter::{Filter, Matcher};
use crate::store::Store;

/// Requests that are looked at, and told, at a time, and their bytes: the one with which there are so
/// many is the last.
pub(crate) const CHUNK: usize = 128;
const CHUNK_BYTES: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct Follower {
    seat: Seat,
    /// Where it takes no content: else the tail has the answer.
    matcher: Option<Matcher>,
    changed: watch::Receiver<()>,
    /// Whether it has missed something before all that follows.
    missed: bool,
    /// What comes before what is at `next`.
    earlier: VecDeque<Arc<Item>>,
    next: u64,
    /// Those of the ring that were recorded before its filter was looked at, and that it lets through.
    found: HashSet<ObjectId>,
    /// What it was told last of MongoDB's being away.
    away: Option<Arc<str>>,
}

/// What to do next.
enum Step {
    Tell(Event),
    Look(Vec<Arc<Item>>),
    Wait,
    End,
}

impl Follower {
    /// Waits until the tail goes on, or is known not to.
    pub(super) async fn start(
        seat: Seat,
        store: &Store,
        filter: Filter,
        after: Option<After>,
    ) -> Self {
        let mut changed = seat.shared.changed.subscribe();
        let (resumed, unanswered) = loop {
            if let Some(place) = place(&seat, after.as_ref()) {
                break place;
            }
            if changed.changed().await.is_err() {
                break (None, Vec::new());
            }
        };
        let mut follower = Self {
            missed: resumed.is_none(),
            matcher: seat.content.is_none().then(|| filter.matcher()),
            seat,
            changed,
            earlier: VecDeque::new(),
            next: 0,
            found: HashSet::new(),
            away: None,
        };
        if let Some(resumed) = resumed {
            (follower.earlier, follower.next) = (resumed.earlier, resumed.next);
        } else {
            follower.next = follower.seat.shared.state().ring.end();
        }
        if !unanswered.is_empty() {
            match matching(store, &filter, unanswered).await {
                Ok(found) => follower.found = found,
                Err(_) => follower.missed = true,
            }
        }
        follower
    }

    /// What happens next; nothing once it is over.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            match self.step() {
                Step::Tell(event) => {
                    if matches!(event, Event::Missed) {
                        self.seat.metrics.missed.inc();
                    }
                    return Some(event);
                }
                Step::Look(mut items) => {
                    items.retain(|item| self.lets_through(item));
                    if !items.is_empty() {
                        return Some(Event::Recorded(items));
                    }
                    // It may go on like that for long.
                    tokio::task::yield_now().await;
                }
                Step::Wait => self.changed.changed().await.ok()?,
                Step::End => return None,
            }
        }
    }

    fn step(&mut self) -> Step {
        // What comes after this look is seen by the next.
        self.changed.mark_unchanged();
        let state = self.seat.shared.state();
        if state.closed {
            return Step::End;
        }
        if std::mem::take(&mut self.missed) {
            return Step::Tell(Event::Missed);
        }
        if !self.earlier.is_empty() {
            let some = chunk(self.earlier.iter()).count();
            return Step::Look(self.earlier.drain(..some).collect());
        }
        let Some(slots) = state.ring.read(self.next, CHUNK) else {
            self.next = state.ring.oldest();
            return Step::Tell(Event::Missed);
        };
        let items: Vec<_> = chunk(slots.map_while(Slot::item)).cloned().collect();
        if !items.is_empty() {
            self.next += items.len() as u64;
            return Step::Look(items);
        }
        if self.next < state.ring.end() {
            self.next += 1;
            return Step::Tell(Event::Missed);
        }
        if state.away == self.away {
            return Step::Wait;
        }
        self.away.clone_from(&state.away);
        Step::Tell(self.away.clone().map_or(Event::Back, Event::Away))
    }

    fn lets_through(&self, item: &Item) -> bool {
        if let Some(matcher) = &self.matcher {
            return matcher.matches(item.recorded());
        }
        let number = self.seat.content;
        let answer = number.and_then(|number| item.answers().answer(number));
        answer.unwrap_or_else(|| self.found.contains(&item.summary().id))
    }
}

/// As many of these as are told at a time.
fn chunk<'a>(items: impl Iterator<Item = &'a Arc<Item>>) -> impl Iterator<Item = &'a Arc<Item>> {
    items.take(CHUNK).scan(CHUNK_BYTES, |room, item| {
        let fits = *room > 0;
        *room = room.saturating_sub(item.bytes());
        fits.then_some(item)
    })
}

/// Where it goes on, once that can be said, and what its filter hasn't been asked about from there on.
/// There is no such place where `after` has been forgotten.
fn place(seat: &Seat, after: Option<&After>) -> Option<(Option<Resumed>, Vec<ObjectId>)> {
    let state = seat.shared.state();
    let looks = seat
        .content
        .is_none_or(|number| state.content.is_looked_at(number));
    let is_known = looks && (state.goes_on || state.away.is_some());
    if !is_known && !state.closed {
        return None;
    }
    let resumed = match after {
        Some(after) => state.ring.resume(after),
        None => Some(Resumed {
            earlier: VecDeque::new(),
            next: state.ring.end(),
        }),
    };
    let unanswered = match (seat.content, &resumed) {
        (Some(number), Some(resumed)) => unanswered(&state, number, resumed),
        _ => Vec::new(),
    };
    Some((resumed, unanswered))
}

fn unanswered(state: &State, number: u64, resumed: &Resumed) -> Vec<ObjectId> {
    let later = state.ring.read(resumed.next, usize::MAX);
    let later = later.into_iter().flatten().filter_map(Slot::item);
    let items = resumed.earlier.iter().chain(later);
    items
        .filter(|item| item.answers().answer(number).is_none())
        .map(|item| item.summary().id)
        .collect()
}

/// Which of these a filter lets through, as MongoDB says.
async fn matching(store: &Store, filter: &Filter, ids: Vec<ObjectId>) -> Result<HashSet<ObjectId>> {
    let query = doc! { "$and": [{ "_id": { "$in": ids } }, filter.to_document()] };
    let time = store.query_timeout();
    let find = move |requests: mongodb::Collection<_>| {
        let query: Document = query.clone();
        async move {
            let found = requests.find(query).projection(doc! { "_id": 1 });
            let mut found = found.max_time(time).await?;
            let mut ids = HashSet::new();
            while found.advance().await? {
                if let Ok(Some(RawBsonRef::ObjectId(id))) = found.current().get("_id") {
                    ids.insert(id);
                }
            }
            Ok(ids)
        }
    };
    let place = timeout(time, store.scan()).await;
    let _place = place.map_err(|_| Error::custom("the database is busy"))??;
    store.read(find).await
}

/// The same, but where there is more to tell at once than `most` requests only the newest of them,
/// after [`Event::Skipped`].
pub(crate) fn newest(
    events: impl Stream<Item = Event> + Send,
    most: usize,
) -> impl Stream<Item = Event> + Send {
    let events = Box::pin(events);
    futures_util::stream::unfold(
        (events, VecDeque::new()),
        move |(mut events, mut next)| async move {
            if next.is_empty() {
                gather(&mut events, &mut next, most).await;
            }
            Some((next.pop_front()?, (events, next)))
        },
    )
}

async fn gather(
    events: &mut (impl Stream<Item = Event> + Unpin),
    gathered: &mut VecDeque<Event>,
    most: usize,
) {
    let (mut newest, mut skipped) = (VecDeque::new(), 0);
    let mut event = events.next().await;
    while let Some(Event::Recorded(items)) = event {
        newest.extend(items);
        let surplus = newest.len().saturating_sub(most);
        newest.drain(..surplus);
        skipped += surplus;
        event = events.next().now_or_never().flatten();
    }
    if skipped > 0 {
        gathered.push_back(Event::Skipped(skipped));
    }
    if !newest.is_empty() {
        gathered.push_back(Event::Recorded(newest.into()));
    }
    gathered.extend(event);
}
