//! Which records the tail has met, so that it knows a new one, and where it may stop.

use std::collections::{HashMap, VecDeque};

use mongodb::bson::oid::ObjectId;
use tokio::time::Instant;

use crate::live::holes::{Extent, Holes, PATIENCE};

/// Ids that are remembered: several times what a poll reads at most, since what it reads must not have
/// been forgotten.
const REMEMBERED: usize = 65_536;

#[derive(Debug, Default)]
pub(crate) struct Met {
    ids: HashMap<ObjectId, Meeting>,
    order: VecDeque<ObjectId>,
    holes: Holes,
    /// When the last walk began.
    walked: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Meeting {
    record: i64,
    at: Instant,
}

/// What a record is to the tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acquaintance {
    New,
    Known,
    /// Known, and nothing new can be below.
    Settled,
}

/// The way back from the newest record.
#[derive(Debug)]
pub(crate) struct Walk<T> {
    /// When it began.
    pub(crate) began: Instant,
    /// The newest first; what came with those that were new.
    pub(crate) records: Vec<(ObjectId, i64, Option<T>)>,
    pub(crate) end: End,
}

/// Why a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// At a record that is settled.
    Settled,
    /// At the oldest record.
    Oldest,
    /// It had read as much as it may.
    Bound,
}

/// What came of a walk.
#[derive(Debug)]
pub(crate) struct News<T> {
    /// The oldest first, each with its record id and with what had been met once it was.
    pub(crate) new: Vec<(T, i64, Extent)>,
    /// Whether there may be more, which it didn't get to.
    pub(crate) missed: bool,
}

impl Met {
    pub(crate) fn look(&self, id: &ObjectId, record: i64) -> Acquaintance {
        let settled = match self.ids.get(id) {
            None => return Acquaintance::New,
            Some(meeting) if meeting.record == record => record <= self.holes.floor(),
            // Another member of the replica set has become primary, where each has another record
            // id and place.
            Some(meeting) => self
                .walked
                .is_some_and(|walked| meeting.at + PATIENCE <= walked),
        };
        if settled {
            Acquaintance::Settled
        } else {
            Acquaintance::Known
        }
    }

    /// Takes note of a walk.
    pub(crate) fn take<T>(&mut self, walk: Walk<T>) -> News<T> {
        let Walk {
            began,
            records,
            end,
        } = walk;
        let floor = self.holes.floor();
        // Below what is settled there is nothing new, unless record ids mean something else now: the
        // collection has been created again; or MongoDB lost what wasn't in its journal when it was
        // killed, and gives out those record ids again.
        let is_below = |(_, record, new): &(_, i64, Option<T>)| new.is_some() && *record <= floor;
        let new_below = records.iter().any(is_below);
        let has_moved = records.iter().any(|(id, record, _)| {
            let meeting = self.ids.get(id);
            meeting.is_some_and(|meeting| meeting.record != *record)
        });
        let lowest = records.last().map_or(1, |(_, record, _)| *record);
        let is_empty = records.is_empty() && end == End::Oldest;
        // At the oldest record it can't be told whether those are new, or whether all that were
        // known have been deleted.
        let missed = match end {
            End::Settled => false,
            End::Oldest => new_below,
            End::Bound => true,
        };
        if missed || new_below || has_moved || is_empty {
            self.holes = Holes::from(lowest - 1);
        }
        let mut news = News {
            new: Vec::new(),
            missed,
        };
        for (id, record, new) in records.into_iter().rev() {
            self.holes.meet(record, began);
            self.remember(id, record, began);
            if let Some(new) = new
                && (!missed || record > floor)
            {
                news.new.push((new, record, self.holes.extent()));
            }
        }
        self.holes.give_up(self.walked.unwrap_or(began));
        self.walked = Some(began);
        news
    }

