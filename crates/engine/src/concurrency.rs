//! How much is asked of the engine at a time. Whatever is done for each of many containers,
//! images or probes goes through here: an engine that is asked for a thousand things at once
//! takes its machine down with it.

use futures_util::future::{join_all, try_join_all};
use tokio::sync::Semaphore;

/// Pieces of work that run at a time, in the whole process.
pub const LIMIT: usize = 8;

static SLOTS: Semaphore = Semaphore::const_new(LIMIT);

/// Does all of `work`, at most [`LIMIT`] pieces at a time; the results are in its order.
///
/// A piece must not call this or [`try_all`]: it would wait for a slot while it holds one.
pub async fn all<F: Future>(work: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    join_all(work.into_iter().map(one)).await
}

/// Like [`all`], but the first error ends it: what has begun is broken off.
///
/// # Errors
/// That of the piece which failed first.
pub async fn try_all<T, E, F>(work: impl IntoIterator<Item = F>) -> Result<Vec<T>, E>
where
    F: Future<Output = Result<T, E>>,
{
    try_join_all(work.into_iter().map(one)).await
}

/// Does one piece, as soon as fewer than [`LIMIT`] run. What only waits for something to happen in a
/// container doesn't belong in it: what it waits for may need a slot.
pub async fn one<F: Future>(piece: F) -> F::Output {
    // Nobody closes the semaphore, so that this is a slot.
    let _slot = SLOTS.acquire().await;
    piece.await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn no_more_than_the_limit_run_at_a_time_and_the_order_stays() {
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let piece = async |number: usize| {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            running.fetch_sub(1, Ordering::SeqCst);
            number
        };
        // Callers side by side share the slots.
        let (first, second) = tokio::join!(all((0..50).map(&piece)), all((50..100).map(&piece)),);
        assert_eq!([first, second].concat(), (0..100).collect::<Vec<_>>());
        assert_eq!(most.load(Ordering::SeqCst), LIMIT);
    }

    #[tokio::test]
    async fn an_error_ends_it_and_frees_the_slots() {
        let failed = try_all((0..50).map(|number| async move {
            tokio::task::yield_now().await;
            if number == 3 { Err(number) } else { Ok(()) }
        }));
        assert_eq!(failed.await, Err(3));
        assert_eq!(all((0..LIMIT).map(async |_| ())).await.len(), LIMIT);
    }
}
