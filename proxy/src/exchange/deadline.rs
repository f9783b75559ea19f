//! Whose turn it is on a connection, and for how long: one timer per connection, for whichever
//! limit applies at the moment.
//!
//! Setting a timer for every wait would touch the runtime's timer wheel several times a request.
//! This one instead moves a deadline that is only a number; the timer itself is moved when
//! it has to ring earlier, or has rung too early. It also tells when the connection has to make room
//! for others ([`crate::worker::ledger`]).

use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

use super::error_page::Failure;
use crate::worker::ledger::{Account, Turn};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expired {
    /// The limit has passed.
    Late,
    /// The connection has to make room for others.
    Evicted,
}

impl Expired {
    /// What that comes to where the limit's passing is `late`.
    pub(crate) const fn failure(self, late: Failure) -> Failure {
        match self {
            Self::Late => late,
            Self::Evicted => Failure::Evicted,
        }
    }
}

/// A client connection's timer and account.
#[derive(Debug)]
pub(crate) struct Deadline {
    due: Instant,
    timer: Pin<Box<Sleep>>,
    pub(crate) account: Account,
}

impl Deadline {
    /// One that is due after `limit`.
    pub(crate) fn new(account: Account, limit: Duration) -> Self {
        let due = Instant::now() + limit;
        Self {
            due,
            timer: Box::pin(sleep_until(due)),
            account,
        }
    }

    /// Starts again: it is somebody's turn, for `limit` from now.
    pub(crate) fn arm(&mut self, turn: Turn, limit: Duration) {
        self.arm_at(Instant::now(), turn, limit);
    }

    fn arm_at(&mut self, now: Instant, turn: Turn, limit: Duration) {
        self.account.turn(turn, now);
        self.due = now + limit;
        if self.due < self.timer.deadline() {
            self.timer.as_mut().reset(self.due);
        }
    }

    /// Ready once the limit has passed, or the connection has to go.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Expired> {
        if self.account.poll_evicted(cx).is_ready() {
            return Poll::Ready(Expired::Evicted);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= self.due {
                return Poll::Ready(Expired::Late);
            }
            self.timer.as_mut().reset(self.due);
        }
        Poll::Pending
    }

    /// Runs `future` until it is done or the wait is over.
    pub(crate) async fn guard<F: Future>(&mut self, future: F) -> Result<F::Output, Expired> {
        let mut future = pin!(future);
        std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => self.poll(cx).map(Err),
        })
        .await
    }

    /// Runs `future`, which is somebody's turn, for `limit` from now.
    pub(crate) async fn within<F: Future>(
        &mut self,
        turn: Turn,
        limit: Duration,
        future: F,
    ) -> Result<F::Output, Expired> {
        self.arm(turn, limit);
        self.guard(future).await
    }

    /// A wait in which every movement starts it again.
    pub(crate) const fn wait(&mut self) -> Wait<'_> {
        Wait {
            deadline: self,
            turn: None,
            moved: 0,
        }
    }
}

/// What a wait is told of whenever it is polled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traffic {
    /// Bytes that have moved, anywhere.
    pub(crate) moved: u64,
    /// Bytes that have come from the client and gone to it.
    pub(crate) of_client: u64,
    /// Bytes of memory that are held meanwhile.
    pub(crate) held: usize,
}

/// A wait in which things move: the limit is for each time that nothing does.
#[derive(Debug)]
pub(crate) struct Wait<'d> {
    deadline: &'d mut Deadline,
    turn: Option<Turn>,
    moved: u64,
}

impl Wait<'_> {
    /// Ready once it has been somebody's `turn` for `limit` without a movement, or the connection has
    /// to go.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        turn: Turn,
        limit: Duration,
        traffic: Traffic,
    ) -> Poll<Expired> {
        self.deadline.account.hold(traffic.held);
        if self.turn != Some(turn) || self.moved != traffic.moved {
            self.turn = Some(turn);
            self.moved = traffic.moved;
            let now = Instant::now();
            self.deadline.arm_at(now, turn, limit);
            self.deadline.account.moved(traffic.of_client, now);
        }
        self.deadline.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::ledger::Ledger;

    #[tokio::test(start_paused = true)]
    async fn the_last_deadline_counts() {
        let account = Ledger::new(1, 1).open([127, 0, 0, 1].into()).unwrap();
        let mut deadline = Deadline::new(account, Duration::from_secs(60));
        let start = Instant::now();
        let silence = std::future::pending::<()>;
        let limit = Duration::from_secs(1);
        let ended = deadline.within(Turn::Client, limit, silence()).await;
        assert_eq!(ended, Err(Expired::Late));
        assert_eq!(start.elapsed().as_secs(), 1);
        deadline.arm(Turn::Client, Duration::from_secs(5));
        deadline.arm(Turn::Client, Duration::from_secs(10));
        assert_eq!(deadline.guard(silence()).await, Err(Expired::Late));
        assert_eq!(start.elapsed().as_secs(), 11);
        assert_eq!(deadline.guard(async { 7 }).await, Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn making_room_ends_every_wait() {
        let ledger = Ledger::new(1, 1);
        let account = ledger.open([127, 0, 0, 1].into()).unwrap();
        let mut deadline = Deadline::new(account, Duration::from_secs(60));
        let wait = deadline.guard(std::future::pending::<()>());
        let others = async { ledger.open([127, 0, 0, 2].into()) };
        let (ended, newcomer) = tokio::join!(wait, others);
        assert_eq!(ended, Err(Expired::Evicted));
        assert!(newcomer.is_some());
    }
}
