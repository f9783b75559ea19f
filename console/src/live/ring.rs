//! The last requests that were recorded, in the order in which they are told.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, OnceLock};

use mongodb::bson::oid::ObjectId;

use crate::export;
use crate::live::content::Answers;
use crate::live::holes::{After, Extent};
use crate::requests::recorded::{Recorded, Summary};

/// Requests, and bytes of them, that are kept at most.
pub(crate) const MOST: usize = 16_384;
pub(crate) const MOST_BYTES: usize = 12 << 20;

/// A request that was recorded, as followers are told of it.
#[derive(Debug)]
pub struct Item {
    /// Without header fields and body, of which `answers` is what is left.
    recorded: Recorded,
    record: i64,
    extent: Extent,
    answers: Answers,
    json: OnceLock<String>,
}

/// What is in the ring.
#[derive(Clone, Debug)]
pub(crate) enum Slot {
    Recorded(Arc<Item>),
    /// Here some are missing.
    Missed,
}

/// Its places have numbers, which only grow.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    slots: VecDeque<Slot>,
    first: u64,
    /// What is before this was recorded before the tail began, and is in natural order.
    began: u64,
    places: HashMap<ObjectId, u64>,
    bytes: usize,
}

/// Where one who comes back goes on.
#[derive(Debug)]
pub(crate) struct Resumed {
    pub(crate) next: u64,
    /// What it was told already of what comes from there on.
    pub(crate) told: Places,
}

/// Places of a ring, a bit each: what a follower keeps has to be small, for there are many.
#[derive(Debug, Default)]
pub(crate) struct Places {
    from: u64,
    bits: Vec<u64>,
}

impl Places {
    /// None yet, of those from here on.
    pub(crate) fn from(from: u64) -> Self {
        Self {
            from,
            bits: Vec::new(),
        }
    }

    pub(crate) fn insert(&mut self, place: u64) {
        let Some((word, bit)) = self.at(place) else {
            return;
        };
        if word >= self.bits.len() {
            self.bits.resize(word + 1, 0);
        }
        self.bits[word] |= bit;
    }

    pub(crate) fn contains(&self, place: u64) -> bool {
        let at = self.at(place);
        at.is_some_and(|(word, bit)| self.bits.get(word).is_some_and(|bits| bits & bit != 0))
    }

    fn at(&self, place: u64) -> Option<(usize, u64)> {
        let index = place.checked_sub(self.from)?;
        let word = usize::try_from(index / 64).ok()?;
        Some((word, 1 << (index % 64)))
    }
}

impl Slot {
    pub(crate) fn item(&self) -> Option<&Arc<Item>> {
        match self {
            Self::Recorded(item) => Some(item),
            Self::Missed => None,
        }
    }
}

impl Item {
    pub(crate) fn new(recorded: Recorded, record: i64, extent: Extent, answers: Answers) -> Self {
        Self {
            recorded,
            record,
            extent,
            answers,
            json: OnceLock::new(),
        }
    }

    pub fn summary(&self) -> &Summary {
        &self.recorded.summary
    }

    /// The summary as JSON: made once for all who follow.
    pub fn json(&self) -> &str {
        self.json.get_or_init(|| export::json::line(self.summary()))
    }

    /// From here one goes on who was told this last.
    pub fn after(&self) -> After {
        After::new(self.summary().id, self.record, &self.extent)
    }

    pub(crate) fn recorded(&self) -> &Recorded {
        &self.recorded
    }

    pub(crate) fn answers(&self) -> &Answers {
        &self.answers
    }

    pub(crate) fn bytes(&self) -> usize {
        bytes(&self.recorded)
    }
}

/// What a request takes in the ring, about: its text twice, for there is JSON of it too.
pub(crate) fn bytes(recorded: &Recorded) -> usize {
    let Summary {
        method,
        url,
        remote_addr,
        ..
    } = &recorded.summary;
    size_of::<Item>() + 256 + 2 * (method.len() + url.len() + remote_addr.len())
}

impl Ring {
    /// The place after the last.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    /// What is in it by now was recorded before the tail began.
    pub(crate) fn begin(&mut self) {
        self.began = self.end();
    }

