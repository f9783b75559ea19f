//! The application under test: in this process, or as the binary.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use api::app::Application;
use api::settings::Settings;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};
use mongodb::{Client, Collection};
use testkit::process::{self, Signal};

use super::{MemoryGroup, eventually, shared_mongo_uri, unique_name};

/// The application in this process, on ports of its own.
pub(crate) struct TestApp {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) collection: Collection<Document>,
}

impl TestApp {
    /// The document with this id.
    pub(crate) async fn document(&self, id: ObjectId) -> Document {
        let found = self.collection.find_one(doc! { "_id": id }).await.unwrap();
        found.unwrap_or_else(|| panic!("{id} was answered, so it must be in the database"))
    }

    /// What the document with this id has as its body.
    pub(crate) async fn data(&self, id: ObjectId) -> String {
        self.document(id).await.get_str("data").unwrap().to_owned()
    }

    /// How many documents there are.
    pub(crate) async fn count(&self) -> u64 {
        self.collection.count_documents(doc! {}).await.unwrap()
    }
}

/// Starts the application on the shared MongoDB, with a database of its own.
pub(crate) async fn spawn_app() -> TestApp {
    spawn_app_with(&shared_mongo_uri().await, &[]).await
}

/// Starts the application on a MongoDB with further settings.
pub(crate) async fn spawn_app_with(mongo_uri: &str, settings: &[(&str, &str)]) -> TestApp {
    let database = unique_database();
    let mut environment = HashMap::from([
        ("API_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
        ("API_ADMIN_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
        ("API_MONGO_URI".to_owned(), mongo_uri.to_owned()),
        ("API_DATABASE".to_owned(), database),
        ("API_WORKERS".to_owned(), "2".to_owned()),
    ]);
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    environment.extend(settings.iter().map(own));
    let settings = Settings::load(None, environment).unwrap();
    assert_eq!(settings.mongo.collection, "requests");
    let collection = requests_in(mongo_uri, &settings.mongo.database).await;
    let application = Application::build(settings).await.unwrap();
    let app = TestApp {
        address: application.address().unwrap(),
        admin: application.admin_address().unwrap(),
        collection,
    };
    tokio::spawn(application.run_until_stopped(std::future::pending()));
    app
}

/// The name of a database that no other test has.
pub(crate) fn unique_database() -> String {
    unique_name("db").chars().rev().take(38).collect()
}

/// What the API has recorded in a database.
pub(crate) async fn requests_in(mongo_uri: &str, database: &str) -> Collection<Document> {
    let client = Client::with_uri_str(mongo_uri).await.unwrap();
    client.database(database).collection("requests")
}

/// The binary.
pub(crate) struct Process {
    running: process::Process,
    lines: mpsc::Receiver<String>,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) log: Vec<String>,
}

impl Process {
    /// Starts the binary and waits until it says where it listens.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_as(Command::new(env!("CARGO_BIN_EXE_api")), settings)
    }

    /// The same within the memory of a group.
    pub(crate) fn start_within(group: &MemoryGroup, settings: &[(&str, &str)]) -> Self {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", r#"echo $$ >"$0" && exec "$1""#])
            .arg(group.processes())
            .arg(env!("CARGO_BIN_EXE_api"))
            // As in the image.
            .env("MIMALLOC_PURGE_DELAY", "0");
        Self::start_as(shell, settings)
    }

    /// Starts the binary with name servers of its own; it may never come to say where it listens.
    pub(crate) fn start_in_vain(resolv_conf: &Path, settings: &[(&str, &str)]) -> Self {
        let mut unshare = Command::new("unshare");
        unshare
            .args(["--mount", "sh", "-c"])
            .arg(r#"mount --bind "$0" /etc/resolv.conf && exec "$1""#)
            .arg(resolv_conf)
            .arg(env!("CARGO_BIN_EXE_api"));
        Self::spawn(unshare, settings)
    }

    fn start_as(command: Command, settings: &[(&str, &str)]) -> Self {
        let mut process = Self::spawn(command, settings);
        let ready = process.wait_for_log("ready for requests");
        process.address = ready["listen"].as_str().unwrap().parse().unwrap();
        process.admin = ready["admin"].as_str().unwrap().parse().unwrap();
        process
    }

    fn spawn(mut command: Command, settings: &[(&str, &str)]) -> Self {
        command
            .env("API_LISTEN", "127.0.0.1:0")
            .env("API_ADMIN_LISTEN", "127.0.0.1:0")
            .envs(settings.iter().copied());
        let mut process = process::Process::start(command.stdout(Stdio::piped()));
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || {
            stdout
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        Self {
            running: process,
            lines,
            address: nowhere,
            admin: nowhere,
            log: Vec::new(),
        }
    }

    /// Waits for a JSON log line with this text in it.
    pub(crate) fn wait_for_log(&mut self, text: &str) -> serde_json::Value {
        loop {
            let line = self
                .lines
                .recv_timeout(Duration::from_secs(20))
                .unwrap_or_else(|_| panic!("no log line has {text:?}: {:#?}", self.log));
            self.log.push(line.clone());
            if line.contains(text) {
                return serde_json::from_str(&line).expect("log lines are JSON off a terminal");
            }
        }
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        self.running.signal(Signal::TERM);
    }

    /// Waits for the end, which must come within `limit`.
    pub(crate) async fn ended(&mut self, limit: Duration) -> ExitStatus {
        let ended = || std::future::ready(self.running.try_wait().unwrap());
        let status = eventually("the end of the process", limit, ended).await;
        self.log.extend(self.lines.iter());
        status
    }
}
