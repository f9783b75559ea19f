//! Limits: at them all is well, one beyond is refused.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use crate::support::{Connection, get, post, send, shared_mongo_uri, spawn_app, spawn_app_with};

fn chunked(size: usize) -> Vec<u8> {
    let mut request =
        b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for piece in vec![b'x'; size].chunks(10_000) {
        request.extend(format!("{:x}\r\n", piece.len()).as_bytes());
        request.extend(piece);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    request
}

#[tokio::test]
async fn a_body_at_the_limit_is_stored_and_one_byte_more_is_not() {
    const LIMIT: usize = 1 << 20;
    let app = spawn_app().await;
    for stored in [
        post(app.address, &vec![b'x'; LIMIT]).await,
        send(app.address, chunked(LIMIT)).await,
    ] {
        assert_eq!(app.data(stored.id()).await.len(), LIMIT);
    }

    for refused in [
        post(app.address, &vec![b'x'; LIMIT + 1]).await,
        send(app.address, chunked(LIMIT + 1)).await,
    ] {
        assert_eq!(refused.status, 413);
    }
    assert_eq!(app.count().await, 2);
}

#[tokio::test]
async fn the_limit_is_a_setting() {
    let uri = shared_mongo_uri().await;
    let app = spawn_app_with(&uri, &[("API_MAX_BODY", "1B")]).await;
    assert_eq!(get(app.address, "/").await.status, 200);
    assert_eq!(post(app.address, b"").await.status, 200);
    assert_eq!(post(app.address, b"x").await.status, 200);
    assert_eq!(post(app.address, b"xy").await.status, 413);
}

#[tokio::test]
async fn an_endless_body_is_refused_and_cut_off() {
    let app = spawn_app().await;
    let mut stream = Connection::open(app.address).await;
    let head = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.send(head).await;
    let chunk = [b"10000\r\n".as_slice(), &vec![b'x'; 65_536], b"\r\n"].concat();
    let (mut reader, mut writer) = stream.split();
    let endless = async {
        // The server lets the client see its answer and finish, but not for ever: writing fails.
        while writer.write_all(&chunk).await.is_ok() {}
    };
    let mut answer = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut answer);
    let both = async { tokio::join!(read, endless) };
    let (cut_off, ()) = tokio::time::timeout(Duration::from_secs(45), both)
        .await
        .expect("the connection should be closed");
    // Closed in order or, since more was being sent, reset: both will do.
    drop(cut_off);
    assert!(
        answer.starts_with(b"HTTP/1.1 413 "),
        "{:?}",
        String::from_utf8_lossy(&answer)
    );
    assert_eq!(app.count().await, 0);
}

#[tokio::test]
async fn a_document_too_large_for_mongodb_is_refused() {
    let uri = shared_mongo_uri().await;
    let app = spawn_app_with(&uri, &[("API_MAX_BODY", "15MiB")]).await;
    // Each byte becomes a replacement character of three, and is kept beside that.
    let body = vec![0xFF; 4 << 20];
    assert_eq!(post(app.address, &body).await.status, 413);
    assert_eq!(post(app.address, &body[4096..]).await.status, 200);
}

#[tokio::test]
async fn too_many_header_fields_are_refused() {
    let app = spawn_app().await;
    let many = |count| {
        let fields: Vec<_> = (0..count).map(|n| format!("X-{n}: y\r\n")).collect();
        fields.concat()
    };
    let request = |fields: String| format!("GET / HTTP/1.1\r\nHost: test\r\n{fields}\r\n");
    assert_eq!(send(app.address, request(many(95))).await.status, 200);
    assert_eq!(send(app.address, request(many(96))).await.status, 431);
    let huge = format!("X-Huge: {}\r\n", "y".repeat(200_000));
    assert_eq!(send(app.address, request(huge)).await.status, 431);
    assert_eq!(app.count().await, 1);
}

#[tokio::test]
async fn a_client_that_leaves_in_mid_body_leaves_nothing_behind() {
    let app = spawn_app().await;
    for _ in 0..20 {
        let mut stream = Connection::open(app.address).await;
        let part = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nhalf";
        stream.send(part).await;
    }
    let mut stream = Connection::open(app.address).await;
    stream
        .send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\n")
        .await;
    stream.send(b"full").await;
    let response = stream.answer().await.unwrap();
    assert_eq!(app.data(response.id()).await, "full");
    assert_eq!(app.count().await, 1);
}
