//! A replica set that loses its primary under load: writes wait for the election, and each of them is
//! answered and stored once.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use mongodb::Collection;
use mongodb::bson::{Document, doc};
use serde_json::json;
use tempfile::NamedTempFile;
use testkit::mongo::{PASSWORD, ReplicaSet, USER};
use tokio::task::{JoinHandle, JoinSet};

use crate::support::{Process, eventually, get, post, requests_in};

/// A request is sent in each of these.
const INTERVAL: Duration = Duration::from_millis(40);

/// So many requests are answered before the primary is lost, and after there is another one.
const ENOUGH: usize = 25;

/// How long everything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a primary is lost.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Killed,
    SteppedDown,
    /// From the other members: it goes on to take writes from clients until it notices.
    CutOff,
}

impl Fault {
    async fn strike(self, set: &ReplicaSet, primary: usize) {
        match self {
            Self::Killed => set.kill(primary),
            Self::SteppedDown => set.step_down(primary).await,
            Self::CutOff => set.cut_off(primary),
        }
    }

    fn mend(self, set: &ReplicaSet, primary: usize) {
        match self {
            Self::Killed => set.start_again(primary),
            Self::SteppedDown => {}
            Self::CutOff => set.heal(primary),
        }
    }
}

/// Requests at a steady rate, whatever becomes of those before.
struct Load {
    answered: Arc<AtomicUsize>,
    enough: Arc<AtomicBool>,
    sending: JoinHandle<Vec<(String, u16)>>,
}

impl Load {
    fn start(address: SocketAddr, name: String) -> Self {
        let (answered, enough) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (count, stop) = (Arc::clone(&answered), Arc::clone(&enough));
        let sending = tokio::spawn(async move {
            let mut requests = JoinSet::new();
            let mut due = tokio::time::interval(INTERVAL);
            while !stop.load(Ordering::Relaxed) {
                due.tick().await;
                let body = format!("{name} {}", requests.len());
                let count = Arc::clone(&count);
                requests.spawn(async move {
                    let writes = post(address, body.as_bytes());
                    let (written, asked) = tokio::join!(writes, get(address, "/hello"));
                    count.fetch_add(1, Ordering::Relaxed);
                    (body, written.status.max(asked.status))
                });
            }
            requests.join_all().await
        });
        Self {
            answered,
            enough,
            sending,
        }
    }

    /// Waits until so many more are answered.
    async fn more_answers(&self) {
        let enough = self.answered.load(Ordering::Relaxed) + ENOUGH;
        eventually("requests are answered", PATIENCE, || async {
            (self.answered.load(Ordering::Relaxed) >= enough).then_some(())
        })
        .await;
    }

    /// The body of each request and the status of its answer, or of one that only asks for a sign of life
    /// if that is worse.
    async fn stop(self) -> Vec<(String, u16)> {
        self.enough.store(true, Ordering::Relaxed);
        self.sending.await.unwrap()
    }
}

/// How often each body is stored.
async fn stored(collection: &Collection<Document>, name: &str) -> HashMap<String, u32> {
    let ours = doc! { "data": { "$regex": format!("^{name} ") } };
    let mut found = collection.find(ours).await.unwrap();
    let mut stored = HashMap::new();
    while found.advance().await.unwrap() {
        let document = found.deserialize_current().unwrap();
        let body = document.get_str("data").unwrap().to_owned();
        *stored.entry(body).or_default() += 1;
    }
    stored
}

#[tokio::test(flavor = "multi_thread")]
async fn an_election_under_load_loses_nothing_and_doubles_nothing() {
    let settings = json!({ "electionTimeoutMillis": 2000, "heartbeatTimeoutSecs": 2 });
    let members = ReplicaSet::start(&settings).await;
    let password = NamedTempFile::new().unwrap();
    std::fs::write(password.path(), PASSWORD).unwrap();
    let uri = members.uri();
    let api = Process::start(&[
        ("API_MONGO_URI", uri.as_str()),
        ("API_MONGO_USERNAME", USER),
        ("API_MONGO_PASSWORD_FILE", password.path().to_str().unwrap()),
        ("API_WRITE_TIMEOUT", "15s"),
    ]);
    let collection = requests_in(&members.login_uri(), "myDatabase").await;
    eventually("a first write", PATIENCE, || async {
        (post(api.address, b"first").await.status == 200).then_some(())
    })
    .await;

    for fault in [Fault::Killed, Fault::CutOff, Fault::SteppedDown] {
        let name = format!("{fault:?}");
        members.whole().await;
        let primary = members.primary().await;
        let load = Load::start(api.address, name.clone());
        load.more_answers().await;
        fault.strike(&members, primary).await;
        members.primary_other_than(primary).await;
        load.more_answers().await;
        assert_eq!(get(api.admin, "/readyz").await.status, 200, "{name}");
        let sent = load.stop().await;
        fault.mend(&members, primary);
        members.whole().await;

        // What the one that is lost had taken by itself is gone by now: no more than was answered.
        let mut stored = stored(&collection, &name).await;
        for (body, status) in sent {
            assert_eq!(status, 200, "{body}");
            assert_eq!(stored.remove(&body), Some(1), "{body}");
        }
        assert!(stored.is_empty(), "{name}: {stored:?}");
    }
}
