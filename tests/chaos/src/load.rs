//! The steady load: reads and writes at a fixed rate, on kept and on new connections.
//!
//! The rate is kept whatever the answers are (open loop): a stack that hangs gets no rest from it,
//! and a hung request never keeps the next one from being sent.
//!
//! What counts as a failure: anything but 200. One thing is not even an event: a kept connection
//! that is found closed before a byte of the request was written is replaced by a new one. Once
//! anything was written, the request is never sent again. The same goes for a request that the server
//! of an HTTP/2 session says it has not taken up.

pub(crate) mod answer;
pub(crate) mod carrier;
pub(crate) mod connection;
pub(crate) mod request;
mod session;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::ledger::{Ledger, Outcome};
use carrier::{Carrier, Published};
use connection::Connection;
use request::{Mix, Request};
use session::{Exchanged, Session};

/// Longest wait for an answer, from the first byte sent or the start of connecting. As long as
/// recovery may take: a request that is sent at a fault's end and waits longer shows as a failure.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
/// Most requests under way; beyond them none is sent until one ends.
const MAX_OPEN: usize = 4_000;

/// Before a request that was refused is followed by another.
const PAUSE: Duration = Duration::from_millis(50);

/// A running load.
pub(crate) struct Load {
    generator: Arc<Generator>,
    /// Ends the sending; what is under way goes on.
    stop: CancellationToken,
    /// Ends the sending of large bodies alone.
    stop_large: CancellationToken,
    senders: Mutex<JoinSet<()>>,
}

/// What the senders share.
struct Generator {
    target: Published,
    patience: Duration,
    ledger: Ledger,
    mix: Mutex<Mix>,
    /// Kept connections that nobody uses at the moment.
    idle: Mutex<Vec<Connection>>,
    /// The session that requests share.
    session: Mutex<Option<Session>>,
}

impl Load {
    /// Starts sending `rate` requests a second to `target`.
    pub(crate) fn start(target: Published, rate: u32, mix: Mix) -> Self {
        Self::patiently(target, rate, mix, TIMEOUT)
    }

    /// The same, by clients that wait so long for an answer.
    pub(crate) fn patiently(target: Published, rate: u32, mix: Mix, patience: Duration) -> Self {
        let generator = Arc::new(Generator {
            target,
            patience,
            ledger: Ledger::default(),
            mix: Mutex::new(mix),
            idle: Mutex::default(),
            session: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let mut senders = JoinSet::new();
        let steady = Arc::clone(&generator).send_steadily(rate);
        let stopped = stop.clone();
        senders.spawn(async move {
            stopped.run_until_cancelled(steady).await;
        });
        Self {
            generator,
            stop_large: stop.child_token(),
            stop,
            senders: Mutex::new(senders),
        }
    }

    /// Sends large bodies too from now on, until [`end_large`](Self::end_large): `senders` at a
    /// time, each of `length` bytes.
    pub(crate) fn add_large(&self, senders: usize, length: usize) {
        let mut set = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..senders {
            let generator = Arc::clone(&self.generator);
            let stopped = self.stop_large.clone();
            set.spawn(async move {
                while !stopped.is_cancelled() {
                    let request = generator.mix().post(length);
                    let outcome = generator.send(request).await;
                    if !outcome.is_acknowledged() {
                        // A stack that refuses at once isn't asked in a tight loop.
                        sleep(PAUSE).await;
                    }
                }
            });
        }
    }

    /// Sends no more large bodies.
    pub(crate) fn end_large(&self) {
        self.stop_large.cancel();
    }

    /// Where it is sent to.
    pub(crate) fn target(&self) -> Published {
        self.generator.target
    }

    /// What was sent and answered so far.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.generator.ledger
    }

    /// Sends no more by itself; what is under way goes on.
    pub(crate) fn halt(&self) {
        self.stop.cancel();
    }

    /// Has something small stored, on a connection of its own, and again as long as that fails. How
    /// long it took until it was answered 200; `None`: it wasn't within `limit`.
    pub(crate) async fn first_write(&self, limit: Duration) -> Option<Duration> {
        let began = Instant::now();
        while began.elapsed() < limit {
            let request = self.generator.mix().post(51);
            if self.generator.send(request).await.is_acknowledged() {
                return Some(began.elapsed());
            }
            sleep(PAUSE).await;
        }
        None
    }

    /// Stops sending and waits for what is under way.
    pub(crate) async fn stop(&self) {
        self.halt();
        // Every request bounds itself.
        while self.ledger().open_entries() > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Generator {
    async fn send_steadily(self: Arc<Self>, rate: u32) {
        let mut ticks = interval(Duration::from_secs(1) / rate.max(1));
        // On a machine that falls behind, less is sent; a burst would be another test.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            if self.ledger.open_entries() < MAX_OPEN {
                let request = self.mix().draw();
                let generator = Arc::clone(&self);
                tokio::spawn(async move { generator.send(request).await });
            }
        }
    }

    async fn send(&self, request: Request) -> Outcome {
        let place = self.ledger.open(request.clone());
        let outcome = timeout(self.patience, self.exchange(&request))
            .await
            .unwrap_or(Outcome::TimedOut);
        self.ledger.close(place, outcome.clone());
        outcome
    }

    async fn exchange(&self, request: &Request) -> Outcome {
        match request.carrier {
            Carrier::Http2 => self.exchange_on_a_session(request).await,
            carrier => self.exchange_on_a_connection(request, carrier).await,
        }
    }

    async fn exchange_on_a_session(&self, request: &Request) -> Outcome {
        loop {
            let Ok(session) = self.session(request.fresh).await else {
                return Outcome::Unreachable;
            };
            let exchanged = session.exchange(request).await;
            if request.fresh {
                session.close();
            }
            match exchanged {
                Exchanged::Answered(outcome) => return outcome,
                Exchanged::NotTaken => self.forget(&session),
            }
        }
    }

    /// The shared session, or one of its own.
    async fn session(&self, fresh: bool) -> std::io::Result<Session> {
        if fresh {
            return Session::open(self.target).await;
        }
        let shared = self.shared().clone().filter(|shared| !shared.is_closed());
        if let Some(shared) = shared {
            return Ok(shared);
        }
        // Several may open one at a time; the last one is shared from then on.
        let session = Session::open(self.target).await?;
        *self.shared() = Some(session.clone());
        Ok(session)
    }

    /// Lets the next request open another one: this one takes no more.
    fn forget(&self, session: &Session) {
        let mut shared = self.shared();
        if shared.as_ref().is_some_and(|it| it.is_same(session)) {
            *shared = None;
        }
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, Option<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn exchange_on_a_connection(&self, request: &Request, carrier: Carrier) -> Outcome {
        let kept = if request.fresh {
            None
        } else {
            self.take_idle(carrier)
        };
        let mut connection = match kept {
            Some(connection) => connection,
            None => match Connection::open(self.target, carrier).await {
                Ok(connection) => connection,
                Err(_) => return Outcome::Unreachable,
            },
        };
        let (outcome, reusable) = connection.exchange(request).await;
        if reusable {
            self.idle().push(connection);
        }
        outcome
    }

    /// The one used last: the fewest are kept open.
    fn take_idle(&self, carrier: Carrier) -> Option<Connection> {
        let mut idle = self.idle();
        while let Some(at) = idle.iter().rposition(|it| it.carrier == carrier) {
            let mut connection = idle.remove(at);
            if !connection.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mix(&self) -> std::sync::MutexGuard<'_, Mix> {
        self.mix.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
