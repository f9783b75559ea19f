//! The alerts that fire, from Prometheus itself (Debian's).

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::net::free_address;
use testkit::process::{Process, debian};
use testkit::wait::wait_within;

use crate::support::{TestApp, spawn_app_with};

const SOON: Duration = Duration::from_secs(30);

/// Two fire at once, another would in an hour, and one never.
const RULES: &str = r#"
groups:
  - name: test
    rules:
      - alert: Slow
        expr: vector(2) > 1
        labels: {severity: warning}
      - alert: Down
        expr: vector(1)
        labels: {severity: critical}
        annotations: {summary: "<b>{{ $value }}</b> is down", runbook: "docs/metrics.md#down"}
      - alert: Pending
        expr: vector(1)
        for: 1h
      - alert: Fine
        expr: vector(1) > 1
"#;

fn alerts(app: &TestApp) -> Value {
    let stats: Value = serde_json::from_str(&app.get("/api/stats").text()).unwrap();
    stats["alerts"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fires_is_shown_and_so_is_that_nobody_can_say() {
    let folder = TempDir::new().unwrap();
    let config = "{global: {evaluation_interval: 1s}, rule_files: [rules.yml]}";
    fs::write(folder.path().join("prometheus.yml"), config).unwrap();
    fs::write(folder.path().join("rules.yml"), RULES).unwrap();
    let address = free_address();
    let program = debian("trixie", "prometheus").join("usr/bin/prometheus");
    let prometheus = Process::start(
        Command::new(program)
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg(format!("--web.listen-address={address}"))
            .arg("--web.route-prefix=/prefix")
            .current_dir(folder.path())
            .stderr(Stdio::null()),
    );
    let url = format!("http://{address}/prefix/");
    let app = spawn_app_with(&[("CONSOLE_PROMETHEUS_URL", &url)]).await;
    wait_within(SOON, "both alerts", || {
        alerts(&app)["firing"]
            .as_array()
            .is_some_and(|all| all.len() == 2)
    });
    let told = alerts(&app);
    assert_eq!(told["state"], "ready", "{told}");
    let [down, slow] = [&told["firing"][0], &told["firing"][1]];
    assert_eq!(down["name"], "Down");
    assert_eq!(down["summary"], "<b>1</b> is down");
    assert_eq!(slow["name"], "Slow");
    assert!(
        slow["since"].is_string() && slow["runbook"].is_null(),
        "{slow}"
    );
    let description: Value = serde_json::from_str(&app.get("/api/openapi.json").text()).unwrap();
    let components = &description["components"];
    let described = json!({"$ref": "#/components/schemas/Alerts", "components": components});
    assert!(jsonschema::is_valid(&described, &told), "{told}");
    let page = app.get("/stack").text();
    for shown in [
        "<strong>Down</strong> critical since <time",
        "&#60;b&#62;1&#60;/b&#62; is down",
        "<code>docs/metrics.md#down</code>",
    ] {
        assert!(page.contains(shown), "no {shown:?} in {page}");
    }
    assert!(
        !page.contains("Pending") && !page.contains("No alert fires"),
        "{page}"
    );
    assert!(page.contains(app.get("/stack/alerts").text().lines().next().unwrap()));

    drop(prometheus);
    wait_within(SOON, "that it is unreachable", || {
        alerts(&app)["state"] == "away"
    });
    let told = alerts(&app);
    assert_eq!(told["firing"], json!([]));
    assert_eq!(told["reason"], "Connection refused");
    let shown = app.get("/stack/alerts").text();
    assert!(
        shown.contains(&format!(
            "<strong>Prometheus {url}</strong> unreachable since"
        )),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_none_nothing_is_shown() {
    let none = ("CONSOLE_PROMETHEUS_URL", "http://prometheus.invalid:9090");
    let app = spawn_app_with(&[none]).await;
    wait_within(SOON, "a look", || {
        let stats: Value = serde_json::from_str(&app.get("/api/stats").text()).unwrap();
        stats["at"].is_string()
    });
    assert_eq!(alerts(&app), Value::Null);
    assert_eq!(app.get("/stack/alerts").text().trim(), "");
}
