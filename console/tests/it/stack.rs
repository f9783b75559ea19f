//! How the stack is, by what its parts say of themselves.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use testkit::http::RawClient;
use testkit::metrics_page;
use testkit::wait::wait_within;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support::{TestApp, request, spawn_app, spawn_app_with};

const SOON: Duration = Duration::from_secs(20);

/// What a part says at its admin port.
struct Stub {
    address: SocketAddr,
    ready: Arc<Mutex<String>>,
    started: Arc<AtomicU32>,
    serving: JoinHandle<()>,
}

impl Stub {
    /// In `metrics`, `N` stands for how often it was asked.
    async fn start(metrics: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ready = Arc::new(Mutex::new("200 OK\r\n\r\nready\n".to_owned()));
        let started = Arc::new(AtomicU32::new(1_700_000_000));
        let (readiness, start) = (Arc::clone(&ready), Arc::clone(&started));
        let serving = tokio::spawn(async move {
            let mut asked = 0;
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = [0; 4096];
                let length = stream.read(&mut head).await.unwrap();
                let answer = if head[..length].starts_with(b"GET /metrics ") {
                    asked += 1;
                    let metrics = metrics.replace('N', &asked.to_string());
                    let started = start.load(Ordering::Relaxed);
                    format!("200 OK\r\n\r\nprocess_start_time_seconds {started}\n{metrics}")
                } else {
                    readiness.lock().unwrap().clone()
                };
                let _ = stream
                    .write_all(format!("HTTP/1.1 {answer}").as_bytes())
                    .await;
            }
        });
        Self {
            address,
            ready,
            started,
            serving,
        }
    }

    fn die(&self) {
        self.serving.abort();
    }
}

const PROXY: &str = r#"process_resident_memory_bytes 20000000
proxy_build_info{version="1.2.3"} 1
proxy_requests_total{method="GET",code="200",class="2xx"} N00
proxy_requests_total{method="GET",code="503",class="5xx"} N0
proxy_request_duration_seconds_bucket{le="0.1"} 0
proxy_request_duration_seconds_bucket{le="0.2"} N00
proxy_request_duration_seconds_bucket{le="+Inf"} N00
proxy_client_connections_open 12
proxy_backend_up{backend="127.0.0.1:9090"} 1
"#;

const API: &str = r#"api_build_info{version="1.2.3"} 1
api_http_requests_total{route="home",code="200"} N00
api_write_batch_documents_sum N0
api_write_batch_documents_count N
api_write_queue_documents 5
api_mongo_up 1
"#;

fn stats(app: &TestApp) -> Value {
    serde_json::from_str(&app.get("/api/stats").text()).unwrap()
}

