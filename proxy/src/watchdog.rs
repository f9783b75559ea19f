//! One timer per connection, for whichever limit applies at the moment.
//!
//! Setting a timer for every wait would touch the runtime's timer wheel several times a request.
//! The watchdog instead moves a deadline that is only a number; the timer itself is moved when
//! it has to ring earlier, or has rung too early.

use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// The limit has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired;

/// A deadline that is cheap to move.
#[derive(Debug)]
pub struct Watchdog {
    deadline: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Watchdog {
    /// A watchdog that barks after `limit`.
    pub fn new(limit: Duration) -> Self {
        let deadline = Instant::now() + limit;
        Self {
            deadline,
            timer: Box::pin(sleep_until(deadline)),
        }
    }

    /// Starts anew: barks `limit` from now.
    pub fn arm(&mut self, limit: Duration) {
        self.deadline = Instant::now() + limit;
        if self.deadline < self.timer.deadline() {
            self.timer.as_mut().reset(self.deadline);
        }
    }

    /// Ready once the deadline has passed.
    pub fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<Expired> {
        while self.timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= self.deadline {
                return Poll::Ready(Expired);
            }
            self.timer.as_mut().reset(self.deadline);
        }
        Poll::Pending
    }

    /// Runs `future` until it is done or the deadline has passed.
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

    #[tokio::test(start_paused = true)]
    async fn the_last_deadline_counts() {
        let mut watchdog = Watchdog::new(Duration::from_secs(60));
        let start = Instant::now();
        watchdog.arm(Duration::from_secs(1));
        assert_eq!(
            watchdog.guard(std::future::pending::<()>()).await,
            Err(Expired)
        );
        assert_eq!(start.elapsed().as_secs(), 1);
        watchdog.arm(Duration::from_secs(5));
        watchdog.arm(Duration::from_secs(10));
        assert_eq!(
            watchdog.guard(std::future::pending::<()>()).await,
            Err(Expired)
        );
        assert_eq!(start.elapsed().as_secs(), 11);
        assert_eq!(watchdog.guard(async { 7 }).await, Ok(7));
    }
}
