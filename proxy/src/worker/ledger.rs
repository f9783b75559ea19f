//! What each of a worker's connections holds, and which of them has to go when that is too much.
//!
//! Whoever asks for more is given it; the place is made by others: by clients that hold most and do
//! least. In this order:
//!
//! 1. those of networks that have much more than others of what there is to share, so that a few
//!    clients can't have it all;
//! 2. those that have had time to move something and haven't;
//! 3. of these, those that have never been answered: whoever only begins requests has never been;
//! 4. those that have moved nothing for longest. A few bytes now and then are no movement.
//!
//! Who waits for the upstream isn't slow itself and comes after these, and after it only those of other
//! networks that have just come or wait, too. It never loses its place to a new connection, unless it
//! waits in line and its network has much more than the newcomer's; otherwise that one is turned away. A part of the memory is kept for connections that hold
//! little, whatever those do that hold much.
//!
//! The numbers are moved when the decision falls, not when the connection has ended, which is a
//! moment later: otherwise everybody in between would be asked to go, too.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicBool, AtomicU8, AtomicU64, AtomicUsize,
            Ordering::{AcqRel, Acquire, Relaxed},
        },
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

/// Up to this, a connection's buffers are small: a usual request with its response.
const SMALL: usize = 64 << 10;
/// Most connections that go at once to make room for new ones: finding one costs as much.
const BATCH: usize = 16;
/// What counts as movement, in bytes.
const MOVEMENT: u64 = 1 << 10;
/// Whoever has moved something, or whose turn has begun, within this time is let be if possible.
const FRESH: Duration = Duration::from_secs(1);
/// Who has held a connection to the upstream for so long without a movement has to give it up to
/// others that wait for one.
const STALLED: Duration = Duration::from_millis(500);

/// Whose turn it is on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Turn {
    /// The client's, to begin a request.
    Idle,
    /// The client's, to go on with a request, or to take more of a response.
    Client,
    /// Somebody else's, in the line for the upstream.
    Line,
    /// The upstream's, or ours.
    Upstream,
}

impl Turn {
    const fn of(number: u8) -> Self {
        match number {
            0 => Self::Idle,
            1 => Self::Client,
            2 => Self::Line,
            _ => Self::Upstream,
        }
    }
}

/// Why connections were closed.
#[derive(Debug, Default)]
pub(crate) struct Evictions {
    pub(crate) connections: AtomicU64,
    pub(crate) memory: AtomicU64,
    /// For connections to the upstream.
    pub(crate) upstream: AtomicU64,
}

/// The accounts of one worker's connections.
#[derive(Debug)]
pub(crate) struct Ledger {
    max_connections: usize,
    max_held: usize,
    /// Bytes that all hold, and those that hold more than [`SMALL`].
    held: AtomicUsize,
    held_large: AtomicUsize,
    /// Those that may be asked to go; each knows its position.
    entries: Mutex<Vec<Arc<Entry>>>,
    /// What times count from.
    epoch: Instant,
    /// Counters for the metrics.
    pub(crate) evictions: Evictions,
}

#[derive(Debug)]
struct Entry {
    network: IpAddr,
    position: AtomicUsize,
    held: AtomicUsize,
    turn: AtomicU8,
    /// Milliseconds since the epoch at which it last moved, or its turn changed.
    since: AtomicU64,
    /// Whether a request has been answered.
    served: AtomicBool,
    /// Whether it has a connection to the upstream.
    has_upstream: AtomicBool,
    evicted: AtomicBool,
    waker: AtomicWaker,
}

/// A connection's account; closed when dropped.
#[derive(Debug)]
pub(crate) struct Account {
    ledger: Arc<Ledger>,
    entry: Arc<Entry>,
    /// Bytes that had moved when that last counted as movement.
    moved: u64,
    /// Bytes that it holds whatever it does.
    always: usize,
}

