//! MongoDB away: a timely 503, and recovery without a restart.

use std::time::{Duration, Instant};

use crate::support::{Mongo, Response, eventually, get, post, spawn_app_with};

/// The write timeout of these tests, and how much more than it an answer may take on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(1);
const SLACK: Duration = Duration::from_secs(5);

const SETTINGS: &[(&str, &str)] = &[("API_WRITE_TIMEOUT", "1s")];

async fn timed(request: impl Future<Output = Response>) -> (Response, Duration) {
    let started = Instant::now();
    (request.await, started.elapsed())
}

fn assert_unavailable(response: &Response, text: &str) {
    assert_eq!(response.status, 503);
    assert_eq!(response.body, text);
    assert_eq!(response.header("retry-after"), Some("1"));
    assert_eq!(
        response.header("content-type"),
        Some("text/html; charset=utf-8")
    );
}

#[tokio::test]
async fn without_mongodb_it_starts_and_says_so_in_time() {
    // Port 1 of this machine refuses connections.
    let app = spawn_app_with("mongodb://127.0.0.1:1", SETTINGS).await;
    assert_eq!(get(app.admin, "/healthz").await.status, 200);
    assert_eq!(get(app.admin, "/readyz").await.status, 503);

    let (response, took) = timed(post(app.address, b"x")).await;
    assert_unavailable(&response, "Mongo is not available");
    assert!(took < TIMEOUT + SLACK, "{took:?}");

    // By now it is known to be down, so nobody is kept waiting.
    eventually("answers come at once", TIMEOUT + SLACK, || async {
        let (response, took) = timed(post(app.address, b"x")).await;
        assert_unavailable(&response, "Mongo is not available");
        (took < TIMEOUT / 4).then_some(())
    })
    .await;
    let (response, took) = timed(get(app.address, "/hello")).await;
    assert_unavailable(&response, "Server not available");
    assert!(took < SLACK, "{took:?}");
}

#[tokio::test]
async fn it_recovers_when_mongodb_comes_back() {
    let mongo = Mongo::start().await;
    let app = spawn_app_with(&mongo.uri(), SETTINGS).await;
    let before = eventually("a first write", Duration::from_secs(60), || async {
        let response = post(app.address, b"before").await;
        (response.status == 200).then(|| response.id())
    })
    .await;

    // Killed: connections are refused.
    mongo.kill();
    let (response, took) = timed(post(app.address, b"lost")).await;
    assert_unavailable(&response, "Mongo is not available");
    assert!(took < TIMEOUT + SLACK, "{took:?}");
    eventually("readiness fails", SLACK * 4, || async {
        (get(app.admin, "/readyz").await.status == 503).then_some(())
    })
    .await;
    mongo.start_again();
    let after = eventually("writes work again", Duration::from_secs(180), || async {
        let response = post(app.address, b"after").await;
        (response.status == 200).then(|| response.id())
    })
    .await;
    assert_eq!(app.data(before).await, "before");
    assert_eq!(app.data(after).await, "after");
    eventually("readiness is back", SLACK * 4, || async {
        (get(app.admin, "/readyz").await.status == 200).then_some(())
    })
    .await;

    // Frozen: connections stay open and nothing answers.
    mongo.pause();
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let address = app.address;
            tokio::spawn(async move { timed(post(address, b"frozen")).await })
        })
        .collect();
    for request in waiting {
        let (response, took) = request.await.unwrap();
        assert_unavailable(&response, "Mongo is not available");
        assert!(took < TIMEOUT + SLACK, "{took:?}");
    }
    mongo.unpause();
    eventually("writes work again", Duration::from_secs(60), || async {
        (post(app.address, b"thawed").await.status == 200).then_some(())
    })
    .await;
}
