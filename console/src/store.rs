//! The way into MongoDB: reads of the one collection, each bounded in time.

use std::sync::Arc;
use std::time::Duration;

use mongo_login::{Logins, MongoSettings};
use mongodb::bson::raw::RawDocumentBuf;
use mongodb::error::{Error, Result};
use mongodb::options::ClientOptions;
use mongodb::{Client, Collection};
use tokio::task::JoinError;

/// How often the driver looks at each server unless the URI says otherwise.
const HEARTBEAT: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Operations at a time; others wait.
const POOL: u32 = 8;

/// Clones are the same store.
#[derive(Clone, Debug)]
pub struct Store {
    logins: Arc<Logins<Collection<RawDocumentBuf>>>,
    query_timeout: Duration,
}

impl Store {
    /// Creates the clients; doesn't wait for a connection.
    pub async fn new(settings: &MongoSettings, query_timeout: Duration) -> Result<Self> {
        let mut all = Vec::new();
        for uri in settings.uris() {
            let mut options = ClientOptions::parse(uri.expose()).await?;
            options
                .app_name
                .get_or_insert_with(|| "causeway-console".to_owned());
            options.heartbeat_freq.get_or_insert(HEARTBEAT);
            options.connect_timeout.get_or_insert(CONNECT_TIMEOUT);
            options
                .server_selection_timeout
                .get_or_insert(query_timeout);
            options.max_pool_size.get_or_insert(POOL);
            let database = Client::with_options(options)?.database(&settings.database);
            all.push(database.collection(&settings.collection));
        }
        Ok(Self {
            logins: Arc::new(Logins::new(settings, all)),
            query_timeout,
        })
    }

    /// Longest time for a search.
    pub fn query_timeout(&self) -> Duration {
        self.query_timeout
    }

    /// Runs a read to its end, with whichever password is accepted, even if nobody waits for it any
    /// more ([`Logins::run`] says why): `maxTimeMS` bounds it.
    pub async fn read<T, F, Fut>(&self, read: F) -> Result<T>
    where
        F: Fn(Collection<RawDocumentBuf>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T>> + Send,
        T: Send + 'static,
    {
        let logins = Arc::clone(&self.logins);
        let reading =
            tokio::spawn(async move { logins.run(|collection| read(collection.clone())).await });
        reading
            .await
            .unwrap_or_else(|error: JoinError| Err(Error::custom(error.to_string())))
    }

    /// What to say of an error.
    pub fn describe(&self, error: &Error) -> String {
        self.logins.describe(error)
    }
}
