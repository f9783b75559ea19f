//! Filters by header or body, of those who follow. The tail reads content only where there are any,
//! looks at each distinct filter once, and keeps the answers in place of the content.

use std::sync::Arc;

use tokio::time::Instant;

use crate::live::LINGER;
use crate::requests::filter::{Filter, Matcher};
use crate::requests::recorded::Recorded;

/// Distinct ones at a time: a bit each in [`Answers`].
const MOST: usize = 64;
/// Bytes of them, as query strings: ready to be searched for, a text takes some hundred times as much.
const MOST_BYTES: usize = 16 << 10;

#[derive(Debug, Default)]
pub(crate) struct ContentFilters {
    used: Vec<Used>,
    /// Numbers are given once.
    next: u64,
}

#[derive(Debug)]
struct Used {
    number: u64,
    filter: Filter,
    bytes: usize,
    matcher: Arc<Matcher>,
    followers: usize,
    left: Instant,
    /// Whether a poll has looked at it: all from then on do.
    is_looked_at: bool,
}

/// The filters that a poll looks at.
#[derive(Debug)]
pub(crate) struct Looked {
    numbers: Arc<[u64]>,
    matchers: Vec<Arc<Matcher>>,
}

/// Which of the filters let a request through.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    looked: Arc<[u64]>,
    yes: u64,
}

impl Looked {
    pub(crate) fn is_empty(&self) -> bool {
        self.matchers.is_empty()
    }
}

impl ContentFilters {
    /// The number of a filter; nothing where there are too many already, or too long ones.
    pub(crate) fn join(&mut self, filter: &Filter) -> Option<u64> {
        self.forget();
        let same = self.used.iter_mut().find(|used| used.filter == *filter);
        if let Some(used) = same {
            used.followers += 1;
            return Some(used.number);
        }
        let bytes = filter.to_query().len();
        while self.used.len() >= MOST || self.bytes() + bytes > MOST_BYTES {
            // Rather than one that somebody wants, one that somebody might.
            let unused = self.used.iter().position(|used| used.followers == 0)?;
            self.used.remove(unused);
        }
        let number = self.next;
        self.next += 1;
        self.used.push(Used {
            number,
            filter: filter.clone(),
            bytes,
            matcher: Arc::new(filter.matcher()),
            followers: 1,
            left: Instant::now(),
            is_looked_at: false,
        });
        Some(number)
    }

    pub(crate) fn leave(&mut self, number: u64) {
        if let Some(used) = self.used.iter_mut().find(|used| used.number == number) {
            used.followers -= 1;
            used.left = Instant::now();
        }
    }

    /// Those that a poll which begins now has to look at.
    pub(crate) fn look(&mut self) -> Looked {
        self.forget();
        for used in &mut self.used {
            used.is_looked_at = true;
        }
        let used = self.used.iter();
        Looked {
            numbers: used.clone().map(|used| used.number).collect(),
            matchers: used.map(|used| Arc::clone(&used.matcher)).collect(),
        }
    }

    /// Whether a poll has begun that looks at it: what comes of that and of all later ones has its
    /// answer.
    pub(crate) fn is_looked_at(&self, number: u64) -> bool {
        let mut used = self.used.iter();
        used.any(|used| used.number == number && used.is_looked_at)
    }

    fn bytes(&self) -> usize {
        self.used.iter().map(|used| used.bytes).sum()
    }

    fn forget(&mut self) {
        self.used
            .retain(|used| used.followers > 0 || used.left.elapsed() < LINGER);
    }
}

impl Answers {
    pub(crate) fn of(looked: &Looked, recorded: &Recorded) -> Self {
        let through = |(place, matcher): (usize, &Arc<Matcher>)| {
            u64::from(matcher.matches(recorded)) << place
        };
        Self {
            looked: Arc::clone(&looked.numbers),
            yes: looked.matchers.iter().enumerate().map(through).sum(),
        }
    }

    /// What the filter of this number says; nothing where it wasn't asked.
    pub(crate) fn answer(&self, number: u64) -> Option<bool> {
        let place = self.looked.iter().position(|other| *other == number)?;
        Some(self.yes >> place & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(number: usize, length: usize) -> Filter {
        let query = format!("body={number:0length$}");
        Filter::from_query(&query).unwrap().0
    }

    #[test]
    fn there_are_many_short_filters_or_few_long_ones() {
        let mut short = ContentFilters::default();
        for number in 0..MOST {
            assert!(short.join(&filter(number, 100)).is_some());
        }
        assert_eq!(short.join(&filter(MOST, 100)), None);
        let mut long = ContentFilters::default();
        let numbers: Vec<_> = (0..MOST)
            .map_while(|number| long.join(&filter(number, 1000)))
            .collect();
        assert_eq!(numbers.len(), 16);
        // The same again is no further one, and one that nobody follows makes room.
        assert_eq!(long.join(&filter(0, 1000)), Some(numbers[0]));
        long.leave(numbers[1]);
        assert!(long.join(&filter(MOST, 1000)).is_some());
    }
}
