//! The console in this process, on a database of its own.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use console::app::Application;
use console::settings::Settings;
use console::store::Store;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, doc};
use mongodb::{Client, Collection};
use tempfile::NamedTempFile;
use testkit::http::{RawClient, Response};
use testkit::mongo::{shared_mongo_uri, unique_name};
use tokio::sync::oneshot;

/// What tests log in with.
pub(crate) const TOKEN: &str = "a-token-for-tests-0123456789";

/// The application in this process.
pub(crate) struct TestApp {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) database: TestDatabase,
}

/// A database of one's own on the shared MongoDB, removed on drop.
pub(crate) struct TestDatabase {
    pub(crate) uri: String,
    pub(crate) name: String,
    pub(crate) requests: Collection<Document>,
}

/// Starts the application.
pub(crate) async fn spawn_app() -> TestApp {
    spawn_app_with(&[]).await
}

/// Starts the application with further settings.
pub(crate) async fn spawn_app_with(settings: &[(&str, &str)]) -> TestApp {
    let database = TestDatabase::new().await;
    let settings = database.settings(settings);
    let (tell, told) = oneshot::channel();
    thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let application = Application::build(settings).await.unwrap();
            let addresses = (
                application.addresses().unwrap()[0],
                application.admin_address().unwrap(),
            );
            tell.send(addresses).unwrap();
            application.run_until_stopped(std::future::pending()).await
        })
    });
    let (address, admin) = told.await.unwrap();
    TestApp {
        address,
        admin,
        database,
    }
}

impl TestApp {
    /// Sends a request, with the token, whose answer isn't read yet.
    pub(crate) fn begin(&self, method: &str, target: &str) -> RawClient {
        let mut client = RawClient::connect(self.address);
        client.send(format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        ));
        client
    }

    pub(crate) fn ask(&self, method: &str, target: &str) -> Response {
        self.begin(method, target).response(method).unwrap()
    }

    /// What is there to read.
    pub(crate) fn get(&self, target: &str) -> Response {
        let answer = self.ask("GET", target);
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        answer
    }
}

/// A store that reads a database, with this as the longest time of a search.
pub(crate) async fn store_at(uri: &str, database: &str, query_timeout: Duration) -> Store {
    let settings = load(uri, database, &[]);
    Store::new(&settings.mongo, query_timeout).await.unwrap()
}

fn load(uri: &str, database: &str, further: &[(&str, &str)]) -> Settings {
    let mut tokens = NamedTempFile::new().unwrap();
    writeln!(tokens, "{TOKEN}").unwrap();
    let tokens_path = tokens.path().display().to_string();
    let mut environment = HashMap::from([
        ("CONSOLE_LISTEN", "127.0.0.1:0"),
        ("CONSOLE_ADMIN_LISTEN", "127.0.0.1:0"),
        ("CONSOLE_MONGO_URI", uri),
        ("CONSOLE_DATABASE", database),
        ("CONSOLE_TOKEN_FILE", &tokens_path),
    ]);
    environment.extend(further.iter().copied());
    Settings::load(None, environment).unwrap()
}

impl TestDatabase {
    pub(crate) async fn new() -> Self {
        let uri = shared_mongo_uri().await;
        // Names of databases are short.
        let name: String = unique_name("db").chars().rev().take(38).collect();
        let client = Client::with_uri_str(&uri).await.unwrap();
        let requests = client.database(&name).collection("requests");
        Self {
            uri,
            name,
            requests,
        }
    }

    /// Settings that lead to it, and these.
    pub(crate) fn settings(&self, further: &[(&str, &str)]) -> Settings {
        load(&self.uri, &self.name, further)
    }

    /// A store that reads it, with this as the longest time of a search.
    pub(crate) async fn store(&self, query_timeout: Duration) -> Store {
        store_at(&self.uri, &self.name, query_timeout).await
    }

    /// Records requests, as the API does.
    pub(crate) async fn record(&self, requests: impl IntoIterator<Item = Document>) {
        self.requests.insert_many(requests).await.unwrap();
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let requests = self.requests.clone();
        // Where there is no runtime any more, the database's end is soon enough.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { requests.drop().await });
        }
    }
}

/// A request as the API records it, made now.
pub(crate) fn request(method: &str, path_and_query: &str, body: &str) -> Document {
    doc! {
        "_id": ObjectId::new(),
        "endpoint": "home",
        "method": method,
        "url": format!("http://localhost:8080{path_and_query}"),
        "headers": { "Accept": "*/*", "Host": "localhost:8080", "User-Agent": "curl/8.5.0" },
        "data": body,
        "received_at": DateTime::now(),
        "remote_addr": "192.0.2.7",
    }
}
