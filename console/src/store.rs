//! The way into MongoDB: reads of the one collection, each bounded in time, and all of them together in
//! memory (docs/budgets.md).

use std::sync::Arc;
use std::time::Duration;

use mongo_login::{Logins, MongoSettings};
use mongodb::bson::raw::RawDocumentBuf;
use mongodb::error::{Error, ErrorKind, Result};
use mongodb::options::ClientOptions;
use mongodb::{Client, Collection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;
use tokio::time::timeout;

use crate::observe::SearchMetrics;
use crate::replies::Busy;

/// How often the driver looks at each server unless the URI says otherwise.
const HEARTBEAT: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Operations at a time; others wait.
const POOL: u32 = 8;
/// Of these, searches that no index serves.
const SCANS: usize = 4;
/// What may be in memory of MongoDB's answers until they have been put into words: two of the largest.
const ROOM: usize = 2 * LARGEST;
/// The room for an answer with whole documents. MongoDB sends 16 MiB at most, of which the driver has two
/// copies while it reads them; then there are the document and what is made of it.
pub(crate) const LARGEST: usize = 2 * (16 << 20);
/// The proxies take no head that is longer.
pub(crate) const LONGEST_URL: usize = 64 << 10;
/// How long after the end of its time an operation's answer may come.
pub(crate) const GRACE: Duration = Duration::from_secs(1);
/// MongoDB's code for `maxTimeMS`.
pub(crate) const MAX_TIME_MS_EXPIRED: i32 = 50;

/// Clones are the same store.
#[derive(Clone, Debug)]
pub struct Store {
    logins: Arc<Logins<Collection<RawDocumentBuf>>>,
    query_timeout: Duration,
    scans: Arc<Semaphore>,
    /// In KiB.
    rooms: Arc<Semaphore>,
    /// What its reads have of that: kept by each until its end.
    room: Option<Arc<OwnedSemaphorePermit>>,
    searches: SearchMetrics,
    /// The first of the connection string, `host:port`.
    server: Option<String>,
}

impl Store {
    /// Creates the clients; doesn't wait for a connection.
    pub async fn new(settings: &MongoSettings, query_timeout: Duration) -> Result<Self> {
        let (mut all, mut server) = (Vec::new(), None);
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
            server = options.hosts.first().map(ToString::to_string);
            let database = Client::with_options(options)?.database(&settings.database);
            all.push(database.collection(&settings.collection));
        }
        Ok(Self {
            logins: Arc::new(Logins::new(settings, all)),
            query_timeout,
            scans: Arc::new(Semaphore::new(SCANS)),
            rooms: Arc::new(Semaphore::new(ROOM >> 10)),
            room: None,
            searches: SearchMetrics::default(),
            server,
        })
    }

    /// Longest time for a search.
    pub fn query_timeout(&self) -> Duration {
        self.query_timeout
    }

    /// The first server of the connection string, `host:port`.
    pub(crate) fn server(&self) -> Option<&str> {
        self.server.as_deref()
    }

    /// How long searches take.
    pub(crate) fn searches(&self) -> &SearchMetrics {
        &self.searches
    }

    /// A place for a search that no index serves: there are few, so that quick reads needn't wait.
    pub(crate) async fn scan(&self) -> Result<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.scans).acquire_owned().await;
        place.map_err(|error| Error::custom(error.to_string()))
    }

    /// The same store, with room for what its reads have in memory at a time and for what is made of it:
    /// as long as it or one of its reads is there. Who has one doesn't ask for another.
    pub(crate) async fn with_room(&self, bytes: usize) -> std::result::Result<Self, Busy> {
        let share = u32::try_from(bytes.min(ROOM).div_ceil(1024)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.rooms).acquire_many_owned(share);
        let room = timeout(self.query_timeout, room).await.ok();
        let room = room.and_then(std::result::Result::ok);
        Ok(Self {
            room: Some(Arc::new(room.ok_or(Busy::Reading)?)),
            ..self.clone()
        })
    }

    /// Runs a read to its end, with whichever password is accepted, even if nobody waits for it any
    /// more ([`Logins::run`] says why): `maxTimeMS` bounds it. Its answer is waited for a little
    /// longer than a search may take.
    pub async fn read<T, F, Fut>(&self, read: F) -> Result<T>
    where
        F: Fn(Collection<RawDocumentBuf>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T>> + Send,
        T: Send + 'static,
    {
        let (logins, room) = (Arc::clone(&self.logins), self.room.clone());
        let reading = tokio::spawn(async move {
            let _room = room;
            logins.run(|collection| read(collection.clone())).await
        });
        let limit = self.query_timeout + GRACE;
        match timeout(limit, reading).await {
            Ok(read) => {
                read.unwrap_or_else(|error: JoinError| Err(Error::custom(error.to_string())))
            }
            Err(_) => Err(Error::custom(format!(
                "no answer from MongoDB in {limit:?}"
            ))),
        }
    }

    /// What to say of an error.
    pub fn describe(&self, error: &Error) -> String {
        match &*error.kind {
            ErrorKind::Custom(said) => match said.downcast_ref::<String>() {
                Some(said) => said.clone(),
                None => error.to_string(),
            },
            ErrorKind::Command(failed) if failed.code == MAX_TIME_MS_EXPIRED => {
                format!("MongoDB took longer than {:?}", self.query_timeout)
            }
            _ => self.logins.describe(error),
        }
    }
}

/// Whether MongoDB failed with this code.
pub(crate) fn has_code(error: &Error, code: i32) -> bool {
    matches!(&*error.kind, ErrorKind::Command(failed) if failed.code == code)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tempfile::NamedTempFile;
    use tokio::sync::watch;

    use super::*;
    use crate::settings::Settings;

    /// One whose MongoDB is never there.
    async fn store() -> Store {
        let mut tokens = NamedTempFile::new().unwrap();
        writeln!(tokens, "a-token-for-tests-0123456789").unwrap();
        let settings = [
            ("CONSOLE_TOKEN_FILE", tokens.path().to_str().unwrap()),
            ("CONSOLE_MONGO_URI", "mongodb://127.0.0.1:1"),
        ];
        let settings = Settings::load(None, settings).unwrap();
        let time = Duration::from_millis(200);
        Store::new(&settings.mongo, time).await.unwrap()
    }

    #[tokio::test]
    async fn two_of_the_largest_answers_have_room_and_clones_share_it() {
        let store = store().await;
        let first = store.with_room(LARGEST).await.unwrap();
        let second = store.clone().with_room(LARGEST).await.unwrap();
        assert_eq!(store.with_room(1).await.unwrap_err(), Busy::Reading);
        let same = first.clone();
        drop(first);
        assert_eq!(store.with_room(1).await.unwrap_err(), Busy::Reading);
        drop(same);
        store.with_room(LARGEST).await.unwrap();
        drop(second);
        // More than there is has all of it.
        store.with_room(usize::MAX).await.unwrap();
    }

    #[tokio::test]
    async fn a_read_has_its_room_until_its_end_though_nobody_waits_for_it() {
        let store = store().await;
        let (end, ended) = watch::channel(false);
        let roomy = store.with_room(ROOM).await.unwrap();
        let read = roomy.read(move |_| {
            let mut ended = ended.clone();
            async move {
                let _ = ended.wait_for(|ended| *ended).await;
                Ok(())
            }
        });
        timeout(Duration::from_millis(20), read).await.unwrap_err();
        drop(roomy);
        assert_eq!(store.with_room(1).await.unwrap_err(), Busy::Reading);
        end.send_replace(true);
        store.with_room(ROOM).await.unwrap();
    }
}
