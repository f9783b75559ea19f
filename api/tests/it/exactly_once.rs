//! The proxy's id is the document's: a request that comes again is stored once, and answered 200.

use std::collections::HashMap;
use std::io::Write as _;
use std::time::Duration;

use api::observe::metrics::MongoMetrics;
use api::settings::Settings;
use api::write::coalescer::Store as _;
use api::write::store::MongoStore;
use futures_util::future::join_all;
use mongodb::IndexModel;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{doc, rawdoc};
use tempfile::NamedTempFile;
use testkit::process::assert_refused;

use crate::support::{
    Mongo, Process, Response, TestApp, eventually, get, requests_in, send, shared_mongo_uri,
    spawn_app_with, unique_database,
};

const TOKEN: &str = "the-proxys-0123456789";
const OLDER_TOKEN: &str = "its-older-0123456789";

fn token_file() -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    writeln!(file, "{TOKEN}\n{OLDER_TOKEN}").unwrap();
    file
}

async fn app_with_token(mongo_uri: &str) -> TestApp {
    // Read while the application is built.
    let file = token_file();
    let path = file.path().to_str().unwrap();
    spawn_app_with(mongo_uri, &[("API_PROXY_TOKEN_FILE", path)]).await
}

/// A POST as the proxy sends it, with these field lines.
fn request(lines: &str, body: &str) -> String {
    let length = body.len();
    format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n{lines}\r\n{body}")
}

fn from_proxy(id: ObjectId, body: &str) -> String {
    request(
        &format!("X-Request-Id: {id}\r\nX-Proxy-Token: {TOKEN}\r\n"),
        body,
    )
}

