//! The database user's password is changed while the API serves. It was given both, the new one
//! first, and no request fails.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};
use tempfile::NamedTempFile;
use tokio::task::JoinHandle;

use crate::support::{Mongo, Process, eventually, get, post};

const ROOT: &str = "root";
const OLD: &str = "0ld-sword/fish";
const NEW: &str = "n3w-sword/fish";

/// How long progress may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_the_password_is_changed() {
    let mongo = Mongo::start_with_root(ROOT).await;
    let root = mongo.uri().replace("//", &format!("//root:{ROOT}@"));
    let root = Client::with_uri_str(&root).await.unwrap();
    let users = root.database("admin");
    users
        .run_command(doc! { "createUser": "api", "pwd": OLD, "roles": [{ "role": "readWrite", "db": "own" }] })
        .await
        .unwrap();

    let mut file = NamedTempFile::new().unwrap();
    write!(file, "{NEW}\n\n{OLD}\n").unwrap();
    let mut api = Process::start(&[
        // An idle connection is given up at once: new ones, for which the password counts, are
        // made all the time.
        (
            "API_MONGO_URI",
            &format!("{}/?maxIdleTimeMS=1", mongo.uri()),
        ),
        ("API_MONGO_USERNAME", "api"),
        ("API_MONGO_PASSWORD_FILE", file.path().to_str().unwrap()),
        ("API_DATABASE", "own"),
        ("API_WRITE_TIMEOUT", "60s"),
    ]);
    let admin = api.admin;
    let ready = || eventually("ready", PATIENCE, || is_ready(admin));

    // The new one isn't valid yet.
    ready().await;
    let switch = api.wait_for_log("MongoDB refuses a password");
    assert_eq!(
        (&switch["refused"], &switch["next"]),
        (&1.into(), &2.into())
    );

    let load = Load::start(api.address);
    load.go_on().await;
    users
        .run_command(doc! { "updateUser": "api", "pwd": NEW })
        .await
        .unwrap();
    let switch = api.wait_for_log("MongoDB refuses a password");
    assert_eq!(
        (&switch["refused"], &switch["next"]),
        (&2.into(), &1.into())
    );
    load.go_on().await;
    let ids = load.end().await;
    ready().await;

    let stored = root.database("own").collection::<Document>("requests");
    let answered = doc! { "_id": { "$in": &ids } };
    assert_eq!(
        stored.count_documents(answered).await.unwrap(),
        ids.len() as u64
    );
    assert_eq!(
        stored.count_documents(doc! {}).await.unwrap(),
        ids.len() as u64
    );

    api.terminate();
    api.ended(PATIENCE).await;
    let log = api.log.join("\n");
    assert_eq!(
        log.matches("MongoDB refuses a password").count(),
        2,
        "{log}"
    );
    assert!(!log.contains(OLD) && !log.contains(NEW), "{log}");
}

async fn is_ready(admin: SocketAddr) -> Option<()> {
    (get(admin, "/readyz").await.status == 200).then_some(())
}

/// Clients that send one request after the other; the first answer other than 200 ends the test.
struct Load {
    answered: Arc<AtomicUsize>,
    done: Arc<AtomicBool>,
    writers: Vec<JoinHandle<Vec<ObjectId>>>,
    /// Asks for a ping.
    reader: JoinHandle<()>,
}

impl Load {
    fn start(address: SocketAddr) -> Self {
        let answered = Arc::<AtomicUsize>::default();
        let done = Arc::<AtomicBool>::default();
        let writer = |_| {
            let (answered, done) = (Arc::clone(&answered), Arc::clone(&done));
            tokio::spawn(async move {
                let mut ids = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    ids.push(post(address, b"x").await.id());
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                ids
            })
        };
        let writers = (0..4).map(writer).collect();
        let reader = tokio::spawn({
            let done = Arc::clone(&done);
            async move {
                while !done.load(Ordering::Relaxed) {
                    let response = get(address, "/hello").await;
                    assert_eq!(response.status, 200, "{}", response.body);
                }
            }
        });
        Self {
            answered,
            done,
            writers,
            reader,
        }
    }

    /// Waits until so many more are answered that each client has sent several.
    async fn go_on(&self) {
        let enough = self.answered.load(Ordering::Relaxed) + 50;
        eventually("answers", PATIENCE, || async {
            (self.answered.load(Ordering::Relaxed) >= enough).then_some(())
        })
        .await;
    }

    /// Stops, and returns the ids that were answered.
    async fn end(self) -> Vec<ObjectId> {
        self.done.store(true, Ordering::Relaxed);
        self.reader.await.unwrap();
        let mut ids = Vec::new();
        for writer in self.writers {
            ids.extend(writer.await.unwrap());
        }
        ids
    }
}
