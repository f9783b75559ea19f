//! The API alone, with clients that take their time, on raw sockets: each is ended within a limit or
//! waits for itself, and nobody else waits for it.

use std::time::Duration;

use testkit::net::cut_off;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::support::{Connection, Response, eventually, get, post, spawn_app, spawn_app_with};

/// Between two drops.
const DRIP: Duration = Duration::from_millis(250);
/// More than the longest limit, which is that of a body.
const PATIENCE: Duration = Duration::from_secs(45);

/// Sends `start`, and then `drop` again and again, until the server ends it; its answer.
async fn drip(mut stream: Connection, start: &[u8], drop: &[u8]) -> String {
    stream.send(start).await;
    let (mut reader, mut writer) = stream.split();
    let mut answer = Vec::new();
    let dripping = async {
        while writer.write_all(drop).await.is_ok() {
            sleep(DRIP).await;
        }
        // There is an end to reading as well, and it has the answer.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        // Closed in order, or reset because more was being sent: both will do.
        _ = reader.read_to_end(&mut answer) => {}
        () = dripping => {}
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn heads_that_drip_are_ended_and_hold_up_nobody() {
    let app = spawn_app().await;
    let mut clients = JoinSet::new();
    for _ in 0..300 {
        let stream = Connection::open(app.address).await;
        clients.spawn(timeout(
            PATIENCE,
            drip(stream, b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ", b"x"),
        ));
    }
    assert_eq!(get(app.address, "/").await.status, 200);
    for answer in clients.join_all().await {
        let answer = answer.expect("the server should end it");
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer:?}");
    }
    assert_eq!(app.count().await, 1);
}

#[tokio::test]
async fn a_body_that_drips_is_ended_and_holds_up_nobody() {
    let app = spawn_app().await;
    let stream = Connection::open(app.address).await;
    let slow = timeout(
        PATIENCE,
        drip(
            stream,
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n",
            b"x",
        ),
    );
    let (answer, honest) = tokio::join!(slow, post(app.address, b"quick"));
    assert_eq!(honest.status, 200);
    let answer = answer.expect("the server should end it");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer:?}");
    assert_eq!(app.count().await, 1);
}

/// A proxy whose machine is cut off holds no places until it would have been idle for too long.
#[tokio::test]
async fn a_client_that_has_vanished_loses_its_place() {
    let app = spawn_app_with("mongodb://127.0.0.1:1", &[]).await;
    let connections = || async {
        let metrics = get(app.admin, "/metrics").await.body;
        let series = "api_connections{port=\"public\"} ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(series));
        line.unwrap().parse::<u32>().unwrap()
    };
    let mut client = Connection::open(app.address).await;
    client
        .send(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    let response = Response::read(&mut client, false).await.unwrap();
    assert_eq!(response.status, 404);
    assert_eq!(connections().await, 1);
    cut_off(&*client);
    eventually("its place is free", PATIENCE, || async {
        (connections().await == 0).then_some(())
    })
    .await;
}

/// It sends requests without reading an answer: the server stops reading, rather than keep the
/// answers for it.
#[tokio::test]
async fn a_client_that_reads_nothing_is_read_no_further() {
    /// Bytes; far more than the kernel's buffers hold, of answers as of requests.
    const ENOUGH: usize = 256 << 20;
    let app = spawn_app().await;
    let mut stream = Connection::open(app.address).await;
    let requests = b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000);
    let mut sent = 0;
    while timeout(Duration::from_secs(5), stream.write_all(&requests))
        .await
        .is_ok()
    {
        sent += requests.len();
        assert!(sent < ENOUGH, "the server still reads");
    }
    assert_eq!(get(app.address, "/").await.status, 200);
    assert_eq!(app.count().await, 1);
}

/// It is the first head that is quick, and the others that aren't: on either port.
#[tokio::test]
async fn every_head_is_timed() {
    let app = spawn_app().await;
    for (address, path) in [(app.address, "/hello"), (app.admin, "/healthz")] {
        let mut stream = Connection::open(address).await;
        let first = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        stream.send(first.as_bytes()).await;
        let answer = stream.answer().await.unwrap();
        assert_eq!(answer.status, 200);
        let second = b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ";
        let answer = timeout(Duration::from_secs(20), drip(stream, second, b"x"));
        let answer = answer.await.expect("the server should end it");
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer:?}");
    }
}

#[tokio::test]
async fn health_checks_get_in_whoever_else_wants_to() {
    let app = spawn_app().await;
    let mut crowd = Vec::new();
    for number in 0..200 {
        let mut stream = Connection::open(app.admin).await;
        let bytes: &[u8] = match number % 3 {
            0 => b"",
            1 => b"GET /readyz HTTP/1.1\r\nHost: a\r\nX-Slow: ",
            _ => b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n",
        };
        stream.send(bytes).await;
        crowd.push(stream);
        let answer = timeout(Duration::from_secs(3), get(app.admin, "/healthz"));
        assert_eq!(answer.await.expect("in time").status, 200);
    }
}

/// Python's `http.client` and many more read no answer before they have sent all of the body.
#[tokio::test]
async fn who_sends_all_of_a_body_that_is_refused_gets_its_answer() {
    let app = spawn_app().await;
    for (target, status) in [("/", 413), ("/nothing", 404), ("/hello", 405)] {
        let mut stream = Connection::open(app.address).await;
        let length = 8 << 20;
        let head = format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        stream.send(head.as_bytes()).await;
        for _ in 0..8 {
            // Longer than the kernel would hide it.
            sleep(Duration::from_millis(300)).await;
            stream.send(&vec![b'x'; length / 8]).await;
        }
        let answer = stream.answer().await.unwrap();
        assert_eq!(answer.status, status, "{target}");
        let asked = std::time::Instant::now();
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "and that is all");
        assert!(asked.elapsed() < Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_client_that_has_said_all_is_answered() {
    let app = spawn_app().await;
    let mut stream = Connection::open(app.address).await;
    let request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    stream.send(request).await;
    stream.shutdown().await.unwrap();
    let answer = stream.answer().await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(app.count().await, 1);
}