async fn writes(app: &TestApp, outcome: &str) -> u64 {
    let text = get(app.admin, "/metrics").await.body;
    let series = format!("api_writes_total{{outcome=\"{outcome}\"}} ");
    let mut values = text.lines().filter_map(|line| line.strip_prefix(&series));
    values.next().map_or(0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn a_repeated_request_is_stored_once() {
    let app = app_with_token(&shared_mongo_uri().await).await;
    let id = ObjectId::new();
    for body in ["first", "second"] {
        let response = send(app.address, from_proxy(id, body)).await;
        assert_eq!(response.status, 200, "{}", response.body);
        assert_eq!(response.id(), id);
    }
    assert_eq!(app.count().await, 1);
    assert_eq!(app.data(id).await, "first");
    assert_eq!(writes(&app, "acknowledged").await, 1);
    assert_eq!(writes(&app, "already_stored").await, 1);
    let older = request(
        &format!("X-Request-Id: {id}\r\nX-Proxy-Token: {OLDER_TOKEN}\r\n"),
        "third",
    );
    assert_eq!(send(app.address, older).await.id(), id);
    assert_eq!(app.count().await, 1);
}

#[tokio::test]
async fn attempts_at_the_same_time_are_stored_once() {
    let app = app_with_token(&shared_mongo_uri().await).await;
    let ids: Vec<_> = (0..5).map(|_| ObjectId::new()).collect();
    let attempts = ids.iter().cycle().take(50).map(|id| async {
        let response = send(app.address, from_proxy(*id, "same")).await;
        (response.status, response.id() == *id)
    });
    assert_eq!(join_all(attempts).await, [(200, true); 50]);
    assert_eq!(app.count().await, 5);
}

/// In one batch the second is rejected by what the first has just written.
#[tokio::test]
async fn attempts_in_one_batch_are_stored_once() {
    let uri = shared_mongo_uri().await;
    let database = unique_database();
    let environment = HashMap::from([
        ("API_MONGO_URI".to_owned(), uri.clone()),
        ("API_DATABASE".to_owned(), database.clone()),
    ]);
    let settings = Settings::load(None, environment).unwrap();
    let store = MongoStore::new(
        &settings.mongo,
        settings.write_timeout,
        &MongoMetrics::default(),
    )
    .await
    .unwrap();
    let (id, other) = (ObjectId::new(), ObjectId::new());
    let batch = [id, other, id].map(|id| rawdoc! { "_id": id });
    let rejections = store.insert(batch.to_vec()).await.unwrap();
    assert_eq!(rejections.len(), 1, "{rejections:?}");
    assert!(rejections[0].index == 2 && rejections[0].duplicate_id);
    let collection = requests_in(&uri, &database).await;
    assert_eq!(collection.count_documents(doc! {}).await.unwrap(), 2);
}

/// What is answered because it is there already is as durable as what was written.
#[tokio::test]
async fn a_repetition_finds_what_survived_a_kill() {
    let mongo = Mongo::start().await;
    let app = app_with_token(&mongo.uri()).await;
    let id = ObjectId::new();
    assert_eq!(send(app.address, from_proxy(id, "before")).await.id(), id);
    mongo.kill();
    mongo.start_again();
    let again = eventually("an answer of 200", Duration::from_secs(180), || async {
        let response = send(app.address, from_proxy(id, "after")).await;
        (response.status == 200).then_some(response)
    })
    .await;
    assert_eq!(again.id(), id);
    mongo.kill();
    mongo.start_again();
    let count = eventually("MongoDB", Duration::from_secs(180), || async {
        app.collection.count_documents(doc! {}).await.ok()
    })
    .await;
    assert_eq!(count, 1);
    assert_eq!(app.data(id).await, "before");
}

/// A client's text in MongoDB's message mustn't make a document pass for stored.
#[tokio::test]
async fn another_unique_index_is_no_sign_of_a_repetition() {
    let app = app_with_token(&shared_mongo_uri().await).await;
    let unique = mongodb::options::IndexOptions::builder()
        .unique(true)
        .build();
    let index = IndexModel::builder()
        .keys(doc! { "data": 1 })
        .options(unique)
        .build();
    app.collection.create_index(index).await.unwrap();
    let namespace = app.collection.namespace();
    let text =
        format!("E11000 duplicate key error collection: {namespace} index: _id_ dup key: {{ }}");
    for body in ["plain", &text] {
        let (first, second) = (ObjectId::new(), ObjectId::new());
        assert_eq!(send(app.address, from_proxy(first, body)).await.status, 200);
        let refused = send(app.address, from_proxy(second, body)).await;
        assert_eq!(refused.status, 500, "{}", refused.body);
        // The id is free and stays so.
        let found = app.collection.find_one(doc! { "_id": second }).await;
        assert_eq!(found.unwrap(), None);
    }
}

async fn answer_to(app: &TestApp, lines: &str) -> Response {
    let response = send(app.address, request(lines, "")).await;
    assert_eq!(response.status, 200, "{lines}: {}", response.body);
    response
}

#[tokio::test]
async fn only_the_proxy_chooses_an_id() {
    let uri = shared_mongo_uri().await;
    let guarded = app_with_token(&uri).await;
    let open = spawn_app_with(&uri, &[]).await;
    let id = ObjectId::new();
    let capitals = id.to_hex().to_uppercase();
    // There might be no letter in it.
    let capitals = if capitals == id.to_hex() {
        "A".repeat(24)
    } else {
        capitals
    };
    let own = format!("X-Request-Id: {id}\r\n");
    let token = format!("X-Proxy-Token: {TOKEN}\r\n");
    for (app, lines) in [
        (&guarded, own.clone()),
        (
            &guarded,
            format!("{own}X-Proxy-Token: guessed-0123456789\r\n"),
        ),
        (&guarded, format!("{own}X-Proxy-Token: \r\n")),
        (&guarded, format!("{own}{token}{token}")),
        (&guarded, format!("{own}{own}{token}")),
        (&guarded, format!("X-Request-Id: {capitals}\r\n{token}")),
        (&guarded, format!("X-Request-Id: {id}0\r\n{token}")),
        (&guarded, format!("X-Request-Id: x\r\n{token}")),
        (&guarded, token.clone()),
        (&open, format!("{own}{token}")),
    ] {
        let response = answer_to(app, &lines).await;
        assert_ne!(response.id(), id, "{lines}");
        let document = app.document(response.id()).await;
        let headers = document.get_document("headers").unwrap();
        assert!(!headers.contains_key("X-Proxy-Token"), "{headers}");
    }
}

#[tokio::test]
async fn only_the_proxy_says_who_the_client_is() {
    let uri = shared_mongo_uri().await;
    let guarded = app_with_token(&uri).await;
    let open = spawn_app_with(&uri, &[]).await;
    let claim = "X-Real-IP: 203.0.113.9\r\n";
    let token = format!("X-Proxy-Token: {TOKEN}\r\n");
    for (app, lines, expected) in [
        (&guarded, claim.to_owned(), "127.0.0.1"),
        (
            &guarded,
            format!("{claim}X-Proxy-Token: guessed-0123456789\r\n"),
            "127.0.0.1",
        ),
        (&guarded, format!("{claim}{token}"), "203.0.113.9"),
        (&open, claim.to_owned(), "203.0.113.9"),
    ] {
        let id = answer_to(app, &lines).await.id();
        let document = app.document(id).await;
        assert_eq!(
            document.get_str("remote_addr").unwrap(),
            expected,
            "{lines}"
        );
    }
}

#[tokio::test]
async fn the_token_is_neither_stored_nor_logged() {
    let uri = shared_mongo_uri().await;
    let file = token_file();
    let database = unique_database();
    let mut process = Process::start(&[
        ("API_MONGO_URI", &uri),
        ("API_DATABASE", &database),
        ("API_PROXY_TOKEN_FILE", file.path().to_str().unwrap()),
        ("API_REDACT_HEADERS", "none"),
        ("RUST_LOG", "trace"),
    ]);
    let id = ObjectId::new();
    assert_eq!(send(process.address, from_proxy(id, "")).await.id(), id);
    let collection = requests_in(&uri, &database).await;
    let document = collection.find_one(doc! { "_id": id }).await.unwrap();
    let document = document.unwrap().to_string();
    process.terminate();
    assert!(process.ended(Duration::from_secs(20)).await.success());
    let log = process.log.join("\n");
    assert!(log.contains("stopped"), "{log}");
    for text in [document, log] {
        assert!(
            !text.contains(TOKEN) && !text.contains(OLDER_TOKEN),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_bad_token_file_exits_with_2() {
    for content in [None, Some(""), Some("hunter2")] {
        let file = NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        match content {
            Some(content) => std::fs::write(&path, content).unwrap(),
            None => drop(file),
        }
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_api"))
            .env("API_LISTEN", "127.0.0.1:0")
            .env("API_ADMIN_LISTEN", "127.0.0.1:0")
            .env("API_PROXY_TOKEN_FILE", &path)
            .output()
            .unwrap();
        assert_refused(&output, 2, &["API_PROXY_TOKEN_FILE", &path]);
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(!message.contains("hunter2"), "{message}");
    }
}
