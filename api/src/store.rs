//! MongoDB: one client for the process, its state of health, and durable inserts.
//!
//! Create it on the runtime that the coalescer runs on: the driver's monitors and connections live
//! where the client was created, and writes from there cross no thread.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mongodb::bson::raw::RawDocumentBuf;
use mongodb::bson::{Document, doc};
use mongodb::error::{ErrorKind, InsertManyError};
use mongodb::event::EventHandler;
use mongodb::event::cmap::CmapEvent;
use mongodb::event::sdam::SdamEvent;
use mongodb::options::{Acknowledgment, ClientOptions, CollectionOptions, WriteConcern};
use mongodb::{Client, Collection, Database};

use crate::coalescer::{Rejection, Store, StoreError};
use crate::configuration::{ConfigError, MongoSettings};
use crate::metrics::MongoMetrics;
use crate::secret_file;

/// How often the driver looks at each server unless the URI says otherwise. The driver's own 10 s
/// would be how long recovery from an outage may go unnoticed.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How long opening a connection may take unless the URI says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Connections per server unless the URI says otherwise. The lanes of the coalescer need one each;
/// the others are for pings.
const POOL_SIZE: u32 = 8;

/// MongoDB's code for a value that a unique index has already. The index is only told in the
/// message, whose rest may hold a client's text: so it is compared from its beginning.
const DUPLICATE_KEY: i32 = 11000;

/// Why the store can't be set up. MongoDB being away is no reason.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A setting can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The driver refuses the options, or the DNS records of a `mongodb+srv` name can't be had.
    #[error("MongoDB client: {0}")]
    Client(String),
}

/// The collection that requests are written to.
#[derive(Clone, Debug)]
pub struct MongoStore {
    database: Database,
    collection: Collection<RawDocumentBuf>,
    /// How MongoDB's message begins where a document's `_id` is taken.
    id_is_taken: String,
    outage: Outage,
    write_timeout: Duration,
}

impl MongoStore {
    /// Creates the client; doesn't wait for a connection.
    pub async fn new(
        settings: &MongoSettings,
        write_timeout: Duration,
        metrics: &MongoMetrics,
    ) -> Result<Self, SetupError> {
        let uri = match &settings.credentials {
            Some((username, file)) => settings.uri.with_credentials(
                username,
                &secret_file::read("API_MONGO_PASSWORD_FILE", file)?,
            ),
            None => settings.uri.clone(),
        };
        let client_error = |error: mongodb::error::Error| SetupError::Client(error.to_string());
        let mut options = ClientOptions::parse(uri.expose())
            .await
            .map_err(client_error)?;
        let outage = Outage::new();
        options
            .app_name
            .get_or_insert_with(|| "causeway-api".to_owned());
        options.heartbeat_freq.get_or_insert(HEARTBEAT);
        options.connect_timeout.get_or_insert(CONNECT_TIMEOUT);
        options.max_pool_size.get_or_insert(POOL_SIZE);
        let selection = options.server_selection_timeout.unwrap_or(write_timeout);
        options.server_selection_timeout = Some(selection.min(write_timeout));
        options.sdam_event_handler = Some(follow_topology(outage.clone(), metrics.clone()));
        options.cmap_event_handler = Some(follow_pool(metrics.clone()));

        let client = Client::with_options(options).map_err(client_error)?;
        let database = client.database(&settings.database);
        let write_concern = WriteConcern::builder()
            .w(Acknowledgment::Majority)
            .journal(true)
            .w_timeout(write_timeout)
            .build();
        let collection = database.collection_with_options(
            &settings.collection,
            CollectionOptions::builder()
                .write_concern(write_concern)
                .build(),
        );
        Ok(Self {
            database,
            collection,
            id_is_taken: format!(
                "E11000 duplicate key error collection: {}.{} index: _id_ dup key: ",
                settings.database, settings.collection
            ),
            outage,
            write_timeout,
        })
    }

    /// Whether no server has taken writes for a whole write timeout: a request that waited for one
    /// would only wait in vain. Shorter gaps (an election, a restart) are waited out instead.
    pub fn is_known_down(&self) -> bool {
        self.outage
            .duration()
            .is_some_and(|duration| duration >= self.write_timeout)
    }

