//! Who has been without progress for longest, found without looking at everybody.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::{Account, Held};

/// How many that may not go are looked at in search of one that may.
const SEARCHED: usize = 64;

/// Connections by when they made progress last. What it says of one may be old: progress isn't told to
/// it, but looked up when it matters.
#[derive(Debug, Default)]
pub(super) struct Order(BinaryHeap<Reverse<(u64, u64)>>);

impl Order {
    /// Adds a connection, after those that are gone or don't `belong` here any more have been removed
    /// if they are too many.
    pub(super) fn add(
        &mut self,
        account: &Account,
        accounts: &HashMap<u64, Held>,
        belongs: impl Fn(&Held) -> bool,
    ) {
        if self.0.len() > 2 * accounts.len() + 64 {
            let current = accounts.values().filter(|held| belongs(held));
            self.0 = current.map(|held| Reverse(held.account.key())).collect();
        }
        self.0.push(Reverse(account.key()));
    }

    /// Removes and returns the one that is without progress for longest of those that may go. The
    /// others seem younger from then on, so that the next search doesn't meet them again.
    pub(super) fn oldest(
        &mut self,
        now: u64,
        accounts: &HashMap<u64, Held>,
        may_go: impl Fn(&Held) -> bool,
    ) -> Option<u64> {
        let mut others = Vec::new();
        let mut found = None;
        while found.is_none() && others.len() < SEARCHED {
            let Some(Reverse((key, id))) = self.0.pop() else {
                break;
            };
            let held = accounts.get(&id);
            let Some(held) = held.filter(|held| !held.account.is_evicted()) else {
                continue;
            };
            let (progress, _) = held.account.key();
            if progress > key {
                self.0.push(Reverse((progress, id)));
            } else if may_go(held) {
                found = Some(id);
            } else {
                others.push(Reverse((now, id)));
            }
        }
        self.0.extend(others);
        found
    }

    /// Puts one back that [`Self::oldest`] returned.
    pub(super) fn put_back(&mut self, account: &Account) {
        self.0.push(Reverse(account.key()));
    }
}