impl Ledger {
    /// An empty ledger that allows for so many connections, and for so many bytes that they hold.
    pub(crate) fn new(max_connections: usize, max_held: usize) -> Arc<Self> {
        Arc::new(Self {
            max_connections,
            max_held,
            held: AtomicUsize::new(0),
            held_large: AtomicUsize::new(0),
            entries: Mutex::default(),
            epoch: Instant::now(),
            evictions: Evictions::default(),
        })
    }

    /// An account for a new connection from `peer`; others make room if they have to. `None` if none
    /// of them can.
    pub(crate) fn open(self: &Arc<Self>, peer: IpAddr) -> Option<Account> {
        let network = network_of(peer);
        let mut entries = self.entries();
        if entries.len() >= self.max_connections {
            let wanted = BATCH.min(entries.len() / 8).max(1);
            let large = LargeShares::of(&entries, |_| 1);
            let now = self.millis(Instant::now());
            let may_go = |entry: &Entry| match entry.turn() {
                Turn::Idle | Turn::Client => {
                    large.has(entry.network) || !large.has(network) || !entry.is_fresh(now)
                }
                Turn::Line => large.has(entry.network) && !large.has(network),
                Turn::Upstream => false,
            };
            for victim in victims(&entries, wanted, now, &large, may_go) {
                self.evict(&mut entries, &victim, &self.evictions.connections);
            }
            if entries.len() >= self.max_connections {
                return None;
            }
        }
        let entry = Arc::new(Entry {
            network,
            position: AtomicUsize::new(entries.len()),
            held: AtomicUsize::new(0),
            turn: AtomicU8::new(Turn::Idle as u8),
            since: AtomicU64::new(self.millis(Instant::now())),
            served: AtomicBool::new(false),
            has_upstream: AtomicBool::new(false),
            evicted: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        });
        entries.push(Arc::clone(&entry));
        Some(Account {
            ledger: Arc::clone(self),
            entry,
            moved: 0,
            always: 0,
        })
    }

    pub(crate) fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    /// Has clients that stall give up their connections to the upstream: somebody waits for one.
    pub(crate) fn reclaim_upstream(&self) {
        let mut entries = self.entries();
        let now = self.millis(Instant::now());
        let stalled = |entry: &Entry| {
            entry.has_upstream.load(Relaxed)
                && matches!(entry.turn(), Turn::Idle | Turn::Client)
                && entry.quiet(now) >= STALLED
        };
        let large = LargeShares::of(&entries, |entry| {
            usize::from(entry.has_upstream.load(Relaxed))
        });
        for victim in victims(&entries, BATCH, now, &large, stalled) {
            self.evict(&mut entries, &victim, &self.evictions.upstream);
        }
    }

    /// Brings what is held down to the limits, with a sixteenth to spare.
    fn reclaim_memory(&self) {
        let mut entries = self.entries();
        let (limit, limit_large) = (self.max_held, large_part(self.max_held));
        let only_large = self.held_large.load(Relaxed) > limit_large;
        let least = if only_large { SMALL } else { 0 };
        let held = |entry: &Entry| entry.held.load(Relaxed);
        let large = LargeShares::of(&entries, held);
        let now = self.millis(Instant::now());
        for victim in victims(&entries, usize::MAX, now, &large, |entry| {
            held(entry) > least
        }) {
            let enough =
                |held: &AtomicUsize, limit: usize| held.load(Relaxed) <= limit - limit / 16;
            if enough(&self.held, limit) && enough(&self.held_large, limit_large) {
                return;
            }
            self.evict(&mut entries, &victim, &self.evictions.memory);
        }
    }

    fn evict(&self, entries: &mut Vec<Arc<Entry>>, victim: &Entry, counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
        remove(entries, victim);
        victim.evicted.store(true, Relaxed);
        self.count(victim.held.swap(0, Relaxed), 0);
        victim.waker.wake();
    }

