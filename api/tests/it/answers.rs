//! Answers that record nothing: `/hello`, wrong paths and methods, broken requests.

use crate::support::{get, send, spawn_app};

#[tokio::test]
async fn hello_pings_mongodb() {
    let app = spawn_app().await;
    let response = get(app.address, "/hello").await;
    assert_eq!(response.status, 200);
    assert_eq!(
        response.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(response.body, "Hello from the MongoDB client!\n");
    let response = send(app.address, "HEAD /hello HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(response.status, 200);
    assert_eq!(app.count().await, 0);
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let app = spawn_app().await;
    for (method, status) in [
        ("POST", 405),
        ("DELETE", 405),
        ("BREW", 405),
        ("OPTIONS", 200),
    ] {
        let request = format!("{method} /hello HTTP/1.1\r\nHost: test\r\n\r\n");
        let response = send(app.address, request).await;
        assert_eq!(response.status, status, "{method}");
        assert_eq!(
            response.header("allow"),
            Some("GET, HEAD, OPTIONS"),
            "{method}"
        );
    }
}

#[tokio::test]
async fn other_paths_are_not_found_and_not_recorded() {
    let app = spawn_app().await;
    for target in [
        "/nothing", "/healthz", "/readyz", "/metrics", "/%2F", "/hello/", "/../", "*",
    ] {
        assert_eq!(get(app.address, target).await.status, 404, "{target}");
    }
    assert_eq!(app.count().await, 0);
}

#[tokio::test]
async fn broken_requests_are_refused_and_the_server_goes_on() {
    let app = spawn_app().await;
    for request in [
        "\0\x01\x02\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZ\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
    ] {
        assert_eq!(send(app.address, request).await.status, 400, "{request:?}");
    }
    assert_eq!(get(app.address, "/").await.status, 200);
    assert_eq!(app.count().await, 1);
}
