//! A trace from the client through proxy and API, both as they ship, into the document and out to a
//! receiver of traces.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use mongodb::bson::Document;
use tempfile::NamedTempFile;
use testkit::net::free_address;
use testkit::otlp::{Receiver, Span};
use testkit::process;
use tokio::net::TcpStream;

use crate::support::{
    Process, Response, TestApp, eventually, get, requests_in, send, shared_mongo_uri, spawn_app,
    unique_database,
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn request(lines: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n{lines}\r\nhi")
}

/// The ids that a document has of its trace.
fn trace_of(document: &Document) -> (&str, &str) {
    let trace = document.get_document("trace").expect("a trace");
    assert_eq!(trace.len(), 2);
    let id = |name| trace.get_str(name).unwrap();
    (id("trace_id"), id("span_id"))
}

fn span<'s>(spans: &'s [Span], service: &str, name: &str) -> &'s Span {
    let mut found = spans
        .iter()
        .filter(|span| (&*span.service, &*span.name) == (service, name));
    let only = found.next().filter(|_| found.next().is_none());
    only.unwrap_or_else(|| panic!("one {name} of {service}: {spans:#?}"))
}

#[tokio::test]
async fn a_trace_is_followed_from_the_client_into_the_document_and_to_the_receiver() {
    let receiver = Receiver::start();
    let (uri, database) = (shared_mongo_uri().await, unique_database());
    let mut token = NamedTempFile::new().unwrap();
    writeln!(token, "a-shared-token-0123456789").unwrap();
    let token = token.path().to_str().unwrap();
    let endpoint = receiver.endpoint();
    let mut api = Process::start(&[
        ("API_MONGO_URI", &uri),
        ("API_DATABASE", &database),
        ("API_PROXY_TOKEN_FILE", token),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
    ]);
    // `cargo` puts it beside ours.
    let binary = Path::new(env!("CARGO_BIN_EXE_api")).with_file_name("proxy");
    assert!(
        binary.exists(),
        "{} is missing: cargo build -p proxy",
        binary.display()
    );
    let (address, admin) = (free_address(), free_address());
    let mut proxy = Command::new(binary);
    proxy
        .env("PROXY_LISTEN", address.to_string())
        .env("PROXY_ADMIN_LISTEN", admin.to_string())
        .env("PROXY_UPSTREAM", api.address.to_string())
        .env("PROXY_UPSTREAM_TOKEN_FILE", token)
        .env("PROXY_WORKERS", "1")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)
        .stdout(Stdio::null());
    let _proxy = process::Process::start(&mut proxy);
    eventually("the proxy is ready", Duration::from_secs(20), || async {
        TcpStream::connect(admin).await.ok()?;
        (get(admin, "/readyz").await.status == 200).then_some(())
    })
    .await;

    let lines = format!("traceparent: {VALID}\r\ntracestate: a=1\r\n");
    let response: Response = send(address, request(&lines)).await;
    assert_eq!(response.status, 200, "{}", response.body);
    let id = response.id();
    let collection = requests_in(&uri, &database).await;
    let found = collection.find_one(mongodb::bson::doc! { "_id": id }).await;
    let document = found.unwrap().expect("the document");
    let (trace, parent) = trace_of(&document);
    assert_eq!(trace, TRACE);
    let headers = document.get_document("headers").unwrap();
    assert_eq!(
        headers.get_str("Traceparent").unwrap(),
        format!("00-{TRACE}-{parent}-01")
    );
    assert_eq!(headers.get_str("Tracestate").unwrap(), "a=1");

    // The last spans aren't lost when the process ends.
    api.terminate();
    assert!(api.ended(Duration::from_secs(20)).await.success());
    let spans = receiver.wait_for(3);
    assert!(
        spans.iter().all(|span| span.trace_id == TRACE),
        "{spans:#?}"
    );
    let edge = span(&spans, "causeway-proxy", "POST");
    assert_eq!((&*edge.parent, &*edge.span_id), (PARENT, parent));
    let served = span(&spans, "causeway-api", "POST /");
    assert_eq!(served.parent, edge.span_id);
    assert_eq!(served.get("http.response.status_code"), "200");
    let written = span(&spans, "causeway-api", "insert requests");
    assert_eq!(written.parent, served.span_id);
    assert_eq!(written.get("causeway.document.id"), id.to_hex());
    assert_eq!(
        (written.get("db.system.name"), written.get("db.namespace")),
        ("mongodb", &*database)
    );
    assert!(edge.start <= served.start && served.start <= written.start);
    assert!(spans.iter().all(|span| !span.failed));
}

async fn stored(app: &TestApp, lines: &str) -> Document {
    let response = send(app.address, request(lines)).await;
    app.document(response.id()).await
}

#[tokio::test]
async fn a_document_has_the_trace_of_a_request_that_says_validly_which() {
    let app = spawn_app().await;
    let document = stored(&app, &format!("traceparent: {VALID}\r\n")).await;
    assert_eq!(trace_of(&document), (TRACE, PARENT));
    let twice = format!("traceparent: {VALID}\r\n").repeat(2);
    let upper = format!("traceparent: {}\r\n", VALID.to_uppercase());
    for lines in [
        "",
        &twice,
        &upper,
        "traceparent: \r\n",
        "tracestate: a=1\r\n",
    ] {
        assert!(!stored(&app, lines).await.contains_key("trace"), "{lines}");
    }
}