    /// Notes that a connection holds `after` bytes, not `before`.
    fn count(&self, before: usize, after: usize) {
        let large = |held: usize| if held > SMALL { held } else { 0 };
        self.held.fetch_add(after.wrapping_sub(before), Relaxed);
        self.held_large
            .fetch_add(large(after).wrapping_sub(large(before)), Relaxed);
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn millis(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.epoch);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// What those that hold much may have of it all.
const fn large_part(limit: usize) -> usize {
    limit / 4 * 3
}

/// The networks that have more than a sixteenth of something: where all have their fair share, there
/// are more than a few clients, and none of them is among these.
struct LargeShares(Vec<IpAddr>);

impl LargeShares {
    fn of(entries: &[Arc<Entry>], share: impl Fn(&Entry) -> usize) -> Self {
        let mut networks = HashMap::<IpAddr, usize>::new();
        for entry in entries {
            *networks.entry(entry.network).or_default() += share(entry);
        }
        let all: usize = networks.values().sum();
        networks.retain(|_, part| *part > all / 16);
        Self(networks.into_keys().collect())
    }

    fn has(&self, network: IpAddr) -> bool {
        self.0.contains(&network)
    }
}

/// The first `most` of those that `may_go`, in the order in which they should.
fn victims(
    entries: &[Arc<Entry>],
    most: usize,
    now: u64,
    large: &LargeShares,
    may_go: impl Fn(&Entry) -> bool,
) -> Vec<Arc<Entry>> {
    let order = |entry: &&Arc<Entry>| {
        let waits = matches!(entry.turn(), Turn::Line | Turn::Upstream);
        let rank = match (waits, large.has(entry.network), entry.is_fresh(now)) {
            (false, true, _) => 0,
            (false, false, false) => 1,
            (true, true, _) => 2,
            (false, false, true) => 3,
            (true, false, _) => 4,
        };
        (
            rank,
            entry.is_fresh(now),
            entry.served.load(Relaxed),
            entry.since.load(Relaxed),
        )
    };
    let mut candidates: Vec<_> = entries.iter().filter(|entry| may_go(entry)).collect();
    if most < candidates.len() {
        candidates.select_nth_unstable_by_key(most, order);
        candidates.truncate(most);
    }
    candidates.sort_by_cached_key(order);
    candidates.into_iter().map(Arc::clone).collect()
}

fn remove(entries: &mut Vec<Arc<Entry>>, entry: &Entry) {
    let position = entry.position.load(Relaxed);
    entries.swap_remove(position);
    if let Some(moved) = entries.get(position) {
        moved.position.store(position, Relaxed);
    }
}

/// Whom to count as one client: an IPv6 network of the size that one customer gets (RFC 6177).
fn network_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(ip) => {
            let network = u128::from(ip) & !u128::from(u64::MAX);
            IpAddr::V6(network.into())
        }
        ip @ IpAddr::V4(_) => ip,
    }
}

impl Entry {
    fn turn(&self) -> Turn {
        Turn::of(self.turn.load(Relaxed))
    }

    /// For how long nothing has moved.
    fn quiet(&self, now: u64) -> Duration {
        Duration::from_millis(now.saturating_sub(self.since.load(Relaxed)))
    }

    fn is_fresh(&self, now: u64) -> bool {
        self.quiet(now) < FRESH
    }
}

impl Account {
    /// Whose connection it is: an address, or an IPv6 network of one customer.
    pub(crate) fn network(&self) -> IpAddr {
        self.entry.network
    }

    /// Notes whose turn it is from `now` on.
    pub(crate) fn turn(&mut self, turn: Turn, now: Instant) {
        if self.entry.turn() != turn {
            self.entry.turn.store(turn as u8, Relaxed);
            self.entry.since.store(self.ledger.millis(now), Relaxed);
        }
    }

    /// Notes that the client has got an answer and may begin anew.
    pub(crate) fn served(&mut self) {
        if !self.entry.served.load(Relaxed) {
            self.entry.served.store(true, Relaxed);
        }
        self.moved = 0;
    }

