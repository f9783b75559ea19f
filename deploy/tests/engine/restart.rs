//! `restart` and `up --force-recreate`: what runs once more, though nothing has changed.

use crate::stack::{Outcome, Stack, docker};

const SERVICES: &str = "
services:
  api:
    <<: *app
    environment: {COLOUR: blue}
    healthcheck: {test: [CMD, 'true'], interval: 100ms}
    depends_on: {db: {condition: service_healthy}}
    deploy: {replicas: 2, update_config: {order: start-first}}
  db:
    <<: *app
    healthcheck: {test: [CMD, 'true'], interval: 100ms}
    volumes: ['data:/data']
  aside: {<<: *app}
volumes: {data: }
";

fn place(outcome: &Outcome, part: &str) -> usize {
    let found = outcome.text.find(part);
    found.unwrap_or_else(|| panic!("{part}:\n{}", outcome.text))
}

fn started_at(stack: &Stack, container: &str) -> String {
    stack.inspect(container)["State"]["StartedAt"].to_string()
}

#[test]
fn what_is_replaced_start_first_serves_all_the_time() {
    let stack = Stack::with("again", SERVICES);
    stack.ok(&["up"]);
    let before = stack.containers();
    let others = [stack.id("db-1"), stack.id("aside-1")];
    let settings = stack.inspect("api-1")["Config"]["Env"].clone();

    let restarted = stack.ok(&["restart", "api"]);
    restarted.assert_says(&["as requested; the new one first", "restarted: api"]);
    for (new, old) in [("api-3", "api-1"), ("api-4", "api-2")] {
        let healthy = format!("container {}: healthy", stack.name(new));
        let stopping = format!("container {}: stopping", stack.name(old));
        assert!(
            place(&restarted, &healthy) < place(&restarted, &stopping),
            "{}",
            restarted.text
        );
    }
    assert_eq!(stack.containers().len(), before.len());
    assert_eq!(stack.inspect("api-3")["Config"]["Env"], settings);
    assert_eq!([stack.id("db-1"), stack.id("aside-1")], others);
    stack.ok(&["up"]).assert_says(&["no changes"]);
}

#[test]
fn others_are_stopped_and_started_in_the_order_of_their_dependencies() {
    let stack = Stack::with("order", SERVICES);
    stack.ok(&["up"]);
    let ids = stack.containers();
    let started = started_at(&stack, "db-1");
    docker(&["exec", &stack.name("db-1"), "sh", "-c", "echo > /written"]);

    let restarted = stack.ok(&["restart", "--in-place", "api", "db"]);
    assert_eq!(stack.containers(), ids, "the same containers");
    assert_ne!(started_at(&stack, "db-1"), started);
    docker(&["exec", &stack.name("db-1"), "test", "-e", "/written"]);
    let healthy = |container: &str| {
        let line = format!("container {}: healthy", stack.name(container));
        place(&restarted, &line)
    };
    let restarting = |container: &str| {
        let line = format!("container {}: restarting", stack.name(container));
        place(&restarted, &line)
    };
    assert!(healthy("db-1") < restarting("api-1"), "{}", restarted.text);
    assert!(healthy("api-1") < restarting("api-2"), "{}", restarted.text);
}

#[test]
fn the_grace_period_is_kept_to() {
    let stack = Stack::with(
        "grace",
        "
services:
  db:
    <<: *app
    command: [sh, -c, 'trap \"sleep 2; echo done > /data/flushed; exit 0\" TERM; while true; do sleep 0.1; done']
    stop_signal: SIGTERM
    stop_grace_period: 20s
    volumes: ['data:/data']
volumes: {data: }
",
    );
    stack.ok(&["up"]);
    stack.ok(&["restart", "db"]);
    let flushed = docker(&["exec", &stack.name("db-1"), "cat", "/data/flushed"]);
    assert_eq!(flushed, "done\n");
}

#[test]
fn a_restart_brings_no_change_up() {
    let stack = Stack::with("unchanged", SERVICES);
    stack.ok(&["up"]);
    let before = stack.containers();
    stack.compose(&SERVICES.replace("blue", "green"));
    stack.fails(1, &["restart", "api"]).assert_says(&[
        "nothing was restarted",
        r#"environment.COLOUR: "blue" → "green""#,
        "--in-place",
    ]);
    stack.ok(&["restart", "--in-place", "api"]);
    assert_eq!(stack.containers(), before);
    let environment = stack.inspect("api-1")["Config"]["Env"].to_string();
    assert!(environment.contains("COLOUR=blue"), "{environment}");
}

#[test]
fn a_guest_of_a_network_namespace_follows_the_restart() {
    let stack = Stack::with(
        "guests",
        "
services:
  host: {<<: *app, deploy: {update_config: {order: start-first}}}
  guest: {<<: *app, network_mode: 'service:host'}
",
    );
    stack.ok(&["up"]);
    stack.says("restart host", &["restarted: host, guest"]);
    let joined = stack.inspect("guest-1")["HostConfig"]["NetworkMode"].clone();
    assert_eq!(joined, format!("container:{}", stack.id("host-2")));
    stack.ok(&["up"]).assert_says(&["no changes"]);
}

#[test]
fn it_takes_services_that_there_are() {
    let stack = Stack::with("which", SERVICES);
    assert_eq!(stack.deploy(&["restart"]).code, 2);
    stack.refuses(2, "restart apo", &["no such service: apo"]);
    stack.refuses(1, "restart api", &["api has no container"]);
    stack.ok(&["up"]);
    let events = stack.ok(&["restart", "aside", "--json"]).events();
    let last = events.last().unwrap();
    assert_eq!(last["event"], "restart");
    assert_eq!(last["services"], serde_json::json!(["aside"]));
    assert_eq!(events[0]["plan"]["actions"][0]["action"], "restart");
}

#[test]
fn force_recreate_replaces_everything_once() {
    let stack = Stack::with("forced", SERVICES);
    stack.ok(&["up"]);
    let before = stack.containers();
    stack.says("up --force-recreate", &["recreate", "as requested"]);
    let after = stack.containers();
    assert_eq!(after.len(), before.len());
    for (name, id) in &before {
        assert!(
            after.iter().all(|(_, it)| it != id),
            "{name} is the old one"
        );
    }
    stack.ok(&["up"]).assert_says(&["no changes"]);
}
