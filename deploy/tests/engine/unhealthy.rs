//! `up` replaces what is unhealthy though nothing about it has changed.

use crate::stack::{Stack, docker, eventually};

/// Unhealthy once there is a file /broken in the container.
const SERVICES: &str = "
services:
  api:
    <<: *app
    healthcheck: {test: [CMD, test, '!', -e, /broken], interval: 200ms, retries: 2}
    deploy: {update_config: {order: ORDER}}
";

fn run_in(stack: &Stack, container: &str, script: &str) {
    docker(&["exec", &stack.name(container), "sh", "-c", script]);
}

fn health(stack: &Stack, container: &str) -> String {
    let state = &stack.inspect(container)["State"];
    state["Health"]["Status"].as_str().unwrap().to_owned()
}

fn becomes_unhealthy(stack: &Stack, container: &str) {
    eventually("it is unhealthy", || {
        health(stack, container) == "unhealthy"
    });
}

#[test]
fn an_unhealthy_container_is_replaced_start_first() {
    let stack = Stack::with("ill", &SERVICES.replace("ORDER", "start-first"));
    stack.ok(&["up"]);
    run_in(&stack, "api-1", "echo > /broken");
    becomes_unhealthy(&stack, "api-1");

    stack.says("plan", &["recreate", "it is unhealthy; the new one first"]);
    let up = stack.ok(&["up"]);
    up.assert_order(
        &format!("container {}: healthy", stack.name("api-2")),
        &format!("container {}: stopping", stack.name("api-1")),
    );
    assert_eq!(stack.containers().len(), 1);
    assert_eq!(health(&stack, "api-2"), "healthy");
    stack.ok(&["up"]).assert_says(&["no changes"]);
}

#[test]
fn an_unhealthy_container_is_replaced_stop_first() {
    let stack = Stack::with("illstop", &SERVICES.replace("ORDER", "stop-first"));
    stack.ok(&["up"]);
    let old = stack.id("api-1");
    run_in(&stack, "api-1", "echo > /broken");
    becomes_unhealthy(&stack, "api-1");
    stack.ok(&["up"]).assert_says(&["it is unhealthy"]);
    assert_ne!(stack.id("api-1"), old);
    stack.ok(&["up"]).assert_says(&["no changes"]);
}

#[test]
fn a_replacement_that_is_no_better_is_tried_once_and_the_old_one_stays() {
    let stack = Stack::with(
        "noremedy",
        "
services:
  api:
    <<: *app
    healthcheck: {test: [CMD, test, '!', -e, /data/broken], interval: 200ms, retries: 2}
    volumes: ['data:/data']
    deploy: {update_config: {order: start-first}}
volumes: {data: }
",
    );
    stack.ok(&["up"]);
    let before = stack.containers();
    run_in(&stack, "api-1", "echo > /data/broken");
    becomes_unhealthy(&stack, "api-1");
    stack.fails(1, &["up"]).assert_says(&[
        &format!("container {} is unhealthy", stack.name("api-2")),
        &format!("rolled back: {} as before", stack.name("api-1")),
    ]);
    assert_eq!(stack.containers(), before);

    run_in(&stack, "api-1", "rm /data/broken");
    eventually("it recovers", || health(&stack, "api-1") == "healthy");
    stack.ok(&["up"]).assert_says(&["no changes"]);
}

#[test]
fn what_recovers_with_its_dependency_is_left_as_it_is() {
    let stack = Stack::with(
        "recovers",
        "
services:
  db:
    <<: *app
    command: [sh, -c, 'echo > /data/up; exec sleep 1000']
    healthcheck: {test: [CMD, test, -e, /data/up], interval: 100ms, retries: 2}
    volumes: ['data:/data']
    deploy: {update_config: {monitor: 3s}}
  api:
    <<: *app
    healthcheck: {test: [CMD, test, -e, /data/up], interval: 100ms, retries: 2}
    volumes: ['data:/data:ro']
    depends_on: {db: {condition: service_healthy}}
volumes: {data: }
",
    );
    stack.ok(&["up"]);
    let (db, api) = (stack.id("db-1"), stack.id("api-1"));
    run_in(&stack, "db-1", "rm /data/up");
    becomes_unhealthy(&stack, "db-1");
    becomes_unhealthy(&stack, "api-1");
    stack.ok(&["up"]).assert_says(&["healthy again"]);
    assert_ne!(stack.id("db-1"), db);
    assert_eq!(stack.id("api-1"), api);
}

#[test]
fn data_in_an_anonymous_volume_outlives_what_was_unhealthy() {
    let stack = Stack::with(
        "nameless",
        "
services:
  db:
    <<: *app
    command: [sh, -c, 'rm -f /data/broken; exec sleep 1000']
    healthcheck: {test: [CMD, test, '!', -e, /data/broken], interval: 200ms, retries: 2}
    volumes: ['/data']
",
    );
    stack.ok(&["up"]);
    let id = stack.id("db-1");
    run_in(
        &stack,
        "db-1",
        "echo kept > /data/kept; echo > /data/broken",
    );
    becomes_unhealthy(&stack, "db-1");
    stack.says("up", &["restart", "it is unhealthy"]);
    assert_eq!(stack.id("db-1"), id);
    let kept = docker(&["exec", &stack.name("db-1"), "cat", "/data/kept"]);
    assert_eq!(kept, "kept\n");
    assert_eq!(health(&stack, "db-1"), "healthy");
}

/// As listener and proxy: what comes in at the door is served by who finds the socket.
#[test]
fn who_leads_to_nobody_that_works_is_replaced_too() {
    let stack = Stack::with(
        "door",
        "
services:
  door:
    <<: *app
    command: [sh, -c, 'echo > /run/door/socket; exec sleep 1000']
    healthcheck: {test: [CMD, 'true'], interval: 200ms}
    volumes: ['door:/run/door']
  web:
    <<: *app
    healthcheck: {test: [CMD, test, -e, /run/door/socket], interval: 200ms, retries: 2}
    volumes: ['door:/run/door:ro']
    depends_on: {door: {condition: service_healthy}}
    deploy: {update_config: {order: start-first}}
volumes: {door: }
x-verify: {entry_points: {door: {accepted_by: web}}}
",
    );
    stack.ok(&["up"]);
    let door = stack.id("door-1");
    run_in(&stack, "door-1", "rm /run/door/socket");
    becomes_unhealthy(&stack, "web-1");
    stack.ok(&["up"]).assert_says(&[
        "no container of web, which it leads to, works",
        "it is unhealthy",
    ]);
    assert_ne!(stack.id("door-1"), door);
    stack.ok(&["up"]).assert_says(&["no changes"]);
}
