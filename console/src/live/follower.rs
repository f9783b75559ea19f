//! Somebody who follows: a place in the ring, and a filter.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, Stream, StreamExt as _};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::RawBsonRef;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, Result};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::live::ring::{Item, Places, Resumed, Slot};
use crate::live::{After, Event, Seat, State};
use crate::requests::filter::{Filter, Matcher};
use crate::store::Store;

/// Requests that are looked at, and told, at a time, and their bytes: the one with which there are so
/// many is the last.
pub(crate) const CHUNK: usize = 128;
const CHUNK_BYTES: usize = 64 << 10;
/// Ids that MongoDB is asked about at a time.
const ASKED: usize = 1024;

#[derive(Debug)]
pub(crate) struct Follower {
    seat: Seat,
    /// Where it takes no content: else the tail has the answer.
    matcher: Option<Matcher>,
    changed: watch::Receiver<()>,
    /// Whether it has missed something before all that follows.
    missed: bool,
    next: u64,
    /// What it was told before it came back.
    told: Places,
    /// What was recorded before its filter was looked at, and is let through by it.
    found: Places,
    /// What it was told last of MongoDB's being away.
    away: Option<Arc<str>>,
}

/// What to do next.
enum Step {
    Tell(Event),
    /// From this place on.
    Look(u64, Vec<Arc<Item>>),
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
        let resumed = loop {
            if let Some(resumed) = place(&seat, after.as_ref()) {
                break resumed;
            }
            if changed.changed().await.is_err() {
                break None;
            }
        };
        let mut missed = resumed.is_none();
        let resumed = resumed.unwrap_or_else(|| Resumed::at(seat.shared.state().ring.end()));
        let mut found = Places::from(resumed.next);
        if let Some(number) = seat.content
            && find(&seat, store, &filter, number, &resumed, &mut found)
                .await
                .is_err()
        {
            missed = true;
        }
        Self {
            missed,
            matcher: seat.content.is_none().then(|| filter.matcher()),
            seat,
            changed,
            next: resumed.next,
            told: resumed.told,
            found,
            away: None,
        }
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
                Step::Look(from, items) => {
                    let items = (from..).zip(items);
                    let items = items.filter(|(place, item)| self.lets_through(*place, item));
                    let items: Vec<_> = items.map(|(_, item)| item).collect();
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
        let Some(slots) = state.ring.read(self.next, CHUNK) else {
            self.next = state.ring.oldest();
            return Step::Tell(Event::Missed);
        };
        let items: Vec<_> = chunk(slots.map_while(Slot::item)).cloned().collect();
        if !items.is_empty() {
            let from = self.next;
            self.next += items.len() as u64;
            return Step::Look(from, items);
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

    fn lets_through(&self, place: u64, item: &Item) -> bool {
        if self.told.contains(place) {
            return false;
        }
        if let Some(matcher) = &self.matcher {
            return matcher.matches(item.recorded());
        }
        let number = self.seat.content;
        let answer = number.and_then(|number| item.answers().answer(number));
        answer.unwrap_or_else(|| self.found.contains(place))
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

/// Where it goes on, once that can be said. There is no such place where `after` has been forgotten.
fn place(seat: &Seat, after: Option<&After>) -> Option<Option<Resumed>> {
    let state = seat.shared.state();
    let looks = seat
        .content
        .is_none_or(|number| state.content.is_looked_at(number));
    let is_known = looks && (state.goes_on || state.away.is_some());
    if !is_known && !state.closed {
        return None;
    }
    Some(match after {
        Some(after) => state.ring.resume(after),
        None => Some(Resumed::at(state.ring.end())),
    })
}

/// What a filter hasn't been asked about from there on.
fn unanswered(
    state: &State,
    number: u64,
    resumed: &Resumed,
) -> impl Iterator<Item = (ObjectId, u64)> {
    let slots = state.ring.read(resumed.next, usize::MAX);
    let slots = (resumed.next..).zip(slots.into_iter().flatten());
    slots.filter_map(move |(place, slot)| {
        let item = slot.item()?;
        let is_asked = !resumed.told.contains(place) && item.answers().answer(number).is_none();
        is_asked.then(|| (item.summary().id, place))
    })
}

/// Which of these it lets through, as MongoDB says. Only those who have a place to ask from keep a
/// list of them, and there are few of these places.
async fn find(
    seat: &Seat,
    store: &Store,
    filter: &Filter,
    number: u64,
    resumed: &Resumed,
    found: &mut Places,
) -> Result<()> {
    let is_answered = unanswered(&seat.shared.state(), number, resumed)
        .next()
        .is_none();
    if is_answered {
        return Ok(());
    }
    let deadline = Instant::now() + store.query_timeout();
    let place = timeout_at(deadline, store.scan()).await;
    let _place = place.map_err(|_| Error::custom("the database is busy"))??;
    let places: HashMap<_, _> = unanswered(&seat.shared.state(), number, resumed).collect();
    let ids: Vec<_> = places.keys().copied().collect();
    for ids in ids.chunks(ASKED) {
        let time = deadline.saturating_duration_since(Instant::now());
        for id in matching(store, filter, ids, time).await? {
            if let Some(place) = places.get(&id) {
                found.insert(*place);
            }
        }
    }
    Ok(())
}

async fn matching(
    store: &Store,
    filter: &Filter,
    ids: &[ObjectId],
    time: Duration,
) -> Result<Vec<ObjectId>> {
    if time.is_zero() {
        return Err(Error::custom("the time is up"));
    }
    let query = doc! { "$and": [{ "_id": { "$in": ids } }, filter.to_document()] };
    let find = move |requests: mongodb::Collection<_>| {
        let query: Document = query.clone();
        async move {
            let found = requests.find(query).projection(doc! { "_id": 1 });
            let mut found = found.max_time(time).await?;
            let mut ids = Vec::new();
            while found.advance().await? {
                if let Ok(Some(RawBsonRef::ObjectId(id))) = found.current().get("_id") {
                    ids.push(id);
                }
            }
            Ok(ids)
        }
    };
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
