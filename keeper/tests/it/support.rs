//! The keeper in this process, and requests for it to keep.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use keeper::app::Application;
use keeper::settings::Settings;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::{Client, Collection};
use testkit::http::RawClient;
use testkit::mongo::{shared_mongo_uri, unique_name};
use testkit::wait::wait_within;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long everything may take on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// A database of one's own.
pub(crate) struct Requests {
    uri: String,
    pub(crate) collection: Collection<Document>,
}

impl Requests {
    /// On the shared MongoDB.
    pub(crate) async fn new() -> Self {
        Self::at(&shared_mongo_uri().await).await
    }

    pub(crate) async fn at(uri: &str) -> Self {
        let name: String = unique_name("kept").chars().rev().take(38).collect();
        let client = Client::with_uri_str(uri).await.unwrap();
        Self {
            uri: uri.to_owned(),
            collection: client.database(&name).collection("requests"),
        }
    }

    pub(crate) async fn insert(&self, documents: &[Document]) {
        self.collection.insert_many(documents).await.unwrap();
    }

    /// The ids of those that are there.
    pub(crate) async fn ids(&self) -> Vec<Bson> {
        self.collection.distinct("_id", doc! {}).await.unwrap()
    }

    /// What says where these are, and further settings.
    pub(crate) fn settings(&self, settings: &[(&str, &str)]) -> Settings {
        let database = self.collection.namespace().db;
        let mut environment = HashMap::from([
            ("KEEPER_ADMIN_LISTEN", "127.0.0.1:0"),
            ("KEEPER_MONGO_URI", &self.uri),
            ("KEEPER_DATABASE", database.as_str()),
            ("KEEPER_INTERVAL", "20ms"),
        ]);
        environment.extend(settings.iter().copied());
        Settings::load(None, environment).unwrap()
    }

    /// A keeper of these, with further settings.
    pub(crate) async fn keeper(&self, settings: &[(&str, &str)]) -> Keeper {
        let settings = self.settings(settings);
        let application = Application::build(settings).await.unwrap();
        let admin = application.admin_address().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(application.run_until_stopped(async {
            let _ = stopped.await;
        }));
        Keeper {
            admin,
            stop,
            running,
        }
    }
}

pub(crate) struct Keeper {
    pub(crate) admin: SocketAddr,
    stop: oneshot::Sender<()>,
    running: JoinHandle<std::io::Result<()>>,
}

impl Keeper {
    pub(crate) fn metrics(&self) -> String {
        RawClient::connect(self.admin).get("/metrics").text()
    }

    /// A metric's value, if it is told.
    pub(crate) fn value(&self, metric: &str) -> Option<f64> {
        let metrics = self.metrics();
        let mut lines = metrics.lines();
        lines.find_map(|line| line.strip_prefix(metric)?.trim().parse().ok())
    }

    /// Waits until a metric has a value.
    #[track_caller]
    pub(crate) fn wait_for(&self, metric: &str, value: f64) {
        wait_within(SOON, &format!("{metric} {value}"), || {
            self.value(metric)
                .is_some_and(|it| (it - value).abs() < 0.5)
        });
    }

    /// Ends it, as SIGTERM does.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.running.await.unwrap().unwrap();
    }
}

/// A request that was recorded so long ago, as the API records it.
pub(crate) fn request(age: Duration) -> Document {
    doc! { "_id": id(age), "data": "a", "received_at": ago(age) }
}

pub(crate) fn ago(age: Duration) -> DateTime {
    DateTime::from_system_time(SystemTime::now() - age)
}

/// An id that was made so long ago.
pub(crate) fn id(age: Duration) -> ObjectId {
    let seconds = ago(age).timestamp_millis() / 1000;
    let mut bytes = ObjectId::new().bytes();
    bytes[..4].copy_from_slice(&u32::try_from(seconds).unwrap().to_be_bytes());
    ObjectId::from_bytes(bytes)
}
