//! SIGTERM: what is in flight is answered, and then the process ends with 0.

use std::time::Duration;

use tokio::net::TcpStream;

use crate::support::{Connection, Process, eventually, get, shared_mongo_uri};

#[tokio::test]
async fn requests_in_flight_are_answered() {
    let uri = shared_mongo_uri().await;
    let mut process = Process::start(&[("API_MONGO_URI", &uri), ("API_DATABASE", "shutdown")]);
    eventually("ready", Duration::from_secs(20), || async {
        (get(process.admin, "/readyz").await.status == 200).then_some(())
    })
    .await;

    let mut idle = Connection::open(process.address).await;
    idle.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    idle.answer().await.unwrap();
    let mut busy = Connection::open(process.address).await;
    busy.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nha")
        .await;
    // An answer on a later connection means that the earlier bytes have been seen too.
    get(process.address, "/").await;

    process.terminate();
    eventually("readiness fails", Duration::from_secs(5), || async {
        (get(process.admin, "/readyz").await.status == 503).then_some(())
    })
    .await;
    eventually(
        "new connections are refused",
        Duration::from_secs(5),
        || async { TcpStream::connect(process.address).await.err() },
    )
    .await;
    assert!(idle.answer().await.is_none(), "idle connections are closed");

    busy.send(b"lf").await;
    let response = busy.answer().await.unwrap();
    assert_eq!(response.status, 200, "{}", response.body);
    assert_eq!(response.header("connection"), Some("close"));
    assert!(process.ended(Duration::from_secs(10)).await.success());
}

/// A name is looked up at a server that never answers.
#[tokio::test]
async fn stop_signals_are_heeded_while_it_starts() {
    let silent = std::net::UdpSocket::bind("127.0.0.77:53").expect("these tests run as root");
    silent
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut resolv_conf = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut resolv_conf, b"nameserver 127.0.0.77\n").unwrap();
    let mut process = Process::start_in_vain(
        resolv_conf.path(),
        &[("API_MONGO_URI", "mongodb+srv://cluster.example")],
    );
    silent.recv(&mut [0; 512]).expect("the name is looked up");
    process.terminate();
    assert!(process.ended(Duration::from_secs(2)).await.success());
}
