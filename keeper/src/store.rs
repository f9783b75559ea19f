//! The way into MongoDB: the one collection, with whichever password is accepted.

use std::sync::Arc;
use std::time::Duration;

use mongo_login::{Logins, MongoSettings};
use mongodb::bson::raw::RawDocumentBuf;
use mongodb::error::{Error, Result};
use mongodb::options::{Acknowledgment, ClientOptions, WriteConcern};
use mongodb::{Client, Collection};
use tokio::task::JoinError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A primary is elected by then, or MongoDB counts as away.
const SELECTION_TIMEOUT: Duration = Duration::from_secs(15);
/// Operations at a time; others wait.
const POOL: u32 = 4;

/// The collection of the requests. Its database and its client are those that one has of it.
pub type Requests = Collection<RawDocumentBuf>;

/// Clones are the same store.
#[derive(Clone, Debug)]
pub struct Store {
    logins: Arc<Logins<Requests>>,
}

impl Store {
    /// Creates the clients; doesn't wait for a connection. What is written is durable when it is
    /// acknowledged, as with the API.
    pub async fn new(settings: &MongoSettings) -> Result<Self> {
        let mut all = Vec::new();
        for uri in settings.uris() {
            let mut options = ClientOptions::parse(uri.expose()).await?;
            options
                .app_name
                .get_or_insert_with(|| "causeway-keeper".to_owned());
            options.connect_timeout.get_or_insert(CONNECT_TIMEOUT);
            options
                .server_selection_timeout
                .get_or_insert(SELECTION_TIMEOUT);
            options.max_pool_size.get_or_insert(POOL);
            options.write_concern = Some(
                WriteConcern::builder()
                    .w(Acknowledgment::Majority)
                    .journal(true)
                    .build(),
            );
            let database = Client::with_options(options)?.database(&settings.database);
            all.push(database.collection(&settings.collection));
        }
        Ok(Self {
            logins: Arc::new(Logins::new(settings, all)),
        })
    }

    /// Runs an operation to its end, even if nobody waits for it any more ([`Logins::run`] says why).
    pub async fn run<T, F, Fut>(&self, operation: F) -> Result<T>
    where
        F: Fn(Requests) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T>> + Send,
        T: Send + 'static,
    {
        let logins = Arc::clone(&self.logins);
        let running =
            tokio::spawn(
                async move { logins.run(|collection| operation(collection.clone())).await },
            );
        let ended = running.await;
        ended.unwrap_or_else(|error: JoinError| Err(Error::custom(error.to_string())))
    }

    /// What to say of an error.
    pub fn describe(&self, error: &Error) -> String {
        self.logins.describe(error)
    }
}