    /// Notes that `total` bytes have moved for this request until `now`.
    pub(crate) fn moved(&mut self, total: u64, now: Instant) {
        if total.saturating_sub(self.moved) >= MOVEMENT {
            self.moved = total;
            self.entry.since.store(self.ledger.millis(now), Relaxed);
        }
    }

    /// Notes whether the connection has one to the upstream.
    pub(crate) fn has_upstream(&mut self, has: bool) {
        self.entry.has_upstream.store(has, Relaxed);
    }

    /// Notes how many bytes the connection holds as long as it is there, beyond those that are noted
    /// from time to time: none of them at this moment.
    pub(crate) fn always_hold(&mut self, bytes: usize) {
        self.always = bytes;
        self.hold(0);
    }

    /// Notes how many bytes the connection holds. Others, or itself, have to go if that is too much.
    pub(crate) fn hold(&mut self, bytes: usize) {
        let bytes = bytes + self.always;
        let ledger = &self.ledger;
        let before = self.entry.held.load(Relaxed);
        if before == bytes || self.entry.evicted.load(Relaxed) {
            return;
        }
        self.entry.held.store(bytes, Relaxed);
        ledger.count(before, bytes);
        if bytes > before
            && (ledger.held.load(Relaxed) > ledger.max_held
                || ledger.held_large.load(Relaxed) > large_part(ledger.max_held))
        {
            ledger.reclaim_memory();
        }
    }

