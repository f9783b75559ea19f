//! The proxy in front of the API, both as they ship, and the answer lost between them: the client
//! gets it all the same, and the request is in the database once.

use std::collections::HashSet;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mongodb::Collection;
use mongodb::bson::{Document, doc};
use tempfile::NamedTempFile;
use testkit::net::free_address;
use testkit::process;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{
    Connection, Process, Response, eventually, get, requests_in, shared_mongo_uri, unique_database,
};

/// The proxy's binary. `cargo` puts it beside ours.
struct Proxy {
    _process: process::Process,
    address: SocketAddr,
    log: NamedTempFile,
}

impl Proxy {
    async fn start(upstream: SocketAddr, token: &Path) -> Self {
        let binary = Path::new(env!("CARGO_BIN_EXE_api")).with_file_name("proxy");
        assert!(
            binary.exists(),
            "{} is missing: cargo build -p proxy",
            binary.display()
        );
        let (address, admin) = (free_address(), free_address());
        let log = NamedTempFile::new().unwrap();
        let mut command = Command::new(binary);
        command
            .env("PROXY_LISTEN", address.to_string())
            .env("PROXY_ADMIN_LISTEN", admin.to_string())
            .env("PROXY_UPSTREAM", upstream.to_string())
            .env("PROXY_UPSTREAM_TOKEN_FILE", token)
            .env("PROXY_WORKERS", "1")
            .stdin(Stdio::null())
            .stdout(log.reopen().unwrap());
        let proxy = Self {
            _process: process::Process::start(&mut command),
            address,
            log,
        };
        eventually("the proxy is ready", Duration::from_secs(20), || async {
            TcpStream::connect(admin).await.ok()?;
            (get(admin, "/readyz").await.status == 200).then_some(())
        })
        .await;
        proxy
    }

    /// The request ids and statuses in its access log, once there are `count`.
    async fn access_log(&self, count: usize) -> Vec<(String, u64)> {
        eventually("the access log", Duration::from_secs(10), || async {
            let log = std::fs::read_to_string(self.log.path()).unwrap();
            let lines = log
                .lines()
                .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            let entries: Vec<_> = lines
                .filter(|entry| entry["target"] == "access")
                .map(|entry| {
                    let id = entry["request_id"].as_str().unwrap().to_owned();
                    (id, entry["status"].as_u64().unwrap())
                })
                .collect();
            (entries.len() == count).then_some(entries)
        })
        .await
    }
}

/// A way to the API on which the first answers to requests with `lose me` in them are lost: they
/// are read, so the request has been carried out, and the connection is closed.
struct LossyRelay {
    address: SocketAddr,
    /// How often `lose me` has come.
    attempts: Arc<AtomicU32>,
}

impl LossyRelay {
    /// Loses this many answers, but for their first `passed` bytes.
    async fn start(api: SocketAddr, losses: u32, passed: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let attempts = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&attempts);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, api, Arc::clone(&counter), losses, passed));
            }
        });
        Self { address, attempts }
    }

    fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::SeqCst)
    }
}

/// One exchange after the other; ends when either side does.
async fn relay(
    mut client: TcpStream,
    api: SocketAddr,
    attempts: Arc<AtomicU32>,
    losses: u32,
    passed: usize,
) -> Option<()> {
    let mut server = TcpStream::connect(api).await.ok()?;
    loop {
        let request = read_until(&mut client, |text| {
            text.split_once("\r\n\r\n")
                .is_some_and(|(head, body)| body.len() >= content_length(head))
        })
        .await?;
        server.write_all(&request).await.ok()?;
        let answer = read_until(&mut server, |text| {
            text.ends_with('\n') && text.contains("\r\n\r\n")
        })
        .await?;
        let lost =
            request.ends_with(b"lose me") && attempts.fetch_add(1, Ordering::SeqCst) < losses;
        if lost {
            client.write_all(&answer[..passed]).await.ok()?;
            return None;
        }
        client.write_all(&answer).await.ok()?;
    }
}

