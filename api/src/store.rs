//! MongoDB: its state of health, and durable inserts.
//!
//! Create it on the runtime that the coalescer runs on: the driver's monitors and connections live
//! where its clients were created, and writes from there cross no thread.

use std::time::Duration;

use mongodb::bson::raw::RawDocumentBuf;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind, InsertManyError};
use secrecy::SecretString;

use crate::coalescer::{Rejection, Store, StoreError};
use crate::configuration::{ConfigError, MongoSettings};
use crate::logins::Logins;
use crate::metrics::MongoMetrics;
use crate::mongo_uri::MongoUri;
use crate::outage::Outage;
use crate::secret_file;

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
#[derive(Debug)]
pub struct MongoStore {
    logins: Logins,
    /// How MongoDB's message begins where a document's `_id` is taken.
    id_is_taken: String,
    outage: Outage,
    write_timeout: Duration,
}

impl MongoStore {
    /// Creates the clients; doesn't wait for a connection.
    pub async fn new(
        settings: &MongoSettings,
        write_timeout: Duration,
        metrics: &MongoMetrics,
    ) -> Result<Self, SetupError> {
        let uris = uris(settings)?;
        let outage = Outage::new(uris.len());
        let logins = Logins::new(&uris, settings, write_timeout, &outage, metrics)
            .await
            .map_err(|error| SetupError::Client(error.to_string()))?;
        Ok(Self {
            logins,
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
        let answer = self
            .logins
            .run(|login| login.database.run_command(command.clone()));
        tokio::time::timeout(self.write_timeout, answer)
            .await
            .map_err(|_| {
                StoreError(format!(
                    "no answer from MongoDB in {:?}",
                    self.write_timeout
                ))
            })?
            .map(drop)
            .map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &Error) -> StoreError {
        StoreError(self.logins.describe(error))
    }
}

/// The connection string, with each of the passwords if there are any.
fn uris(settings: &MongoSettings) -> Result<Vec<MongoUri>, ConfigError> {
    let Some((username, file)) = &settings.credentials else {
        return Ok(vec![settings.uri.clone()]);
    };
    let passwords = secret_file::read_lines("API_MONGO_PASSWORD_FILE", file)?;
    let with = |password: &SecretString| settings.uri.with_credentials(username, password);
    Ok(passwords.iter().map(with).collect())
}

impl Store for MongoStore {
    /// The write concern covers what was stored before, too: MongoDB waits for it "even if that
    /// write was a noop" (`service_entry_point_mongod.cpp`), by the newest operation that there is
    /// in the replica set and by flushing the journal. So what is rejected for its `_id` here is as
    /// durable as what is inserted.
    async fn insert(&self, batch: &[RawDocumentBuf]) -> Result<Vec<Rejection>, StoreError> {
        let inserted = self
            .logins
            .run(|login| login.collection.insert_many(batch).ordered(false));
        let Err(error) = inserted.await else {
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
            _ => Err(self.failed(&error)),
        }
    }
}
