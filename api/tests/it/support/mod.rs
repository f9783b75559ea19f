//! What the tests stand on: the application, a MongoDB, Flask, and raw HTTP.

mod app;
mod flask;
mod http;
mod memory;
mod mongo;

use std::time::{Duration, Instant};

pub(crate) use app::{Process, TestApp, spawn_app, spawn_app_with};
pub(crate) use flask::Flask;
pub(crate) use http::{Response, get, post, send};
pub(crate) use memory::MemoryGroup;
pub(crate) use mongo::{Mongo, shared_mongo_uri, unique_name};

/// Tries `check` until it gives something; fails with `what` when that takes longer than `limit`.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    limit: Duration,
    mut check: impl FnMut() -> F,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = check().await {
            return value;
        }
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
