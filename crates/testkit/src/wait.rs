//! Waiting for what has to happen.

use std::time::{Duration, Instant};

/// How long a test waits for something that has to happen. Long, because a busy build machine
/// may stall any process; a passing test never waits this long.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Polls until `condition` gives a value; panics with `what` after [`PATIENCE`].
#[track_caller]
pub fn until<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, condition)
}

/// Polls until `condition` holds; panics with `what` after [`PATIENCE`].
#[track_caller]
pub fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    wait_within(PATIENCE, what, condition);
}

/// The same with another limit.
#[track_caller]
pub fn wait_within(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    until_within(limit, what, || condition().then_some(()));
}

#[track_caller]
fn until_within<T>(limit: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(
            Instant::now() < deadline,
            "waited {limit:?} in vain: {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Tries `check` until it gives something; panics with `what` when that takes longer than `limit`.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    limit: Duration,
    mut check: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = check().await {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Asserts that no more than `limit` has passed since `start`.
#[track_caller]
pub fn assert_within(limit: Duration, start: Instant) {
    let took = start.elapsed();
    assert!(took < limit, "it took {took:?}, not less than {limit:?}");
}