    fn remember(&mut self, id: ObjectId, record: i64, at: Instant) {
        if let Some(meeting) = self.ids.get_mut(&id) {
            meeting.record = record;
            return;
        }
        self.ids.insert(id, Meeting { record, at });
        self.order.push_back(id);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    /// What a poll reads at most.
    const LIMIT: usize = 5_000;

    /// What is visible in a collection, by record id.
    type Visible = BTreeMap<i64, ObjectId>;

    fn walk(met: &Met, visible: &Visible, limit: usize, began: Instant) -> Walk<ObjectId> {
        let (mut records, mut end) = (Vec::new(), End::Oldest);
        for (record, id) in visible.iter().rev() {
            let new = match met.look(id, *record) {
                Acquaintance::Settled => {
                    end = End::Settled;
                    break;
                }
                Acquaintance::Known => None,
                Acquaintance::New => Some(*id),
            };
            records.push((*id, *record, new));
            if records.len() == limit {
                end = End::Bound;
                break;
            }
        }
        Walk {
            began,
            records,
            end,
        }
    }

    /// The ids that a poll finds, and whether it missed some.
    fn poll(met: &mut Met, visible: &Visible, began: Instant) -> (Vec<ObjectId>, bool) {
        let walk = walk(met, visible, LIMIT, began);
        let news = met.take(walk);
        let new = news.new.into_iter().map(|(id, _, _)| id).collect();
        (new, news.missed)
    }

    fn some(records: impl IntoIterator<Item = i64>) -> Visible {
        let records = records.into_iter();
        records.map(|record| (record, ObjectId::new())).collect()
    }

    #[test]
    fn each_is_found_once_in_whatever_order_they_appear() {
        for seed in 0..40 {
            let mut random = StdRng::seed_from_u64(seed);
            let start = Instant::now();
            let earlier = random.random_range(0..30);
            let mut visible = some(1..=earlier);
            let mut met = Met::default();
            poll(&mut met, &visible, start);
            let mut next = earlier + 1;
            // Transactions under way: when each commits, and what it writes.
            let mut open: Vec<(u64, Visible)> = Vec::new();
            let (mut found, mut written) = (Vec::new(), Vec::new());
            for turn in 1..100 {
                for _ in 0..random.random_range(0..4) {
                    let count = random.random_range(1..20);
                    let batch = some(next..next + count);
                    next += count;
                    // Some never commit.
                    let waits = random.random_range(0..21);
                    if waits < 20 {
                        open.push((turn + waits, batch));
                    }
                }
                let (done, rest) = open.into_iter().partition(|(commits, _)| *commits <= turn);
                open = rest;
                for (_, batch) in done {
                    written.extend(batch.values().copied());
                    visible.extend(batch);
                }
                let (new, missed) = poll(
                    &mut met,
                    &visible,
                    start + turn_length() * u32::try_from(turn).unwrap(),
                );
                assert!(!missed);
                found.extend(new);
            }
            found.sort();
            written.sort();
            assert_eq!(found, written, "seed {seed}");
        }
    }

    fn turn_length() -> Duration {
        Duration::from_millis(450)
    }

    #[test]
    fn a_walk_ends_at_the_newest_where_nothing_is_under_way() {
        let (mut met, visible) = (Met::default(), some(1..=500));
        poll(&mut met, &visible, Instant::now());
        for _ in 0..3 {
            let walk = walk(&met, &visible, LIMIT, Instant::now());
            assert!(walk.records.is_empty() && walk.end == End::Settled);
            met.take(walk);
        }
    }

    #[test]
    fn more_than_may_be_read_is_missed_and_the_newest_are_found() {
        let (mut met, mut visible) = (Met::default(), some(1..=10));
        poll(&mut met, &visible, Instant::now());
        visible.extend(some(11..=9_000));
        let (new, missed) = poll(&mut met, &visible, Instant::now());
        assert!(missed);
        assert!(new.iter().eq(visible.range(4_001..).map(|(_, id)| id)));
        visible.extend(some(9_001..=9_002));
        let (new, missed) = poll(&mut met, &visible, Instant::now());
        assert!(!missed);
        assert!(new.iter().eq(visible.range(9_001..).map(|(_, id)| id)));
    }

    #[test]
    fn a_collection_may_come_into_being_and_be_emptied() {
        let mut met = Met::default();
        assert_eq!(
            poll(&mut met, &Visible::new(), Instant::now()),
            (vec![], false)
        );
        let visible = some(1..=3);
        let (new, missed) = poll(&mut met, &visible, Instant::now());
        assert!(new.iter().eq(visible.values()) && !missed);
        assert_eq!(
            poll(&mut met, &Visible::new(), Instant::now()),
            (vec![], false)
        );
        let visible = some(1..=2);
        let (new, missed) = poll(&mut met, &visible, Instant::now());
        assert!(new.iter().eq(visible.values()) && !missed);
    }

    #[test]
    fn a_record_id_that_is_given_out_again_is_new() {
        let (mut met, mut visible) = (Met::default(), some(1..=10));
        poll(&mut met, &visible, Instant::now());
        // Killed before these were in the journal; others take their place.
        visible.retain(|record, _| *record <= 8);
        visible.extend(some([9]));
        let (new, missed) = poll(&mut met, &visible, Instant::now());
        assert!(new == [visible[&9]] && !missed);
        visible.extend(some(10..=12));
        let (new, missed) = poll(&mut met, &visible, Instant::now());
        assert!(new.iter().eq(visible.range(10..).map(|(_, id)| id)) && !missed);
    }

    #[test]
    fn a_collection_that_was_created_again_is_told_of_as_missed() {
        let (mut met, visible) = (Met::default(), some(1..=10));
        poll(&mut met, &visible, Instant::now());
        let mut visible = some(1..=5);
        assert_eq!(poll(&mut met, &visible, Instant::now()), (vec![], true));
        visible.extend(some([6]));
        assert_eq!(
            poll(&mut met, &visible, Instant::now()),
            (vec![visible[&6]], false)
        );
    }

    #[test]
    fn another_member_has_other_record_ids() {
        let start = Instant::now();
        let (mut met, visible) = (Met::default(), some(1..=100));
        poll(&mut met, &visible, start);
        let old = start + PATIENCE;
        let mut more = visible.clone();
        more.extend(some(101..=110));
        poll(&mut met, &more, old + PATIENCE);
        // There the last ten have another order, and one of them came late.
        let mut other: Visible = visible
            .into_iter()
            .map(|(record, id)| (record + 7, id))
            .collect();
        let late = ObjectId::new();
        other.insert(108, late);
        let moved = more.range(101..).rev().map(|(_, id)| *id);
        other.extend((109..).zip(moved));
        assert_eq!(poll(&mut met, &other, old + PATIENCE), (vec![late], false));
    }
}
