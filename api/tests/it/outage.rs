//! MongoDB away: a timely 503, and recovery without a restart.

use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use testkit::net::{cut_off, mend};

use crate::support::{Mongo, Response, eventually, get, post, shared_mongo_uri, spawn_app_with};

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

/// A way to MongoDB that can be cut off.
struct Way {
    listener: TcpListener,
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl Way {
    fn to(uri: &str) -> Self {
        let server = uri.strip_prefix("mongodb://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let accepting = listener.try_clone().unwrap();
        let connections = Arc::<Mutex<Vec<_>>>::default();
        let kept = Arc::clone(&connections);
        thread::spawn(move || {
            for client in accepting.incoming().map_while(Result::ok) {
                let server = TcpStream::connect(&server).unwrap();
                kept.lock().unwrap().push(client.try_clone().unwrap());
                for (mut from, mut to) in [(&client, &server), (&server, &client)]
                    .map(|(from, to)| (from.try_clone().unwrap(), to.try_clone().unwrap()))
                {
                    thread::spawn(move || std::io::copy(&mut from, &mut to));
                }
            }
        });
        Self {
            listener,
            connections,
        }
    }

    fn uri(&self) -> String {
        let address = self.listener.local_addr().unwrap();
        format!("mongodb://{address}/?directConnection=true")
    }

    /// Nothing gets to the other side, and no packet says so.
    fn cut_off(&self) {
        cut_off(&self.listener);
        for connection in self.connections.lock().unwrap().iter() {
            cut_off(connection);
        }
    }

    /// New connections get there again; the old ones never.
    fn mend(&self) {
        mend(&self.listener);
    }
}

/// Its connections would be waited for by the kernel for a quarter of an hour, and there are two for writes.
#[tokio::test]
async fn a_mongodb_that_vanishes_is_noticed_and_connected_to_anew() {
    let way = Way::to(&shared_mongo_uri().await);
    let app = spawn_app_with(&way.uri(), SETTINGS).await;
    eventually("a first write", Duration::from_secs(60), || async {
        (post(app.address, b"before").await.status == 200).then_some(())
    })
    .await;
    way.cut_off();
    for _ in 0..5 {
        let (response, took) = timed(post(app.address, b"lost")).await;
        assert_unavailable(&response, "Mongo is not available");
        assert!(took < TIMEOUT + SLACK, "{took:?}");
    }
    way.mend();
    eventually("writes work again", Duration::from_secs(20), || async {
        (post(app.address, b"after").await.status == 200).then_some(())
    })
    .await;
}