    pub(crate) fn push(&mut self, slot: Slot) {
        if let Slot::Recorded(item) = &slot {
            self.bytes += item.bytes();
            self.places.insert(item.summary().id, self.end());
        }
        self.slots.push_back(slot);
        while self.slots.len() > MOST || self.bytes > MOST_BYTES {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(Slot::Recorded(item)) = self.slots.pop_front() {
            self.bytes -= item.bytes();
            self.places.remove(&item.summary().id);
        }
        self.first += 1;
    }

    /// Forgets all. Places go on where they were.
    pub(crate) fn clear(&mut self) {
        self.first = self.end();
        self.slots = VecDeque::new();
        self.places = HashMap::new();
        self.bytes = 0;
        self.begin();
    }

    /// Up to `limit` from a place on; nothing where that has been forgotten.
    pub(crate) fn read(&self, from: u64, limit: usize) -> Option<impl Iterator<Item = &Slot>> {
        let skipped = usize::try_from(from.checked_sub(self.first)?).ok()?;
        let from = skipped.min(self.slots.len());
        let to = from.saturating_add(limit).min(self.slots.len());
        Some(self.slots.range(from..to))
    }

    /// The oldest place that is there.
    pub(crate) fn oldest(&self) -> u64 {
        self.first
    }

    /// Where one goes on who was told `after` last; nothing where that isn't there.
    pub(crate) fn resume(&self, after: &After) -> Option<Resumed> {
        let place = *self.places.get(&after.id)?;
        if place >= self.began {
            return Some(Resumed::at(place + 1));
        }
        // In natural order, which isn't quite the order in which it was told.
        let mut resumed = Resumed::at(self.first);
        for (at, slot) in (self.first..self.began).zip(&self.slots) {
            let was_told = match (slot, &after.extent) {
                (Slot::Missed, _) => true,
                (Slot::Recorded(item), Some(extent)) => extent.contains(item.record),
                (Slot::Recorded(_), None) => at <= place,
            };
            if was_told {
                resumed.told.insert(at);
            }
        }
        Some(resumed)
    }
}

impl Resumed {
    /// It was told nothing of what comes from there on.
    pub(crate) fn at(next: u64) -> Self {
        Self {
            next,
            told: Places::from(next),
        }
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::DateTime;

    use super::*;
    use crate::live::content::ContentFilters;
    use crate::live::holes::Holes;
    use crate::requests::filter::Filter;
    use crate::requests::recorded::Original;

    /// A request with this record id, after those before it.
    fn item(record: i64, url: &str) -> Slot {
        let recorded = Recorded {
            summary: Summary {
                id: ObjectId::new(),
                received_at: DateTime::now(),
                method: "GET".to_owned(),
                url: url.to_owned(),
                remote_addr: String::new(),
                body_bytes: 0,
            },
            headers: Vec::new(),
            body: Vec::new(),
            is_exact: true,
            original: Original::default(),
        };
        let extent = Holes::from(record).extent();
        let answers = Answers::of(&ContentFilters::default().look(), &recorded);
        Slot::Recorded(Arc::new(Item::new(recorded, record, extent, answers)))
    }

    fn records<'a>(slots: impl IntoIterator<Item = &'a Slot>) -> Vec<i64> {
        let items = slots.into_iter().filter_map(Slot::item);
        items.map(|item| item.record).collect()
    }

    /// What one who goes on there is told.
    fn untold(ring: &Ring, after: &After) -> Vec<i64> {
        let Resumed { next, told } = ring.resume(after).unwrap();
        let slots = (next..).zip(ring.read(next, usize::MAX).unwrap());
        let untold = slots.filter(|(place, _)| !told.contains(*place));
        records(untold.map(|(_, slot)| slot))
    }

    fn after(slot: &Slot) -> After {
        slot.item().unwrap().after()
    }

    #[test]
    fn who_is_too_slow_finds_its_place_gone() {
        let mut ring = Ring::default();
        let place = ring.end();
        for record in 1..=i64::try_from(MOST).unwrap() {
            ring.push(item(record, ""));
        }
        assert_eq!(ring.read(place, usize::MAX).unwrap().count(), MOST);
        ring.push(item(0, ""));
        assert!(ring.read(place, 1).is_none());
        assert_eq!(records(ring.read(ring.oldest(), 1).unwrap()), [2]);
        assert_eq!(ring.read(ring.end(), 1).unwrap().count(), 0);
    }

    #[test]
    fn long_urls_make_it_shorter() {
        let mut ring = Ring::default();
        let long = "x".repeat(64 << 10);
        for record in 0..1_000 {
            ring.push(item(record, &long));
        }
        let kept = ring.read(ring.oldest(), usize::MAX).unwrap().count();
        assert!((80..=96).contains(&kept), "{kept}");
    }

    #[test]
    fn who_comes_back_goes_on_after_what_it_was_told() {
        let mut ring = Ring::default();
        let slots: Vec<_> = (1..=4).map(|record| item(record, "")).collect();
        for slot in &slots {
            ring.push(slot.clone());
        }
        assert_eq!(untold(&ring, &after(&slots[1])), [3, 4]);
        ring.clear();
        assert!(ring.resume(&after(&slots[1])).is_none());
    }

    #[test]
    fn places_are_few_bytes_for_all_of_a_ring() {
        let begin = u64::MAX - 2 * u64::try_from(MOST).unwrap();
        let mut places = Places::from(begin);
        let all = begin..begin + u64::try_from(MOST).unwrap();
        for place in all.clone().step_by(3) {
            places.insert(place);
        }
        for place in begin - 1..=all.end {
            let expected = all.contains(&place) && (place - begin).is_multiple_of(3);
            assert_eq!(places.contains(place), expected, "{}", place - begin);
        }
        assert!(size_of_val(&*places.bits) <= 2 << 10);
    }

    #[test]
    fn after_a_restart_it_gets_what_had_not_appeared_by_then() {
        let mut ring = Ring::default();
        let slots: Vec<_> = (1..=6).map(|record| item(record, "")).collect();
        for slot in &slots {
            ring.push(slot.clone());
        }
        ring.begin();
        ring.push(item(7, ""));
        let id = slots[3].item().unwrap().summary().id;
        assert_eq!(untold(&ring, &After { id, extent: None }), [5, 6, 7]);
        let holes: After = format!("{id}.5.2-3").parse().unwrap();
        assert_eq!(untold(&ring, &holes), [2, 3, 6, 7]);
    }

    #[test]
    fn answers_are_those_of_the_filters_that_were_asked() {
        let mut filters = ContentFilters::default();
        let (with, _) = Filter::from_query("body=needle").unwrap();
        let (without, _) = Filter::from_query("body=other").unwrap();
        let first = filters.join(&with).unwrap();
        assert_eq!(filters.join(&with), Some(first));
        assert!(!filters.is_looked_at(first));
        let looked = filters.look();
        assert!(filters.is_looked_at(first));
        let second = filters.join(&without).unwrap();
        let Slot::Recorded(found) = item(1, "") else {
            unreachable!("it is one");
        };
        let mut recorded = found.recorded().clone();
        recorded.body = b"a needle".to_vec();
        let answers = Answers::of(&looked, &recorded);
        assert_eq!(answers.answer(first), Some(true));
        assert_eq!(answers.answer(second), None);
    }
}