async fn read_until(stream: &mut TcpStream, whole: impl Fn(&str) -> bool) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while !whole(&String::from_utf8_lossy(&bytes)) {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(bytes)
}

fn content_length(head: &str) -> usize {
    let mut lines = head.lines();
    lines
        .find_map(|line| line.strip_prefix("Content-Length: "))
        .map_or(0, |length| length.parse().unwrap())
}

struct Stack {
    api: Process,
    token: NamedTempFile,
    collection: Collection<Document>,
}

impl Stack {
    async fn start() -> Self {
        let uri = shared_mongo_uri().await;
        let database = unique_database();
        let mut token = NamedTempFile::new().unwrap();
        writeln!(token, "a-shared-token-0123456789").unwrap();
        let api = Process::start(&[
            ("API_MONGO_URI", &uri),
            ("API_DATABASE", &database),
            ("API_PROXY_TOKEN_FILE", token.path().to_str().unwrap()),
        ]);
        let collection = requests_in(&uri, &database).await;
        Self {
            api,
            token,
            collection,
        }
    }
}

/// Sends over `stream`, and says what came back.
async fn exchange(stream: &mut Connection, method: &str, body: &str) -> Response {
    let length = body.len();
    let request =
        format!("{method} / HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.send(request.as_bytes()).await;
    Response::read(stream, false).await.unwrap()
}

#[tokio::test]
async fn every_method_survives_a_lost_answer() {
    let stack = Stack::start().await;
    // Nothing of the answer gets through, or half of its head.
    for passed in [0, 30] {
        stack.collection.delete_many(doc! {}).await.unwrap();
        let mut ids = HashSet::new();
        let mut requests = 0;
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "ANY"] {
            let relay = LossyRelay::start(stack.api.address, 1, passed).await;
            let proxy = Proxy::start(relay.address, stack.token.path()).await;
            let mut client = Connection::open(proxy.address).await;
            for (body, attempts) in [("warm up", 0), ("lose me", 2), ("go on", 2)] {
                let response = exchange(&mut client, method, body).await;
                assert_eq!(response.status, 200, "{method} {body}: {}", response.body);
                assert_eq!(relay.attempts(), attempts, "{method} {body}");
                let id = response.id().to_hex();
                assert_eq!(response.header("x-request-id"), Some(id.as_str()));
                let stored = stack
                    .collection
                    .count_documents(doc! { "_id": response.id() });
                assert_eq!(stored.await.unwrap(), 1);
                ids.insert(id);
                requests += 1;
            }
            let logged = proxy.access_log(3).await;
            assert!(
                logged
                    .iter()
                    .all(|(id, status)| ids.contains(id) && *status == 200)
            );
        }
        assert_eq!(ids.len(), requests);
        let stored = stack.collection.count_documents(doc! {}).await.unwrap();
        assert_eq!(usize::try_from(stored).unwrap(), requests);
    }
}

/// Repeated once: what breaks every connection isn't sent for ever, and is still there only once.
#[tokio::test]
async fn an_answer_that_is_always_lost_is_a_502() {
    let stack = Stack::start().await;
    let relay = LossyRelay::start(stack.api.address, u32::MAX, 0).await;
    let proxy = Proxy::start(relay.address, stack.token.path()).await;
    let mut client = Connection::open(proxy.address).await;
    let response = exchange(&mut client, "POST", "lose me").await;
    assert_eq!(response.status, 502, "{}", response.body);
    assert_eq!(relay.attempts(), 2);
    let id: mongodb::bson::oid::ObjectId =
        response.header("x-request-id").unwrap().parse().unwrap();
    let found = stack.collection.find_one(doc! { "_id": id }).await.unwrap();
    assert_eq!(found.unwrap().get_str("data").unwrap(), "lose me");
    assert_eq!(stack.collection.count_documents(doc! {}).await.unwrap(), 1);
}
