//! The ways into the database, one for each password, and what the API asks of them.

use std::time::Duration;

use mongo_login::{MongoSettings, MongoUri};
use mongodb::bson::raw::RawDocumentBuf;
use mongodb::error::{Error, Result};
use mongodb::event::EventHandler;
use mongodb::event::cmap::CmapEvent;
use mongodb::options::{Acknowledgment, ClientOptions, CollectionOptions, WriteConcern};
use mongodb::{Client, Collection, Database};

use crate::budget::WRITES;
use crate::observe::metrics::MongoMetrics;
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

/// A login for each password.
#[derive(Debug)]
pub(crate) struct Logins {
    all: mongo_login::Logins<Login>,
    outage: Outage,
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
    /// Creates a client for each of the passwords.
    pub(crate) async fn new(
        settings: &MongoSettings,
        write_timeout: Duration,
        outage: &Outage,
        metrics: &MongoMetrics,
    ) -> Result<Self> {
        let mut all = Vec::new();
        for (number, uri) in settings.uris().iter().enumerate() {
            let follow = outage.follow(number);
            all.push(Login::new(uri, settings, write_timeout, follow, metrics.clone()).await?);
        }
        Ok(Self {
            all: mongo_login::Logins::new(settings, all),
            outage: outage.clone(),
        })
    }

    /// As [`mongo_login::Logins::run`], which says what never to do; and the outage hears of its end.
    pub(crate) async fn run<'a, T, F>(&'a self, operation: impl Fn(&'a Login) -> F) -> Result<T>
    where
        F: IntoFuture<Output = Result<T>>,
    {
        let result = self.all.run(operation).await;
        match &result {
            Ok(_) => self.outage.heard(None),
            Err(error) if is_refusal(error) => self.outage.heard(Some(&self.describe(error))),
            Err(_) => {}
        }
        result
    }

    /// What to say of an error that [`Self::run`] ended with.
    pub(crate) fn describe(&self, error: &Error) -> String {
        self.all.describe(error)
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
