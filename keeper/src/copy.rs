//! All that was recorded, out of MongoDB and into it: `keeper dump` and `keeper load`, which `deploy backup`
//! and `deploy restore` run in the keeper's container (docs/backup.md). The form of what is written and read
//! is the crate `dump-stream`'s.
//!
//! Each is a process of its own beside the keeper, with a few MiB and one connection at work: as fast as whoever is at
//! the other end of the stream, and no faster. MongoDB may be away for a while.

pub mod dump;
pub mod load;

use std::io;
use std::time::{Duration, Instant};

use mongodb::bson::raw::{RawDocument, RawDocumentBuf};
use mongodb::bson::{Bson, Document};
use mongodb::error::{Error, ErrorKind};
use tokio::time::sleep;

use crate::settings::Settings;
use crate::store::Store;
use crate::watch::{NAMESPACE_NOT_FOUND, has_code};

/// How long MongoDB may be away.
const PATIENCE: Duration = Duration::from_secs(60);
/// Before it is asked again.
const PAUSE: Duration = Duration::from_millis(500);
/// MongoDB's codes for what waiting doesn't help with: `Unauthorized`, `AuthenticationFailed`.
const HOPELESS: [i32; 2] = [13, 18];

/// Why it can't go on.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What MongoDB said.
    #[error("{doing} at MongoDB: {said}")]
    Mongo {
        /// What was asked of it.
        doing: &'static str,
        /// What it, or the driver, says of that.
        said: String,
    },
    /// The stream's other end, or what comes from there.
    #[error("{0}")]
    Stream(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Stream(format!("the stream broke: {error}"))
    }
}

async fn store(settings: &Settings) -> Result<Store, Failure> {
    let store = Store::new(&settings.mongo).await;
    store.map_err(|error| Failure::Mongo {
        doing: "setting up a client",
        said: error.to_string(),
    })
}

/// Waits while MongoDB is away, and not for ever.
struct Patience<'a> {
    store: &'a Store,
    doing: &'static str,
    since: Option<Instant>,
}

impl<'a> Patience<'a> {
    fn new(store: &'a Store, doing: &'static str) -> Self {
        Self {
            store,
            doing,
            since: None,
        }
    }

    /// It went on.
    fn renew(&mut self) {
        self.since = None;
    }

    /// Waits before it is tried again.
    async fn after(&mut self, error: Error) -> Result<(), Failure> {
        let since = *self.since.get_or_insert_with(Instant::now);
        if is_hopeless(&error) || since.elapsed() > PATIENCE {
            return Err(Failure::Mongo {
                doing: self.doing,
                said: self.store.describe(&error),
            });
        }
        sleep(PAUSE).await;
        Ok(())
    }
}

fn is_hopeless(error: &Error) -> bool {
    match &*error.kind {
        ErrorKind::Authentication { .. } | ErrorKind::InvalidArgument { .. } => true,
        ErrorKind::Command(refusal) => HOPELESS.contains(&refusal.code),
        _ => false,
    }
}

/// A document's `_id`, in a document of its own.
fn id_of(document: &RawDocument) -> Result<RawDocumentBuf, Failure> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Failure::Stream(format!("a document can't be read: {error}"))
    };
    let id = document.get("_id").map_err(|error| unreadable(&error))?;
    let id = id.ok_or_else(|| Failure::Stream("a document without _id".to_owned()))?;
    let mut alone = RawDocumentBuf::new();
    alone.append(mongodb::bson::raw::cstr!("_id"), id);
    Ok(alone)
}

/// The same, as a query has it.
fn value_of(id: &RawDocument) -> Result<Document, Failure> {
    let unreadable = |error| Failure::Stream(format!("an _id can't be read: {error}"));
    Document::try_from(id).map_err(unreadable)
}

/// The same, for people: 24 hexadecimal digits, mostly.
fn text_of(id: &RawDocument) -> String {
    match value_of(id).ok().and_then(|it| it.get("_id").cloned()) {
        Some(Bson::ObjectId(id)) => id.to_hex(),
        Some(id) => id.to_string(),
        None => String::new(),
    }
}

/// The collection's indexes, as MongoDB tells of them; none, where there is no collection.
async fn indexes(store: &Store) -> Result<Vec<Document>, Failure> {
    let mut patience = Patience::new(store, "listing the indexes");
    loop {
        let listed = store.run(|requests| async move {
            let command = mongodb::bson::doc! { "listIndexes": requests.name() };
            let database = requests.client().database(&requests.namespace().db);
            let mut cursor = database.run_cursor_command(command).await?;
            let mut indexes = Vec::new();
            while cursor.advance().await? {
                indexes.push(cursor.deserialize_current()?);
            }
            Ok(indexes)
        });
        match listed.await {
            Ok(indexes) => return Ok(indexes),
            Err(error) if has_code(&error, NAMESPACE_NOT_FOUND) => return Ok(Vec::new()),
            Err(error) => patience.after(error).await?,
        }
    }
}
