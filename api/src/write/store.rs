//! MongoDB: its state of health, and durable inserts.
//!
//! Create it on the runtime that the coalescer runs on: the driver's monitors and connections live
//! where its clients were created, and writes from there cross no thread.
//!
//! No operation is ever dropped half way ([`Logins::run`] says why), and no more are begun than have
//! a connection each: at most [`WRITES`] writes, and one question of each kind, which is answered to
//! all who ask it. So nobody waits for a connection behind others, whatever burst there has been.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};

use mongo_login::MongoSettings;
use mongodb::bson::raw::RawDocumentBuf;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind, InsertManyError, RETRYABLE_WRITE_ERROR};
use mongodb::options::{ReadPreference, SelectionCriteria};
use mongodb::results::InsertManyResult;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::budget::WRITES;
use crate::observe::metrics::MongoMetrics;
use crate::write::coalescer::{Rejection, Store, StoreError};
use crate::write::logins::Logins;
use crate::write::outage::Outage;

/// MongoDB's code for a value that a unique index has already. The index is only told in the
/// message, whose rest may hold a client's text: so it is compared from its beginning.
const DUPLICATE_KEY: i32 = 11000;

/// MongoDB's codes for what ends because the server does (`ShutdownInProgress`, `InterruptedAtShutdown`).
/// Of a replica set they are labelled as retryable; a server by itself knows no retryable writes.
const SHUTTING_DOWN: [i32; 2] = [91, 11600];

/// How long one waits before the next attempt, so that a server that fails at once isn't asked without end.
/// Where none is known, the driver waits for one.
const PAUSE: Duration = Duration::from_millis(50);

/// Why the store can't be set up. MongoDB being away is no reason.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The driver refuses the options, or the DNS records of a `mongodb+srv` name can't be had.
    #[error("MongoDB client: {0}")]
    Client(String),
}