/// With these parts.
async fn app(proxy: &str, api: &str) -> TestApp {
    spawn_app_with(&[("CONSOLE_PROXY_ADMIN", proxy), ("CONSOLE_API_ADMIN", api)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parts_figures_are_told() {
    let (proxy, api) = (Stub::start(PROXY).await, Stub::start(API).await);
    let app = app(&proxy.address.to_string(), &api.address.to_string()).await;
    app.database.record([request("GET", "/", "")]).await;
    wait_within(SOON, "rates of both parts and the document", || {
        let stats = stats(&app);
        stats["clients"]["requests_per_second"].as_f64() > Some(0.0)
            && stats["upstream"]["requests_per_second"].as_f64() > Some(0.0)
            && stats["mongo"]["documents"] == 1
    });
    let stats = stats(&app);
    let (clients, writes) = (&stats["clients"], &stats["writes"]);
    let share = |of: &str| clients[of].as_f64().unwrap();
    // Ten of a hundred and ten.
    let errors = share("errors_per_second") / share("requests_per_second");
    assert!((errors - 1.0 / 11.0).abs() < 1e-9, "{errors}");
    assert!((share("p50_seconds") - 0.15).abs() < 1e-9, "{clients}");
    assert_eq!(clients["connections"], 12.0);
    let batch = writes["batch_documents"].as_f64().unwrap();
    assert!((batch - 10.0).abs() < 1e-9, "{writes}");
    assert_eq!(writes["queue_documents"], 5.0);
    let one = &stats["proxy"]["replicas"][0];
    assert_eq!(one["state"], "ready");
    assert_eq!(one["version"], "1.2.3");
    assert_eq!(one["address"], "127.0.0.1");
    assert_eq!(one["started_at"], "2023-11-14T22:13:20Z");
    assert_eq!(one["backends"][0]["up"], true);
    assert_eq!(stats["mongo"]["up_for_apis"], 1);
    wait_within(SOON, "the history", || {
        self::stats(&app)["history"].as_array().unwrap().len() >= 2
    });
    let page = app.get("/stack").text();
    for told in [
        "All parts are ready",
        "12 open",
        "batches of 10",
        "The last 15 minutes",
    ] {
        assert!(page.contains(told), "no {told:?} in {page}");
    }
    for fragment in ["picture", "parts", "charts", "table"] {
        let fragment = app.get(&format!("/stack/{fragment}"));
        assert!(page.contains(fragment.text().get(..20).unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_unwell_gone_or_restarted_is_shown_as_such() {
    let (proxy, api) = (Stub::start(PROXY).await, Stub::start(API).await);
    let app = app(&proxy.address.to_string(), &api.address.to_string()).await;
    let replica = |part: &str| stats(&app)[part]["replicas"][0].clone();
    wait_within(SOON, "both ready", || {
        ["proxy", "api"].map(|part| replica(part)["state"] == "ready") == [true; 2]
    });
    "503 Service Unavailable\r\n\r\nno <b>backend</b>\n"
        .clone_into(&mut proxy.ready.lock().unwrap());
    wait_within(SOON, "a proxy that isn't ready", || {
        replica("proxy")["state"] == "not_ready"
    });
    assert_eq!(replica("proxy")["reason"], "no <b>backend</b>");
    let picture = app.get("/stack/picture").text();
    assert!(
        picture.contains("! not ready") && !picture.contains("<b>"),
        "{picture}"
    );

    proxy.started.fetch_add(60, Ordering::Relaxed);
    wait_within(SOON, "a restart", || replica("proxy")["restarts"] == 1);

    api.die();
    wait_within(SOON, "an API that is away", || {
        let api = replica("api");
        api["state"] == "away" && api["reason"] == "Connection refused"
    });
    assert_eq!(stats(&app)["upstream"]["requests_per_second"], Value::Null);
    let picture = app.get("/stack/picture").text();
    assert!(picture.contains("✕ no answer"), "{picture}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_tells_too_much_or_something_else_isnt_understood() {
    let line = |n: usize| format!("proxy_requests_total{{code=\"{n}\"}} 1\n");
    // More of what is looked at than is kept, and more in all than is read.
    let wanted: String = (0..1000).map(line).collect();
    let other = format!(
        "# {}\nproxy_client_connections_open 1\n",
        "x".repeat(64 << 10)
    );
    for (metrics, reason) in [
        (wanted, "more than 24 KiB of the metrics that are looked at"),
        (other, "/metrics: more than 64 KiB"),
        ("<html>\n".to_owned(), "not a metric: <html>"),
    ] {
        let (proxy, api) = (Stub::start(metrics.leak()).await, Stub::start(API).await);
        let app = app(&proxy.address.to_string(), &api.address.to_string()).await;
        wait_within(SOON, "a proxy that isn't understood", || {
            let stats = stats(&app);
            let proxy = &stats["proxy"]["replicas"][0];
            proxy["state"] == "not_understood" && proxy["reason"] == reason
        });
        assert_eq!(stats(&app)["clients"]["connections"], Value::Null);
        let page = app.get("/stack").text();
        assert!(page.contains("? not understood"), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_is_found_the_page_says_which_settings_to_look_at() {
    let app = app("proxy.invalid:9180", "api.invalid:9190").await;
    wait_within(SOON, "a first look", || {
        stats(&app)["proxy"]["problem"].is_string() && stats(&app)["api"]["problem"].is_string()
    });
    let page = app.get("/stack").text();
    for told in [
        "Nothing to draw",
        "CONSOLE_PROXY_ADMIN=proxy.invalid:9180",
        "CONSOLE_API_ADMIN=api.invalid:9190",
    ] {
        assert!(page.contains(told), "no {told:?} in {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_lists_every_metric_and_no_other() {
    let app = spawn_app().await;
    app.get("/");
    wait_within(SOON, "looks at the parts", || {
        let metrics = RawClient::connect(app.admin).get("/metrics").text();
        metrics.contains("console_scrape_failures_total{")
    });
    let metrics = RawClient::connect(app.admin).get("/metrics").text();
    assert!(metrics.contains("console_http_requests_total{route=\"requests\",code=\"200\"} 1\n"));
    metrics_page::lists(&metrics, &["console_", "process_"]);
    let mut client = RawClient::connect(app.admin);
    let answer = client.get_with("/metrics", "Accept: application/openmetrics-text\r\n");
    metrics_page::is_open_metrics(&answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_ready_while_mongodb_can_be_read() {
    let app = spawn_app().await;
    RawClient::connect(app.admin)
        .get("/readyz")
        .assert_is(200, "ready\n");
    let away = spawn_app_with(&[("CONSOLE_MONGO_URI", "mongodb://127.0.0.1:1")]).await;
    let answer = RawClient::connect(away.admin).get("/readyz");
    assert_eq!(answer.status, 503);
    assert_eq!(RawClient::connect(away.admin).get("/healthz").status, 200);
}
