//! Whose turn it is on a connection, and for how long: one timer per connection, for whichever
//! limit applies at the moment.
//!
//! Setting a timer for every wait would touch the runtime's timer wheel several times a request.
//! The watchdog instead moves a deadline that is only a number; the timer itself is moved when
//! it has to ring earlier, or has rung too early. It also tells when the connection has to make room
//! for others ([`crate::worker::ledger`]).

use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::worker::ledger::{Account, Turn};

/// Why a wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expired {
    /// The limit has passed.
    Late,
    /// The connection has to make room for others.
    Evicted,
}

/// A deadline that is cheap to move, and the connection's account.
#[derive(Debug)]
pub struct Watchdog {
    deadline: Instant,
    timer: Pin<Box<Sleep>>,
    /// What the connection holds.
    pub account: Account,
}

impl Watchdog {
    /// A watchdog that barks after `limit`.
    pub fn new(account: Account, limit: Duration) -> Self {
        let deadline = Instant::now() + limit;
        Self {
            deadline,
            timer: Box::pin(sleep_until(deadline)),
            account,
        }
    }

    /// Starts anew: it is somebody's turn, for `limit` from now.
    pub fn arm(&mut self, turn: Turn, limit: Duration) {
        let now = Instant::now();
        self.account.turn(turn, now);
        self.deadline = now + limit;
        if self.deadline < self.timer.deadline() {
            self.timer.as_mut().reset(self.deadline);
        }
    }

    /// Ready once the deadline has passed, or the connection has to go.
    pub fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<Expired> {
        if self.account.poll_evicted(cx).is_ready() {
            return Poll::Ready(Expired::Evicted);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= self.deadline {
                return Poll::Ready(Expired::Late);
            }
            self.timer.as_mut().reset(self.deadline);
        }
        Poll::Pending
    }

    /// Runs `future` until it is done or the wait is over.
    pub async fn guard<F: Future>(&mut self, future: F) -> Result<F::Output, Expired> {
        let mut future = pin!(future);
        std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => self.poll_expired(cx).map(Err),
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::ledger::Ledger;

    #[tokio::test(start_paused = true)]
    async fn the_last_deadline_counts() {
        let account = Ledger::new(1, 1).open([127, 0, 0, 1].into()).unwrap();
        let mut watchdog = Watchdog::new(account, Duration::from_secs(60));
        let start = Instant::now();
        watchdog.arm(Turn::Client, Duration::from_secs(1));
        let silence = std::future::pending::<()>;
        assert_eq!(watchdog.guard(silence()).await, Err(Expired::Late));
        assert_eq!(start.elapsed().as_secs(), 1);
        watchdog.arm(Turn::Client, Duration::from_secs(5));
        watchdog.arm(Turn::Client, Duration::from_secs(10));
        assert_eq!(watchdog.guard(silence()).await, Err(Expired::Late));
        assert_eq!(start.elapsed().as_secs(), 11);
        assert_eq!(watchdog.guard(async { 7 }).await, Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn making_room_ends_every_wait() {
        let ledger = Ledger::new(1, 1);
        let account = ledger.open([127, 0, 0, 1].into()).unwrap();
        let mut watchdog = Watchdog::new(account, Duration::from_secs(60));
        let wait = watchdog.guard(std::future::pending::<()>());
        let others = async { ledger.open([127, 0, 0, 2].into()) };
        let (ended, newcomer) = tokio::join!(wait, others);
        assert_eq!(ended, Err(Expired::Evicted));
        assert!(newcomer.is_some());
    }
}
