//! The binary with the memory that compose.yaml grants, under clients that want to have all of it: it
//! lives, and serves others meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::support::{MemoryGroup, Process, eventually, get, post, shared_mongo_uri};

/// What compose.yaml grants.
const MEMORY: u64 = 256 << 20;

/// What may be used of it.
const PEAK: u64 = MEMORY * 8 / 10;

/// How long a client beside the flood may wait, with a binary that isn't optimised and a MongoDB that
/// may be emulated.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connections that have sent something and now do nothing, on a thread of their own: it is the
/// server that is to be slow, if anybody.
struct Flood {
    end: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Flood {
    /// Opens so many connections that each send such bytes.
    fn open(address: SocketAddr, floods: Vec<(usize, Vec<u8>)>) -> Self {
        let (end, ended) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut clients = JoinSet::new();
                for (count, bytes) in floods {
                    let bytes: Arc<[u8]> = bytes.into();
                    for _ in 0..count {
                        clients.spawn(hold(address, Arc::clone(&bytes)));
                    }
                }
                // Dropped is ended, too.
                let _ = ended.await;
            });
        });
        Self {
            end: Some(end),
            thread: Some(thread),
        }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        drop(self.end.take());
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// Sends `bytes`, and keeps the connection for as long as it can.
async fn hold(address: SocketAddr, bytes: Arc<[u8]>) {
    if let Ok(mut stream) = TcpStream::connect(address).await
        && stream.write_all(&bytes).await.is_ok()
    {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
}

/// Has `floods` of so many connections with such bytes come over a process, and requests of other
/// clients beside them; `expected` is what the flood must have been told in the metrics.
async fn withstands(floods: Vec<(usize, Vec<u8>)>, expected: &str) {
    service::grants::open_files(30_000).unwrap();
    let group = MemoryGroup::new(MEMORY);
    let uri = shared_mongo_uri().await;
    let settings = [("API_MONGO_URI", uri.as_str()), ("API_DATABASE", "floods")];
    let process = Process::start_within(&group, &settings);
    assert_eq!(post(process.address, b"first").await.status, 200);
    let before = group.usage();

    let flood = Flood::open(process.address, floods);
    let started = Instant::now();
    let (mut slowest, mut served) = (Duration::ZERO, 0);
    while started.elapsed() < Duration::from_secs(5) {
        for body in [&b"honest"[..], &[b'x'; 100_000]] {
            let asked = Instant::now();
            let answer = post(process.address, body).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            slowest = slowest.max(asked.elapsed());
            served += 1;
        }
        sleep(Duration::from_millis(20)).await;
    }
    assert!(get(process.admin, "/healthz").await.status == 200);
    let metrics = get(process.admin, "/metrics").await.body;
    assert!(metrics.contains(expected), "{metrics}");
    drop(flood);
    let fallen = || async { (group.usage() < before + (MEMORY - before) / 4).then_some(()) };
    let (peak, mib) = (group.peak(), 1 << 20);
    eventually("memory falls", Duration::from_secs(20), fallen).await;
    println!(
        "{served} requests beside it, slowest {slowest:?}; memory {} MiB before, {} at most, {} after",
        before / mib,
        peak / mib,
        group.usage() / mib
    );
    assert!(peak < PEAK, "{peak} of {MEMORY} bytes");
    assert!(slowest < PATIENCE, "{slowest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_do_not_end_take_no_more_than_their_share() {
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(90_000));
    let flood = vec![(4_500, head.into_bytes())];
    withstands(flood, "api_evicted_total{port=\"public\",wanted=\"head\"}").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_do_not_end_take_no_more_than_their_share() {
    let head =
        |length: usize| format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    let large = [head(1 << 20).into_bytes(), vec![b'x'; (1 << 20) - 1]].concat();
    let small = [head(10).into_bytes(), b"x".to_vec()].concat();
    let flood = vec![(100, large), (10_600, small)];
    withstands(
        flood,
        "api_evicted_total{port=\"public\",wanted=\"connection\"}",
    )
    .await;
}