#[derive(Debug)]
pub struct MongoStore {
    logins: Arc<Logins>,
    /// Where operations run to their end, whoever stops waiting for them.
    runtime: Handle,
    /// A place for each write that may be with the driver.
    writes: Arc<Semaphore>,
    ping: Question,
    readiness: Question,
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
        let outage = Outage::new(settings.uris().len(), metrics.clone());
        let logins = Logins::new(settings, write_timeout, &outage, metrics)
            .await
            .map_err(|error| SetupError::Client(error.to_string()))?;
        Ok(Self {
            logins: Arc::new(logins),
            runtime: Handle::current(),
            writes: Arc::new(Semaphore::new(WRITES as usize)),
            ping: Question::default(),
            readiness: Question::default(),
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

    /// Asks the server for a sign of life; waits at most the write timeout. Who asks while another
    /// does gets the same answer.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.ask(&self.ping, doc! { "ping": 1 }, self.write_timeout)
            .await
    }

    /// Asks for something that only an authenticated user gets where the server wants
    /// authentication (a ping is answered without); waits at most `limit`.
    pub async fn check_ready(&self, limit: Duration) -> Result<(), StoreError> {
        if self.is_known_down() {
            return Err(StoreError("MongoDB takes no writes".to_owned()));
        }
        let command =
            doc! { "listCollections": 1, "nameOnly": true, "authorizedCollections": true };
        self.ask(&self.readiness, command, limit.min(self.write_timeout))
            .await
    }

    async fn ask(
        &self,
        question: &Question,
        command: Document,
        limit: Duration,
    ) -> Result<(), StoreError> {
        let logins = Arc::clone(&self.logins);
        // While a primary is being elected, writes wait; there is no need to say that nothing works.
        let any_member: SelectionCriteria =
            ReadPreference::PrimaryPreferred { options: None }.into();
        let mut attempts = Attempts::for_so_long(limit);
        let answer = question.ask(|| {
            self.runtime.spawn(async move {
                loop {
                    let answer = logins.run(|login| {
                        let question = login.database.run_command(command.clone());
                        question.selection_criteria(any_member.clone())
                    });
                    let Err(error) = answer.await else {
                        return Ok(());
                    };
                    if !attempts.go_on_after(&error).await {
                        return Err(StoreError(logins.describe(&error)));
                    }
                }
            })
        });
        tokio::time::timeout(limit, answer)
            .await
            .unwrap_or_else(|_| Err(StoreError(format!("no answer from MongoDB in {limit:?}"))))
    }

    /// The documents of a batch that were rejected.
    fn rejections(
        &self,
        inserted: Result<InsertManyResult, Error>,
    ) -> Result<Vec<Rejection>, StoreError> {
        let Err(error) = inserted else {
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

    fn failed(&self, error: &Error) -> StoreError {
        StoreError(self.logins.describe(error))
    }
}

/// A question that is asked once at a time: its answer is for all who want it meanwhile.
#[derive(Debug, Default)]
struct Question(Mutex<Option<Answer>>);

type Answer = Shared<BoxFuture<'static, Result<(), StoreError>>>;

impl Question {
    /// The answer to the question that is being asked, or else to the one that `begin` asks.
    fn ask(&self, begin: impl FnOnce() -> JoinHandle<Result<(), StoreError>>) -> Answer {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = asked.as_ref().filter(|answer| answer.peek().is_none()) {
            return answer.clone();
        }
        let asking = begin();
        let answer = async move {
            asking
                .await
                .unwrap_or_else(|error| Err(StoreError(error.to_string())))
        };
        asked.insert(answer.boxed().shared()).clone()
    }
}

impl Store for MongoStore {
    /// The write concern covers what was stored before, too: MongoDB waits for it "even if that
    /// write was a noop" (`service_entry_point_mongod.cpp`), by the newest operation that there is
    /// in the replica set and by flushing the journal. So what is rejected for its `_id` here is as
    /// durable as what is inserted.
    ///
    /// Who stops waiting for it doesn't end it, but its place is taken until it has ended. One that
    /// waits for a place has sent nothing.
    ///
    /// What fails because a primary is lost is sent again, to the next one, for as long as somebody may
    /// be waiting: the driver does so once. Its documents have their ids, so none is stored twice; and
    /// a document whose id is taken by then is one that an earlier attempt has stored.
    async fn insert(&self, batch: Vec<RawDocumentBuf>) -> Result<Vec<Rejection>, StoreError> {
        let gone = |error: &dyn std::error::Error| StoreError(error.to_string());
        let mut attempts = Attempts::for_so_long(self.write_timeout);
        let place = Arc::clone(&self.writes).acquire_owned().await;
        let place = place.map_err(|error| gone(&error))?;
        let logins = Arc::clone(&self.logins);
        let inserted = self.runtime.spawn(async move {
            let inserted = loop {
                let inserted = logins
                    .run(|login| login.collection.insert_many(&batch).ordered(false))
                    .await;
                let Err(error) = &inserted else {
                    break inserted;
                };
                if !attempts.go_on_after(error).await {
                    break inserted;
                }
                tracing::warn!(documents = batch.len(), %error, "sending a batch again");
            };
            drop(place);
            (inserted, attempts.failed)
        });
        let (inserted, failed) = inserted.await.map_err(|error| gone(&error))?;
        let mut rejections = self.rejections(inserted)?;
        if failed > 0 {
            rejections.retain(|rejection| !rejection.duplicate_id);
        }
        Ok(rejections)
    }
}

/// What is tried again for as long as somebody may be waiting.
struct Attempts {
    until: Instant,
    failed: u32,
}

impl Attempts {
    fn for_so_long(limit: Duration) -> Self {
        Self {
            until: Instant::now() + limit,
            failed: 0,
        }
    }

    /// Whether to try again, after a pause.
    async fn go_on_after(&mut self, error: &Error) -> bool {
        if !is_passing(error) || Instant::now() + PAUSE >= self.until {
            return false;
        }
        self.failed += 1;
        tokio::time::sleep(PAUSE).await;
        true
    }
}

/// Whether an operation failed for a reason that passes: its server is gone, is no primary any more, or
/// couldn't reach the majority.
fn is_passing(error: &Error) -> bool {
    error.contains_label(RETRYABLE_WRITE_ERROR)
        || match &*error.kind {
            ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. } => true,
            ErrorKind::Command(refusal) => SHUTTING_DOWN.contains(&refusal.code),
            ErrorKind::InsertMany(failed) => failed.write_concern_error.is_some(),
            _ => false,
        }
}