    /// Asks the server for a sign of life; waits at most the write timeout.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.run(doc! { "ping": 1 }).await
    }

    /// Asks for something that only an authenticated user gets where the server wants
    /// authentication (a ping is answered without); waits at most `limit`.
    pub async fn check_ready(&self, limit: Duration) -> Result<(), StoreError> {
        let command =
            doc! { "listCollections": 1, "nameOnly": true, "authorizedCollections": true };
        tokio::time::timeout(limit, self.run(command))
            .await
            .unwrap_or_else(|_| Err(StoreError(format!("no answer from MongoDB in {limit:?}"))))
    }

    async fn run(&self, command: Document) -> Result<(), StoreError> {
        tokio::time::timeout(self.write_timeout, self.database.run_command(command))
            .await
            .map_err(|_| {
                StoreError(format!(
                    "no answer from MongoDB in {:?}",
                    self.write_timeout
                ))
            })?
            .map(drop)
            .map_err(|error| StoreError(error.to_string()))
    }
}

impl Store for MongoStore {
    /// The write concern covers what was stored before, too: MongoDB waits for it "even if that
    /// write was a noop" (`service_entry_point_mongod.cpp`), by the newest operation that there is
    /// in the replica set and by flushing the journal. So what is rejected for its `_id` here is as
    /// durable as what is inserted.
    async fn insert(&self, batch: &[RawDocumentBuf]) -> Result<Vec<Rejection>, StoreError> {
        let Err(error) = self.collection.insert_many(batch).ordered(false).await else {
            return Ok(Vec::new());
        };
        match *error.kind {
            // Without durable acknowledgement for the rest, nothing is acknowledged.
            ErrorKind::InsertMany(InsertManyError {
                write_errors: Some(rejected),
                write_concern_error: None,
                ..
            }) => Ok(rejected
                .into_iter()
                .map(|error| Rejection {
                    index: error.index,
                    duplicate_id: error.code == DUPLICATE_KEY
                        && error.message.starts_with(&self.id_is_taken),
                    reason: error.message,
                })
                .collect()),
            _ => Err(StoreError(error.to_string())),
        }
    }
}

/// Since when no server has been known that takes writes.
#[derive(Clone, Debug)]
struct Outage(Arc<Mutex<Option<Instant>>>);

impl Outage {
    /// At the start no server is known yet.
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Some(Instant::now()))))
    }

    /// How long it has lasted; nothing while there is a server.
    fn duration(&self) -> Option<Duration> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .map(|since| since.elapsed())
    }

    /// Notes whether there is a server now; says whether that is news.
    fn set_up(&self, up: bool) -> bool {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = since.is_none() != up;
        if changed {
            *since = if up { None } else { Some(Instant::now()) };
        }
        changed
    }
}

/// Follows what the driver knows of the servers.
fn follow_topology(outage: Outage, metrics: MongoMetrics) -> EventHandler<SdamEvent> {
    EventHandler::callback(move |event| match event {
        SdamEvent::TopologyDescriptionChanged(change) => {
            let up = change.new_description.has_writable_server();
            if outage.set_up(up) {
                metrics.up.set(up.into());
                if up {
                    tracing::info!("MongoDB takes writes");
                } else {
                    tracing::warn!("MongoDB takes no writes");
                }
            }
        }
        SdamEvent::ServerHeartbeatFailed(failed) => {
            tracing::debug!(server = %failed.server_address, error = %failed.failure, "no heartbeat");
        }
        _ => {}
    })
}

fn follow_pool(metrics: MongoMetrics) -> EventHandler<CmapEvent> {
    EventHandler::callback(move |event| match event {
        CmapEvent::ConnectionCreated(_) => {
            metrics.connections.inc();
            metrics.opened.inc();
        }
        CmapEvent::ConnectionClosed(_) => {
            metrics.connections.dec();
        }
        CmapEvent::ConnectionCheckedOut(_) => {
            metrics.checked_out.inc();
        }
        CmapEvent::ConnectionCheckedIn(_) => {
            metrics.checked_out.dec();
        }
        _ => {}
    })
}
