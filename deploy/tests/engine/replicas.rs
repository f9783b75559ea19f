//! Replicas and `scale`.

use engine::concurrency;

use crate::stack::{Stack, docker, eventually, outcome};

const SERVICES: &str = "
services:
  api: {<<: *app, deploy: {replicas: 2}}
  web: {<<: *app, ports: ['127.0.0.1::80']}
";

#[test]
fn scale_changes_the_count_until_the_next_up() {
    let stack = Stack::with("scale", SERVICES);
    stack.ok(&["up"]);
    let kept = stack.containers();
    assert_eq!(stack.names(), ["api-1", "api-2", "web-1"]);

    stack
        .ok(&["scale", "api=3"])
        .assert_says(&["the next `deploy up` goes back to the file: api=2"]);
    assert_eq!(stack.names(), ["api-1", "api-2", "api-3", "web-1"]);

    stack.ok(&["up"]);
    assert_eq!(stack.containers(), kept, "the newest went");

    stack.ok(&["scale", "api=0"]);
    assert_eq!(stack.names(), ["web-1"]);
}

#[test]
fn scale_refuses_what_can_not_be() {
    let stack = Stack::with(
        "noscale",
        "services:\n  web: {<<: *app, ports: ['127.0.0.1:18299:80']}\n",
    );
    stack.refuses(2, "scale web=2", &["host port 18299"]);
    stack
        .fails(2, &["scale", "api=2"])
        .assert_says(&["no such service: api", "choose among web"]);
    assert_eq!(stack.deploy(&["scale", "web"]).code, 2);
}

#[test]
fn what_writes_to_a_place_is_not_scaled() {
    let stack = Stack::with(
        "writes",
        "
services:
  db: {<<: *app, volumes: ['data:/data']}
  files: {<<: *app, volumes: ['./files:/files']}
  reader: {<<: *app, volumes: ['data:/data:ro', '/scratch']}
  shared: {<<: *app, volumes: ['data:/data'], deploy: {replicas: 2}}
volumes: {data: }
",
    );
    for command in ["plan", "up"] {
        stack.fails(1, &[command]).assert_says(&[
            "nothing was changed",
            "compose.yaml:11:32: services.shared: 2 containers write to volume data",
            "--force",
        ]);
        assert!(stack.containers().is_empty());
    }
    stack.ok(&["plan", "--force"]);
    stack.ok(&["up", "--force"]);
    // They are let in.
    let note = "services.shared: 2 containers write to volume data at once";
    stack.ok(&["up"]).assert_says(&["no changes", note]);
    stack
        .fails(2, &["scale", "db=2"])
        .assert_says(&["can't run 2 containers of db: it writes to volume data"]);
    stack.refuses(2, "scale files=2", &["it writes to", "/files of the host"]);
    stack.refuses(2, "scale shared=3", &["can't run 3 containers of shared"]);
    stack.ok(&["scale", "--force", "reader=2", "shared=3", "db=1"]);
    assert_eq!(stack.containers().len(), 7);
}

/// A service each of whose containers may take 60 % of the machine.
fn large() -> String {
    let memory: u64 = docker(&["info", "-f", "{{.MemTotal}}"])
        .trim()
        .parse()
        .unwrap();
    format!(
        "services:\n  api: {{<<: *app, deploy: {{replicas: 1, resources: {{limits: {{memory: {}}}}}}}}}\n",
        memory / 10 * 6
    )
}

#[test]
fn memory_that_the_machine_does_not_have_is_refused_unless_forced() {
    let large = large();
    let stack = Stack::with("memory", &large);
    stack.ok(&["up"]);
    stack.fails(1, &["scale", "api=2"]).assert_says(&[
        "memory limits don't fit the engine's machine: api 2 × ",
        "--force",
    ]);
    stack.compose(&large.replace("replicas: 1", "replicas: 2"));
    stack.fails(1, &["up"]).assert_says(&["api 2 × "]);
    stack.fails(1, &["plan"]).assert_says(&["api 2 × "]);
    stack.ok(&["plan", "--force"]);
    assert_eq!(stack.names(), ["api-1"]);
    stack.ok(&["up", "--force"]);
    stack.ok(&["scale", "--force", "api=3"]);
    assert_eq!(stack.names().len(), 3);
}

/// Healthy once /ok is there.
const AWAITED: &str = "
services:
  api:
    <<: *app
    healthcheck: {test: [CMD, test, -e, /ok], interval: 100ms, timeout: 5s, retries: 5}
";

#[test]
fn the_next_batch_waits_until_the_last_one_is_healthy() {
    let stack = Stack::with("batches", AWAITED);
    let up = stack.spawn(&["up"]);
    eventually("the first runs", || {
        !stack.names().is_empty() && stack.inspect("api-1")["State"]["Running"] == true
    });
    docker(&["exec", &stack.name("api-1"), "sh", "-c", "echo > /ok"]);
    let up = outcome(&up.wait_with_output().unwrap());
    up.assert_code(0);
    // The others never get healthy.
    stack.refuses(1, "scale api=40", &["is unhealthy"]);
    // As many as are worked on side by side, beside the first: `concurrency::LIMIT`.
    let started = stack.names().len();
    assert!((2..=9).contains(&started), "{started}");

    stack.compose(&AWAITED.replace("test, -e, /ok", "'true'"));
    stack.ok(&["up"]);
    stack.ok(&["scale", "api=20"]);
    assert_eq!(stack.names().len(), 20);
}

#[test]
fn what_is_waited_for_can_start_however_many_wait() {
    let waiting: Vec<String> = (0..concurrency::LIMIT)
        .map(|number| format!("  waits-{number}: *waits"))
        .collect();
    let waiting = waiting.join("\n");
    let stack = Stack::with(
        "waits",
        &format!(
            "
x-waits: &waits
  <<: *app
  volumes: ['shared:/shared:ro']
  healthcheck: {{test: [CMD, test, -e, /shared/ok], interval: 100ms, timeout: 5s, start_period: 30s}}
services:
{waiting}
  last:
    <<: *app
    command: [sh, -c, 'echo > /shared/ok; exec sleep 1000']
    volumes: ['shared:/shared']
volumes: {{shared: }}
"
        ),
    );
    stack.ok(&["up"]);
    assert_eq!(stack.names().len(), concurrency::LIMIT + 1);
}
