//! What is answered 200 is in MongoDB, exactly as it was sent.

use std::collections::HashSet;

use crate::support::{
    Connection, Response, get, post, send, shared_mongo_uri, spawn_app, spawn_app_with,
};

#[tokio::test]
async fn the_answer_is_flasks_and_the_document_is_found() {
    let app = spawn_app().await;
    let response = get(app.address, "/?a=b").await;
    assert_eq!(response.status, 200);
    assert_eq!(
        response.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let document = app.document(response.id()).await;
    assert_eq!(document.get_str("endpoint").unwrap(), "home");
    assert_eq!(document.get_str("method").unwrap(), "GET");
    assert_eq!(document.get_str("url").unwrap(), "http://test/?a=b");
    assert_eq!(document.get_str("data").unwrap(), "");
    assert_eq!(document.get_str("remote_addr").unwrap(), "127.0.0.1");
    let age = mongodb::bson::DateTime::now()
        .checked_duration_since(*document.get_datetime("received_at").unwrap());
    assert!(age.unwrap().as_secs() < 20);
}

#[tokio::test]
async fn every_method_is_recorded() {
    let app = spawn_app().await;
    for method in [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW",
    ] {
        let response = send(
            app.address,
            format!("{method} / HTTP/1.1\r\nHost: test\r\n\r\n"),
        )
        .await;
        assert_eq!(response.status, 200, "{method}");
        let filter = mongodb::bson::doc! { "method": method };
        assert_eq!(
            app.collection.count_documents(filter).await.unwrap(),
            1,
            "{method}"
        );
    }
}

#[tokio::test]
async fn head_has_the_length_of_the_body_that_it_leaves_out() {
    let app = spawn_app().await;
    let mut stream = Connection::open(app.address).await;
    stream.send(b"HEAD / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    let head = Response::read(&mut stream, true).await.unwrap();
    // A body would be taken for the beginning of the next answer.
    stream.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    let full = stream.answer().await.unwrap();
    assert_eq!((head.status, full.status), (200, 200));
    assert_eq!(head.header("content-length"), full.header("content-length"));
    app.document(full.id()).await;
    assert_eq!(app.count().await, 2);
}

#[tokio::test]
async fn secrets_in_header_fields_are_redacted_unless_asked_for() {
    let request = "GET / HTTP/1.1\r\nHost: test\r\nauthorization: Basic c2VjcmV0\r\n\
                   Proxy-Authorization: x\r\nCookie: a=b\r\nSet-Cookie: c=d\r\nX-Key: k\r\n\r\n";
    let app = spawn_app().await;
    let document = app.document(send(app.address, request).await.id()).await;
    let headers = document.get_document("headers").unwrap();
    for name in [
        "Authorization",
        "Proxy-Authorization",
        "Cookie",
        "Set-Cookie",
    ] {
        assert_eq!(headers.get_str(name).unwrap(), "[redacted]");
    }
    assert_eq!(headers.get_str("X-Key").unwrap(), "k");

    let uri = shared_mongo_uri().await;
    let app = spawn_app_with(&uri, &[("API_REDACT_HEADERS", "x-key")]).await;
    let document = app.document(send(app.address, request).await.id()).await;
    let headers = document.get_document("headers").unwrap();
    assert_eq!(headers.get_str("X-Key").unwrap(), "[redacted]");
    assert_eq!(headers.get_str("Authorization").unwrap(), "Basic c2VjcmV0");
}

#[tokio::test]
async fn the_proxy_says_who_the_client_is() {
    let app = spawn_app().await;
    let request = "GET / HTTP/1.1\r\nHost: test\r\nX-Real-IP: 203.0.113.9\r\n\r\n";
    let document = app.document(send(app.address, request).await.id()).await;
    assert_eq!(document.get_str("remote_addr").unwrap(), "203.0.113.9");
}

#[tokio::test]
async fn a_request_for_another_protocol_is_recorded_and_ends_its_connection() {
    let app = spawn_app().await;
    for fields in [
        "Connection: Upgrade\r\nUpgrade: websocket",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2",
    ] {
        let mut stream = Connection::open(app.address).await;
        let request = format!("GET / HTTP/1.1\r\nHost: test\r\n{fields}\r\n\r\nhi");
        stream.send(request.as_bytes()).await;
        let response = stream.answer().await.unwrap();
        let document = app.document(response.id()).await;
        let expected = if fields.contains("Length") { "hi" } else { "" };
        assert_eq!(document.get_str("data").unwrap(), expected);
        assert_eq!(response.header("connection"), Some("close"), "{fields}");
        assert!(stream.answer().await.is_none(), "{fields}");
    }
}

#[tokio::test]
async fn a_hundred_concurrent_writers_each_find_their_own_document() {
    const WRITERS: usize = 100;
    const REQUESTS: usize = 5;
    let app = spawn_app().await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let address = app.address;
            tokio::spawn(async move {
                let mut answered = Vec::new();
                for request in 0..REQUESTS {
                    let body = format!("{writer}-{request}");
                    answered.push((post(address, body.as_bytes()).await.id(), body));
                }
                answered
            })
        })
        .collect();
    let mut ids = HashSet::new();
    for writer in writers {
        for (id, body) in writer.await.unwrap() {
            assert_eq!(app.data(id).await, body);
            assert!(ids.insert(id), "{id} was answered twice");
        }
    }
    assert_eq!(app.count().await, (WRITERS * REQUESTS) as u64);
}

#[tokio::test]
async fn a_document_that_mongodb_rejects_fails_its_own_request_only() {
    let app = spawn_app().await;
    let database = app
        .collection
        .client()
        .database(&app.collection.namespace().db);
    database
        .create_collection(app.collection.name())
        .validator(mongodb::bson::doc! { "data": { "$ne": "poison" } })
        .await
        .unwrap();
    let requests: Vec<_> = (0..64)
        .map(|number| {
            let address = app.address;
            let body = if number % 8 == 0 { "poison" } else { "wine" };
            tokio::spawn(async move { (body, post(address, body.as_bytes()).await) })
        })
        .collect();
    for request in requests {
        let (body, response) = request.await.unwrap();
        let expected = if body == "poison" { 500 } else { 200 };
        assert_eq!(response.status, expected, "{body}: {}", response.body);
    }
    assert_eq!(app.count().await, 56);
}
