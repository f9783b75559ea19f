//! The admin port, and that the public one doesn't have it.

use testkit::metrics_page;

use crate::support::{get, post, send, spawn_app};

#[tokio::test]
async fn health_readiness_and_metrics() {
    let app = spawn_app().await;
    assert_eq!(get(app.admin, "/healthz").await.body, "ok\n");
    assert_eq!(get(app.admin, "/readyz").await.body, "ready\n");
    for _ in 0..3 {
        assert_eq!(post(app.address, b"x").await.status, 200);
    }
    assert_eq!(get(app.address, "/nothing").await.status, 404);
    let metrics = get(app.admin, "/metrics").await;
    for line in [
        "api_http_requests_total{route=\"home\",code=\"200\"} 3",
        "api_http_requests_total{route=\"other\",code=\"404\"} 1",
        "api_writes_total{outcome=\"acknowledged\"} 3",
        "api_write_batch_documents_sum 3.0",
        "api_write_queue_documents 0",
        "api_mongo_up 1",
    ] {
        assert!(
            metrics.body.contains(line),
            "{line} isn't in {}",
            metrics.body
        );
    }
}

#[tokio::test]
async fn metrics_come_in_the_format_that_is_asked_for() {
    let app = spawn_app().await;
    let request = "GET /metrics HTTP/1.1\r\nHost: a\r\n";
    for (accept, kind) in [
        ("", "text/plain; version=0.0.4"),
        ("Accept: text/plain\r\n", "text/plain; version=0.0.4"),
        (
            "Accept: application/openmetrics-text;version=1.0.0,*/*;q=0.1\r\n",
            "application/openmetrics-text; version=1.0.0",
        ),
    ] {
        let metrics = send(app.admin, format!("{request}{accept}\r\n")).await;
        let given = metrics.header("content-type").unwrap();
        assert!(given.starts_with(kind), "{accept}: {given}");
        let is_open = kind.starts_with('a');
        assert_eq!(metrics.body.ends_with("# EOF\n"), is_open);
        if is_open {
            metrics_page::is_open_metrics(&metrics.body);
        }
    }
}

#[tokio::test]
async fn the_page_lists_every_metric_and_no_other() {
    let app = spawn_app().await;
    assert_eq!(post(app.address, b"x").await.status, 200);
    let metrics = get(app.admin, "/metrics").await;
    metrics_page::lists(&metrics.body, &["api_", "process_"]);
}

#[tokio::test]
async fn garbage_is_survived() {
    let app = spawn_app().await;
    assert_eq!(
        send(app.admin, "\x16\x03\x01\0\0\r\n\r\n").await.status,
        400
    );
    assert_eq!(get(app.admin, "/").await.status, 404);
    assert_eq!(
        send(app.admin, "POST /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .status,
        405
    );
    assert_eq!(get(app.admin, "/healthz").await.status, 200);
}