    /// Ready once the connection has to go.
    pub(crate) fn poll_evicted(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.entry.evicted.load(Acquire) {
            self.entry.waker.register(cx.waker());
            if !self.entry.evicted.load(Acquire) {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let mut entries = self.ledger.entries();
        if !self.entry.evicted.swap(true, AcqRel) {
            remove(&mut entries, &self.entry);
            self.ledger.count(self.entry.held.swap(0, Relaxed), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    fn has_to_go(account: &Account) -> bool {
        account.entry.evicted.load(Relaxed)
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_that_were_never_answered_make_room() {
        let ledger = Ledger::new(3, usize::MAX);
        let mut accounts = Vec::new();
        for last in 1..=3 {
            accounts.push(ledger.open(peer(last)).unwrap());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        accounts[0].served();
        let newcomer = ledger.open(peer(4)).unwrap();
        let gone: Vec<_> = accounts.iter().map(has_to_go).collect();
        assert_eq!(gone, [false, true, false]);
        assert!(!has_to_go(&newcomer));
        drop(accounts);
        assert_eq!(ledger.entries().len(), 1);
    }

    /// Those that have been answered once and then do nothing don't drive out who has just come.
    #[tokio::test(start_paused = true)]
    async fn who_has_just_come_is_let_be() {
        let ledger = Ledger::new(8, usize::MAX);
        let mut slow: Vec<_> = (1..=8).map(|_| ledger.open(peer(1)).unwrap()).collect();
        slow.iter_mut().for_each(Account::served);
        tokio::time::advance(FRESH).await;
        let first = ledger.open(peer(1)).unwrap();
        let second = ledger.open(peer(1)).unwrap();
        assert!(!has_to_go(&first) && !has_to_go(&second));
        assert_eq!(slow.iter().filter(|account| has_to_go(account)).count(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_the_upstream_stays() {
        let ledger = Ledger::new(2, usize::MAX);
        let mut accounts: Vec<_> = (1..=2)
            .map(|last| ledger.open(peer(last)).unwrap())
            .collect();
        for account in &mut accounts {
            account.turn(Turn::Upstream, Instant::now());
        }
        assert!(ledger.open(peer(3)).is_none());
        accounts[0].turn(Turn::Client, Instant::now());
        assert!(ledger.open(peer(3)).is_some());
        assert!(has_to_go(&accounts[0]) && !has_to_go(&accounts[1]));
    }

    #[tokio::test(start_paused = true)]
    async fn one_network_cannot_have_it_all() {
        const PLACES: usize = 20;
        let ledger = Ledger::new(PLACES, usize::MAX);
        let mut other = ledger.open(peer(9)).unwrap();
        let mut accounts = Vec::new();
        for host in 0..60_u16 {
            tokio::time::advance(Duration::from_secs(1)).await;
            let host = [0x2001, 0xdb8, 0, 0, 0, 0, 0, host];
            accounts.push(ledger.open(IpAddr::from(host)).unwrap());
        }
        assert!(!has_to_go(&other));
        while ledger.entries().len() < PLACES {
            accounts.push(
                ledger
                    .open([0x2001, 0xdb8, 0, 0, 0, 0, 0, 98].into())
                    .unwrap(),
            );
        }
        // Nor can it by waiting in line.
        other.turn(Turn::Upstream, Instant::now());
        for account in &mut accounts {
            account.turn(Turn::Line, Instant::now());
        }
        assert!(
            ledger
                .open(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 99]))
                .is_none()
        );
        assert!(ledger.open(peer(10)).is_some());
        assert!(!has_to_go(&other));
    }

    /// Where all that have much wait, who has just come doesn't pay for it.
    #[tokio::test(start_paused = true)]
    async fn memory_comes_from_those_that_have_much() {
        let ledger = Ledger::new(100, 10 * SMALL);
        let mut many: Vec<_> = (0..10).map(|_| ledger.open(peer(1)).unwrap()).collect();
        for account in &mut many {
            account.hold(SMALL);
            account.turn(Turn::Line, Instant::now());
        }
        let mut newcomer = ledger.open(peer(2)).unwrap();
        newcomer.hold(100);
        assert!(!has_to_go(&newcomer));
        assert!(many.iter().any(has_to_go));
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_kept_for_small_requests() {
        let ledger = Ledger::new(100, 16 * SMALL);
        let mut large: Vec<_> = (0..13)
            .map(|last| ledger.open(peer(last)).unwrap())
            .collect();
        let mut small = ledger.open(peer(99)).unwrap();
        small.hold(SMALL);
        for account in &mut large {
            tokio::time::advance(Duration::from_secs(1)).await;
            account.hold(SMALL + 1);
        }
        // Twelve are three quarters; the spare sixteenth is another one's.
        let gone = large.iter().filter(|account| has_to_go(account)).count();
        assert!((1..=3).contains(&gone), "{gone}");
        assert!(has_to_go(&large[0]) && !has_to_go(&large[12]) && !has_to_go(&small));
        assert!(ledger.held() <= 16 * SMALL);
        drop(large);
        assert_eq!(ledger.held(), SMALL);
    }

    #[tokio::test(start_paused = true)]
    async fn dripping_is_no_movement() {
        let ledger = Ledger::new(2, usize::MAX);
        let (mut dripping, mut moving) =
            (ledger.open(peer(1)).unwrap(), ledger.open(peer(2)).unwrap());
        for second in 1..=10 {
            tokio::time::advance(Duration::from_secs(1)).await;
            dripping.moved(second, Instant::now());
            moving.moved(second * MOVEMENT, Instant::now());
        }
        let _newcomer = ledger.open(peer(3)).unwrap();
        assert!(has_to_go(&dripping) && !has_to_go(&moving));
    }

    #[tokio::test(start_paused = true)]
    async fn only_those_that_stall_give_up_their_upstream() {
        let ledger = Ledger::new(9, usize::MAX);
        let mut accounts: Vec<_> = (1..=3)
            .map(|last| ledger.open(peer(last)).unwrap())
            .collect();
        accounts[0].has_upstream(true);
        accounts[1].has_upstream(true);
        accounts[1].turn(Turn::Upstream, Instant::now());
        ledger.reclaim_upstream();
        assert!(!accounts.iter().any(has_to_go));
        tokio::time::advance(STALLED).await;
        ledger.reclaim_upstream();
        let gone: Vec<_> = accounts.iter().map(has_to_go).collect();
        assert_eq!(gone, [true, false, false]);
    }
}
