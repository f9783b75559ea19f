//! More requests than MongoDB can do, and then none: whatever has been, the next write succeeds.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::{Process, eventually, get, post, shared_mongo_uri};

/// How long the burst lasts.
const BURST: Duration = Duration::from_secs(4);

/// Within this the first write after it has succeeded.
const RECOVERY: Duration = Duration::from_secs(2);

/// Sends `request` again and again over a connection, whatever is answered.
async fn insist(address: SocketAddr, request: Vec<u8>) {
    loop {
        let Ok(mut stream) = TcpStream::connect(address).await else {
            continue;
        };
        let mut answer = [0; 4096];
        while stream.write_all(&request).await.is_ok()
            && matches!(stream.read(&mut answer).await, Ok(1..))
        {}
    }
}

/// So many clients with such requests, on a thread of its own, for [`BURST`]; half of them are cut
/// off in the middle by the end.
fn burst(address: SocketAddr, clients: &[(usize, Vec<u8>)]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut all = JoinSet::new();
        for (count, request) in clients {
            for _ in 0..*count {
                all.spawn(insist(address, request.clone()));
            }
        }
        tokio::time::sleep(BURST).await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_burst_the_first_write_succeeds_at_once() {
    service::grants::open_files(10_000).unwrap();
    let uri = shared_mongo_uri().await;
    // What is asked for in the burst gets no answer in time.
    let settings = [
        ("API_MONGO_URI", uri.as_str()),
        ("API_DATABASE", "bursts"),
        ("API_WRITE_TIMEOUT", "1s"),
    ];
    let process = Process::start(&settings);
    let address = process.address;
    eventually("a first write", Duration::from_secs(20), || async {
        (post(address, b"first").await.status == 200).then_some(())
    })
    .await;
    let request = |line: &str, body: usize| {
        let head = format!("{line} HTTP/1.1\r\nHost: a\r\nContent-Length: {body}\r\n\r\n");
        [head.into_bytes(), vec![b'x'; body]].concat()
    };
    let clients = [
        (1_000, request("POST /", 10)),
        (1_000, request("GET /hello", 0)),
        (20, request("POST /", 1 << 20)),
    ];
    tokio::task::spawn_blocking(move || burst(address, &clients))
        .await
        .unwrap();

    let ended = Instant::now();
    eventually("a write after the burst", RECOVERY, || async {
        (post(address, b"after").await.status == 200).then_some(())
    })
    .await;
    assert!(ended.elapsed() < RECOVERY, "{:?}", ended.elapsed());
    assert_eq!(get(address, "/hello").await.status, 200);
    assert_eq!(get(process.admin, "/readyz").await.status, 200);
}
