//! Record ids that may yet appear.
//!
//! MongoDB gives out record ids in ascending order, and a transaction's documents appear when it
//! commits: later, perhaps, than others that began after it. Until then there is a hole in the
//! record ids. A hole stays for good where a document was deleted, or refused for its `_id`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::oid::ObjectId;
use tokio::time::Instant;

/// A hole is waited for so long: inserts take milliseconds to commit, unless MongoDB stalls.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Or until so many more were recorded: each poll reads all above the lowest hole.
const OVERTAKEN: i64 = 10_000;

/// A hole: its first and its last record id.
type Hole = (i64, i64);

/// What has been met, by record id: all up to `top`, but for the holes.
#[derive(Debug, Default)]
pub(crate) struct Holes {
    top: i64,
    /// Ascending, with when they were found.
    open: Vec<(Hole, Instant)>,
    /// The same as it is told; made when it is asked for.
    told: Option<Arc<[Hole]>>,
}

impl Holes {
    /// All up to `top` has been met.
    pub(crate) fn from(top: i64) -> Self {
        Self {
            top,
            ..Self::default()
        }
    }

    /// Up to here nothing more will appear.
    pub(crate) fn floor(&self) -> i64 {
        self.open
            .first()
            .map_or(self.top, |((first, _), _)| first - 1)
    }

    pub(crate) fn meet(&mut self, record: i64, now: Instant) {
        if record > self.top {
            if record > self.top + 1 {
                self.open.push(((self.top + 1, record - 1), now));
                self.told = None;
            }
            self.top = record;
            return;
        }
        let place = self.open.partition_point(|((_, last), _)| *last < record);
        let Some(&((first, last), since)) = self.open.get(place) else {
            return;
        };
        if record < first {
            return;
        }
        let parts = [(first, record - 1), (record + 1, last)];
        let parts = parts.into_iter().filter(|(first, last)| first <= last);
        self.open
            .splice(place..=place, parts.map(|part| (part, since)));
        self.told = None;
    }

    /// Gives up on holes that were there too long before `polled`, when it was last looked.
    pub(crate) fn give_up(&mut self, polled: Instant) {
        let before = self.open.len();
        let top = self.top;
        self.open
            .retain(|((_, last), since)| *since + PATIENCE > polled && top - *last <= OVERTAKEN);
        if self.open.len() != before {
            self.told = None;
        }
    }

    /// How far everything has been met, by now, but for the newest [`TOLD`] holes.
    pub(crate) fn extent(&mut self) -> Extent {
        let newest = &self.open[self.open.len().saturating_sub(TOLD)..];
        let told = self
            .told
            .get_or_insert_with(|| newest.iter().map(|(hole, _)| *hole).collect());
        Extent {
            top: self.top,
            open: Arc::clone(told),
        }
    }
}

/// All record ids up to `top`, but for some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    top: i64,
    open: Arc<[Hole]>,
}

impl Extent {
    pub(crate) fn contains(&self, record: i64) -> bool {
        let in_hole = |(first, last): &Hole| (*first..=*last).contains(&record);
        record <= self.top && !self.open.iter().any(in_hole)
    }
}

/// Where a follower was: the last request that it was told and, where that doesn't say it all, what
/// it had been told by then. Text: `ID`, or `ID.TOP.FIRST-LAST.FIRST-LAST…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    pub(crate) id: ObjectId,
    pub(crate) extent: Option<Extent>,
}

/// Holes that are told, the newest: neither a follower's `id:` nor what a request keeps of them should
/// grow without bound.
const TOLD: usize = 8;

impl After {
    /// The follower was told `id`, whose record id is `record`, when all of `extent` had been.
    pub(crate) fn new(id: ObjectId, record: i64, extent: &Extent) -> Self {
        let says_it_all = extent.top == record && extent.open.is_empty();
        Self {
            id,
            extent: (!says_it_all).then(|| extent.clone()),
        }
    }
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        let Some(extent) = &self.extent else {
            return Ok(());
        };
        write!(f, ".{}", extent.top)?;
        for (first, last) in &*extent.open {
            write!(f, ".{first}-{last}")?;
        }
        Ok(())
    }
}

/// It isn't what an event's `id:` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnId;

impl FromStr for After {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let number = |text: &str| text.parse::<i64>().map_err(|_| NotAnId);
        let hole = |text: &str| {
            let (first, last) = text.split_once('-').ok_or(NotAnId)?;
            Ok((number(first)?, number(last)?))
        };
        let mut parts = text.split('.');
        let id = parts.next().and_then(|id| ObjectId::parse_str(id).ok());
        let id = id.ok_or(NotAnId)?;
        let Some(top) = parts.next() else {
            return Ok(Self { id, extent: None });
        };
        let top = number(top)?;
        let open = parts.take(TOLD).map(hole).collect::<Result<_, _>>()?;
        Ok(Self {
            id,
            extent: Some(Extent { top, open }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after_meeting(records: &[i64]) -> Holes {
        let mut holes = Holes::from(0);
        for record in records {
            holes.meet(*record, Instant::now());
        }
        holes
    }

    #[test]
    fn nothing_more_appears_below_the_lowest_hole() {
        assert_eq!(after_meeting(&[1, 2, 3]).floor(), 3);
        assert_eq!(after_meeting(&[1, 2, 5, 9]).floor(), 2);
        assert_eq!(after_meeting(&[1, 2, 5, 9, 4]).floor(), 2);
        assert_eq!(after_meeting(&[1, 2, 5, 9, 4, 3]).floor(), 5);
        assert_eq!(after_meeting(&[3, 2, 1, 2]).floor(), 3);
    }

    #[test]
    fn a_hole_is_not_waited_for_for_ever() {
        let start = Instant::now();
        let mut holes = Holes::from(0);
        holes.meet(2, start);
        holes.meet(4, start + PATIENCE / 2);
        holes.give_up(start + PATIENCE - Duration::from_millis(1));
        assert_eq!(holes.floor(), 0);
        holes.give_up(start + PATIENCE);
        assert_eq!(holes.floor(), 2);
        holes.meet(5 + OVERTAKEN, start + PATIENCE);
        holes.give_up(start + PATIENCE);
        assert_eq!(holes.floor(), 4);
    }

    #[test]
    fn what_was_told_survives_as_text() {
        let id = ObjectId::new();
        let mut holes = after_meeting(&[1, 2, 3]);
        let plain = After::new(id, 3, &holes.extent());
        assert_eq!(plain.to_string(), id.to_hex());
        let late = After::new(id, 2, &holes.extent());
        assert_eq!(late.to_string(), format!("{id}.3"));
        holes.meet(7, Instant::now());
        holes.meet(9, Instant::now());
        holes.meet(5, Instant::now());
        let with_holes = After::new(id, 5, &holes.extent());
        assert_eq!(with_holes.to_string(), format!("{id}.9.4-4.6-6.8-8"));
        for after in [plain, late, with_holes] {
            assert_eq!(after.to_string().parse(), Ok(after));
        }
        let extent = holes.extent();
        let told: Vec<_> = (1..=10).filter(|record| extent.contains(*record)).collect();
        assert_eq!(told, [1, 2, 3, 5, 7, 9]);
    }

    #[test]
    fn other_text_is_no_id() {
        let id = ObjectId::new();
        for text in [
            String::new(),
            "x".into(),
            format!("{id}."),
            format!("{id}.1.2"),
            format!("{id}.1.2-x"),
            format!("{id}0"),
        ] {
            assert_eq!(text.parse::<After>(), Err(NotAnId), "{text}");
        }
    }
}
