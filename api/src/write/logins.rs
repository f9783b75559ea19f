//! Which of several passwords MongoDB accepts.
//!
//! A password is replaced without a gap by giving the API both, the new one first: whichever is
//! accepted is used, and once it is refused, because the password has been changed meanwhile, the
//! next. The driver's client keeps its password for life, so there is a client for each. Connections
//! that are authenticated stay so; it is only new ones that can be refused.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mongodb::bson::raw::RawDocumentBuf;
use mongodb::error::{Error, ErrorKind, Result};
use mongodb::event::EventHandler;
use mongodb::event::cmap::CmapEvent;
use mongodb::options::{Acknowledgment, ClientOptions, CollectionOptions, WriteConcern};
use mongodb::{Client, Collection, Database};

use crate::budget::WRITES;
use crate::observe::metrics::MongoMetrics;
use crate::settings::MongoSettings;
use crate::write::mongo_uri::MongoUri;
use crate::write::outage::{Outage, is_refusal};

/// How often the driver looks at each server unless the URI says otherwise. The driver's own 10 s
/// would be how long recovery from an outage may go unnoticed.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How long opening a connection may take unless the URI says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Questions that are asked at once: a ping, and whether the database is ready.
const QUESTIONS: u32 = 2;

/// The way into the database with one password. Writes and questions have a client each, so that
/// neither waits for a connection that the other has.
#[derive(Debug)]
pub(crate) struct Login {
    /// The database, for questions.
    pub(crate) database: Database,
    /// The collection that requests are written to, durably.
    pub(crate) collection: Collection<RawDocumentBuf>,
}

/// A login for each password, and which of them is in use.
#[derive(Debug)]
pub(crate) struct Logins {
    all: Vec<Login>,
    current: AtomicUsize,
    outage: Outage,
    /// Whom we log in as, and where that user is kept.
    whom: String,
}

impl Login {
    /// Creates the client; doesn't wait for a connection.
    async fn new(
        uri: &MongoUri,
        settings: &MongoSettings,
        write_timeout: Duration,
        outage: EventHandler<mongodb::event::sdam::SdamEvent>,
        metrics: MongoMetrics,
    ) -> Result<Self> {
        let mut options = ClientOptions::parse(uri.expose()).await?;
        options
            .app_name
            .get_or_insert_with(|| "causeway-api".to_owned());
        options.heartbeat_freq.get_or_insert(HEARTBEAT);
        options.connect_timeout.get_or_insert(CONNECT_TIMEOUT);
        let selection = options.server_selection_timeout.unwrap_or(write_timeout);
        options.server_selection_timeout = Some(selection.min(write_timeout));
        options.cmap_event_handler = Some(follow_pool(metrics));
        let mut questions = options.clone();
        questions.max_pool_size.get_or_insert(QUESTIONS);
        // As many as there are writes at most: none waits for another's.
        options.max_pool_size.get_or_insert(WRITES);
        options.sdam_event_handler = Some(outage);

        let questions = Client::with_options(questions)?.database(&settings.database);
        let database = Client::with_options(options)?.database(&settings.database);
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
            database: questions,
            collection,
        })
    }
}

impl Logins {
    /// Creates a client for each of `uris`, which differ in their passwords.
    pub(crate) async fn new(
        uris: &[MongoUri],
        settings: &MongoSettings,
        write_timeout: Duration,
        outage: &Outage,
        metrics: &MongoMetrics,
    ) -> Result<Self> {
        let mut all = Vec::with_capacity(uris.len());
        for (number, uri) in uris.iter().enumerate() {
            let follow = outage.follow(number);
            all.push(Login::new(uri, settings, write_timeout, follow, metrics.clone()).await?);
        }
        Ok(Self {
            all,
            current: AtomicUsize::new(0),
            outage: outage.clone(),
            whom: uris.first().map(MongoUri::whom).unwrap_or_default(),
        })
    }

    /// Runs `operation` with the password in use and, where MongoDB refuses that, with the others:
    /// once with each. An operation whose connection was refused has never been sent, so trying it
    /// again can't do anything twice.
    ///
    /// Never drop this half way: while it waits for a connection, the driver (3.9) keeps its place in
    /// the queue of those who wait, and passes over one such place at a time, every half a second
    /// where nothing else happens. [`crate::write::store`] has each operation run to its end.
    pub(crate) async fn run<'a, T, F>(&'a self, operation: impl Fn(&'a Login) -> F) -> Result<T>
    where
        F: IntoFuture<Output = Result<T>>,
    {
        let result = self.try_each(operation).await;
        match &result {
            Ok(_) => self.outage.heard(None),
            Err(error) if is_refusal(error) => self.outage.heard(Some(&self.describe(error))),
            Err(_) => {}
        }
        result
    }

    async fn try_each<'a, T, F>(&'a self, operation: impl Fn(&'a Login) -> F) -> Result<T>
    where
        F: IntoFuture<Output = Result<T>>,
    {
        for _ in 1..self.all.len() {
            let used = self.current.load(Ordering::Relaxed);
            match operation(&self.all[used]).await {
                Err(error) if self.switch_from(used, &error) => {}
                result => return result,
            }
        }
        operation(&self.all[self.current.load(Ordering::Relaxed)]).await
    }

    /// Whether there is another password to try after this error of the one that was `used`.
    fn switch_from(&self, used: usize, error: &Error) -> bool {
        match *error.kind {
            ErrorKind::Authentication { .. } => {
                let next = (used + 1) % self.all.len();
                // Of all the operations that are refused at once, one switches.
                let switched =
                    self.current
                        .compare_exchange(used, next, Ordering::Relaxed, Ordering::Relaxed);
                if switched.is_ok() {
                    tracing::info!(
                        refused = used + 1,
                        next = next + 1,
                        of = self.all.len(),
                        "MongoDB refuses a password: trying the next line of API_MONGO_PASSWORD_FILE"
                    );
                }
                true
            }
            // It waited for a connection when another operation was refused one. By the time that
            // the driver gives up on it, that other one has switched.
            ErrorKind::ConnectionPoolCleared { .. } => self.current.load(Ordering::Relaxed) != used,
            _ => false,
        }
    }

    /// What to say of an error that [`Self::run`] ended with.
    pub(crate) fn describe(&self, error: &Error) -> String {
        match *error.kind {
            ErrorKind::Authentication { .. } => {
                let passwords = match self.all.len() {
                    1 => "authentication failed".to_owned(),
                    several => format!(
                        "none of the {several} passwords in API_MONGO_PASSWORD_FILE is accepted"
                    ),
                };
                format!("{passwords} for {}: {}", self.whom, error.kind)
            }
            _ => error.to_string(),
        }
    }
}

/// Counts the connections of a client.
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
