//! The last requests that were recorded, in the order in which they are told.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, OnceLock};

use mongodb::bson::oid::ObjectId;

use crate::live::content::Answers;
use crate::live::holes::{After, Extent};
use crate::requests::recorded::{Recorded, Summary};

/// Requests, and bytes of them, that are kept at most.
pub(crate) const MOST: usize = 32_768;
pub(crate) const MOST_BYTES: usize = 8 << 20;

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
    /// What was recorded before the tail began.
    pub(crate) earlier: VecDeque<Arc<Item>>,
    pub(crate) next: u64,
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
        self.json
            .get_or_init(|| serde_json::to_string(self.summary()).unwrap_or_default())
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

    fn bytes(&self) -> usize {
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
        let mut earlier = VecDeque::new();
        if place >= self.began {
            return Some(Resumed {
                earlier,
                next: place + 1,
            });
        }
        // In natural order, which isn't quite the order in which it was told.
        let before = usize::try_from(self.began.saturating_sub(self.first)).ok()?;
        let at = usize::try_from(place - self.first).ok()?;
        for (index, slot) in self.slots.iter().enumerate().take(before) {
            let Slot::Recorded(item) = slot else { continue };
            let was_told = match &after.extent {
                Some(extent) => extent.contains(item.record),
                None => index <= at,
            };
            if !was_told {
                earlier.push_back(Arc::clone(item));
            }
        }
        Some(Resumed {
            earlier,
            next: self.began,
        })
    }
}
