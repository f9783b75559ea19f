//! `down` and what it leaves.

use crate::stack::{Stack, docker};

#[test]
fn down_leaves_the_volume_whose_data_survives_and_volumes_leaves_nothing() {
    let stack = Stack::with(
        "down",
        "
services:
  db:
    <<: *app
    command: [sh, -c, 'test -e /data/id || cat /proc/sys/kernel/random/uuid > /data/id; exec sleep 1000']
    volumes: ['data:/data', /scratch]
    healthcheck: {test: [CMD, test, -s, /data/id], interval: 200ms}
volumes: {data: }
",
    );
    stack.ok(&["up"]);
    let volumes_with_anonymous = || {
        let filter = format!("label=com.docker.compose.project={}", stack.project);
        let mounts = docker(&["ps", "-aq", "--filter", &filter]);
        assert!(!mounts.trim().is_empty());
        docker(&[
            "inspect",
            "-f",
            "{{range .Mounts}}{{.Name}} {{end}}",
            mounts.trim(),
        ])
    };
    let mounted = volumes_with_anonymous();
    let anonymous = mounted
        .split_whitespace()
        .find(|name| !name.contains("_data"))
        .unwrap()
        .to_owned();
    let id = || docker(&["exec", &stack.name("db-1"), "cat", "/data/id"]);
    let written = id();

    let down = stack.ok(&["down"]);
    down.assert_says(&["kept volume", "--volumes", "kept image"]);
    assert!(stack.containers().is_empty());
    assert!(stack.networks().is_empty());
    assert_eq!(stack.volumes(), [format!("{}_data", stack.project)]);
    let all = docker(&["volume", "ls", "-q"]);
    assert!(
        !all.contains(&anonymous),
        "the anonymous volume went with its container"
    );

    stack.ok(&["up"]);
    assert_eq!(id(), written, "data survives");

    stack.ok(&["down", "--volumes"]);
    assert!(stack.containers().is_empty());
    assert!(stack.networks().is_empty());
    assert!(stack.volumes().is_empty());
    stack.ok(&["down", "--volumes"]);
}

#[test]
fn dependents_go_first() {
    let stack = Stack::with(
        "order",
        "
services:
  proxy: {<<: *app, depends_on: [api]}
  api: {<<: *app, depends_on: [db]}
  db: {<<: *app}
",
    );
    stack.ok(&["up"]);
    let removed: Vec<String> = stack
        .ok(&["down", "--json"])
        .events()
        .iter()
        .filter(|event| event["event"] == "done")
        .map(|event| event["subject"].as_str().unwrap().to_owned())
        .filter(|subject| subject.starts_with("container"))
        .collect();
    let expected =
        ["proxy-1", "api-1", "db-1"].map(|name| format!("container {}", stack.name(name)));
    assert_eq!(removed, expected);
}
