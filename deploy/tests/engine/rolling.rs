//! Start-first: the old container serves until the new one is ready, and goes on
//! serving if that never happens.

use std::process::{Child, Command};

use crate::stack::{Stack, docker, eventually, outcome};

const SERVICES: &str = "
services:
  api:
    <<: *app
    environment: {VERSION: \"1\", BROKEN: \"0\"}
    healthcheck: {test: [CMD, sh, -c, 'test $$BROKEN = 0'], interval: 200ms, retries: 2}
    deploy: {update_config: {order: start-first}}
";

#[test]
fn the_new_container_is_healthy_before_the_old_one_goes() {
    let stack = Stack::with("startfirst", SERVICES);
    stack.ok(&["up"]);
    let old = stack.id("api-1");

    stack.compose(&SERVICES.replace("VERSION: \"1\"", "VERSION: \"2\""));
    let up = stack.ok(&["up"]);
    up.assert_order(
        &format!("container {}: healthy", stack.name("api-2")),
        &format!("container {}: stopping", stack.name("api-1")),
    );
    assert_eq!(stack.containers().len(), 1);
    assert_ne!(stack.id("api-2"), old);
}

#[test]
fn a_broken_version_is_rolled_back_by_itself() {
    let stack = Stack::with("broken", SERVICES);
    stack.ok(&["up"]);
    let before = stack.containers();
    let broken = SERVICES.replace("BROKEN: \"0\"", "BROKEN: \"1\"").replace(
        "    deploy:",
        "    command: [sh, -c, 'echo \"no journal \\a here\"; exec sleep 1000']\n    deploy:",
    );
    stack.compose(&broken);
    let failed = stack.fails(1, &["up"]);
    failed.assert_says(&[
        &format!("container {} is unhealthy", stack.name("api-2")),
        &format!("rolled back: {} as before", stack.name("api-1")),
        "no journal",
        "the old version serves meanwhile",
    ]);
    assert!(!failed.text.contains('\u{7}'), "{}", failed.text);
    assert_eq!(stack.containers(), before);
    let state = &stack.inspect("api-1")["State"];
    assert_eq!(state["Health"]["Status"], "healthy");

    stack.compose(SERVICES);
    stack.ok(&["up"]).assert_says(&["no changes"]);
}

#[test]
fn what_is_down_is_not_said_to_serve() {
    let with_door = format!(
        "{SERVICES}  door: {{<<: *app, hostname: one, depends_on: {{api: {{condition: service_healthy}}}}}}\n"
    );
    let stack = Stack::with("brokendown", &with_door);
    stack.ok(&["up"]);
    docker(&["kill", &stack.name("api-1"), &stack.name("door-1")]);
    stack.compose(
        &with_door
            .replace("BROKEN: \"0\"", "BROKEN: \"1\"")
            .replace("hostname: one", "hostname: two"),
    );
    let failed = stack.fails(1, &["up"]);
    failed.assert_says(&[
        &format!("container {} is unhealthy", stack.name("api-2")),
        "door: not brought up, because api failed",
        &format!(
            "{} (exited with status 137) doesn't serve: correct the cause and run `deploy up`",
            stack.name("api-1")
        ),
    ]);
    assert!(!failed.text.contains("serves meanwhile"), "{}", failed.text);
}

/// Of version 2 the second container that starts fails, and no other.
const SECOND_FAILS: &str = "
services:
  api:
    <<: *app
    environment: {VERSION: \"1\"}
    command:
      - sh
      - -c
      - |
        if test $$VERSION = 2 -a -e /data/first -a ! -e /data/second; then
          echo > /data/second; echo > /broken
        fi
        if test $$VERSION = 2; then echo > /data/first; fi
        exec sleep 1000
    healthcheck: {test: [CMD, test, '!', -e, /broken], interval: 200ms, retries: 2}
    volumes: ['data:/data']
    deploy: {replicas: REPLICAS, update_config: {order: start-first, failure_action: ACTION}}
volumes: {data: }
";

fn second_fails(
    test: &str,
    action: &str,
    replicas: usize,
) -> (Stack, Vec<(String, String)>, String) {
    let first = SECOND_FAILS
        .replace("ACTION", action)
        .replace("REPLICAS", &replicas.to_string());
    let stack = Stack::with(test, &first);
    stack.ok(&["up", "--force"]);
    let before = stack.containers();
    stack.compose(&first.replace("VERSION: \"1\"", "VERSION: \"2\""));
    let failed = stack.fails(1, &["up"]);
    let second = stack.name(&format!("api-{}", replicas + 2));
    failed.assert_says(&[&format!("container {second} is unhealthy")]);
    (stack, before, failed.text)
}

#[test]
fn when_the_second_replacement_fails_the_first_is_taken_back_too() {
    let (stack, before, said) = second_fails("second", "rollback", 2);
    let serving = format!("{}, {} as before", stack.name("api-1"), stack.name("api-2"));
    assert!(said.contains(&serving), "{said}");
    assert_eq!(stack.containers(), before);
    for replica in ["api-1", "api-2"] {
        let state = &stack.inspect(replica)["State"];
        assert_eq!(state["Health"]["Status"], "healthy", "{replica}");
    }
}

#[test]
fn a_paused_rollout_is_left_to_be_looked_at() {
    let (stack, before, _) = second_fails("paused", "pause", 2);
    assert_eq!(stack.names(), ["api-2", "api-3", "api-4"]);
    assert!(before.contains(&(stack.name("api-2"), stack.id("api-2"))));
}

#[test]
fn a_rollout_that_continues_replaces_the_others_too() {
    let (stack, before, _) = second_fails("continued", "continue", 3);
    assert_eq!(stack.names(), ["api-2", "api-4", "api-5", "api-6"]);
    assert!(before.contains(&(stack.name("api-2"), stack.id("api-2"))));
    let state = &stack.inspect("api-6")["State"];
    assert_eq!(state["Health"]["Status"], "healthy");
}

/// Version 2 is healthy when the test says so.
const NAMED: &str = "
services:
  api:
    <<: *app
    environment: {VERSION: \"1\"}
    networks: {front: {aliases: [site]}, back: }
    depends_on: [db]
    healthcheck:
      test: [CMD, sh, -c, 'test $$VERSION = 1 || test -e /go']
      interval: 100ms
      retries: 1000
    deploy: {replicas: 1, update_config: {order: start-first}}
  web: {<<: *app, networks: [front]}
  db: {<<: *app, networks: [back]}
networks: {front: , back: }
";

/// What `name` resolves to on the front network, sorted.
fn addresses(stack: &Stack, name: &str) -> Vec<String> {
    let web = stack.name("web-1");
    let asked = ["exec", &web, "nslookup", "-type=a", name, "127.0.0.11"];
    let answer = outcome(&Command::new("docker").args(asked).output().unwrap()).stdout;
    // The first address is the server's own.
    let found = answer
        .lines()
        .filter_map(|line| line.strip_prefix("Address: "));
    let mut found: Vec<String> = found.map(|it| it.trim().to_owned()).collect();
    found.retain(|it| !it.starts_with("127.0.0.11"));
    found.sort();
    found
}

/// The container's own, or nothing while it has none.
fn address(stack: &Stack, container: &str) -> String {
    let network = format!("{}_front", stack.project);
    let format = format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}");
    let asked = ["inspect", "-f", &format, &stack.name(container)];
    let answer = Command::new("docker").args(asked).output().unwrap();
    outcome(&answer).stdout.trim().to_owned()
}

/// Lets `container` become healthy; the run of `deploy` that waits for it succeeds.
fn let_pass(stack: &Stack, container: &str, waiting: Child) {
    docker(&["exec", &stack.name(container), "sh", "-c", "echo > /go"]);
    let done = outcome(&waiting.wait_with_output().unwrap());
    done.assert_code(0);
}

/// A stack of this file, with its first container healthy.
fn one_named(test: &str, file: &str) -> Stack {
    let stack = Stack::with(test, file);
    let first = stack.spawn(&["up"]);
    eventually("the first container runs", || {
        !address(&stack, "api-1").is_empty()
    });
    let_pass(&stack, "api-1", first);
    stack
}

#[test]
fn a_new_container_has_its_names_only_when_it_is_healthy() {
    let stack = Stack::with("named", NAMED);
    stack.ok(&["up"]);
    let old = address(&stack, "api-1");
    assert_eq!(addresses(&stack, "site"), [old.as_str()]);

    stack.compose(&NAMED.replace("VERSION: \"1\"", "VERSION: \"2\""));
    let replacing = stack.spawn(&["up"]);
    eventually("the new container runs", || {
        !address(&stack, "api-2").is_empty()
    });
    for name in ["site", "api"] {
        assert_eq!(addresses(&stack, name), [old.as_str()], "{name} before");
    }
    let_pass(&stack, "api-2", replacing);
    let new = address(&stack, "api-2");
    for name in ["site", "api"] {
        assert_eq!(addresses(&stack, name), [new.as_str()], "{name} after");
    }
    stack.ok(&["up"]).assert_says(&["no changes"]);
}

#[test]
fn one_more_replica_has_its_names_only_when_it_is_healthy() {
    let second = NAMED.replace("VERSION: \"1\"", "VERSION: \"2\"");
    let stack = one_named("scaled", &second);
    let scaling = stack.spawn(&["scale", "api=2"]);
    eventually("one more runs", || !address(&stack, "api-2").is_empty());
    assert_eq!(addresses(&stack, "site"), [address(&stack, "api-1")]);
    let_pass(&stack, "api-2", scaling);
    let mut both = ["api-1", "api-2"].map(|it| address(&stack, it));
    both.sort();
    assert_eq!(addresses(&stack, "site"), both);
}

#[test]
fn one_more_replica_is_watched_like_a_replacement() {
    let watched = NAMED
        .replace("VERSION: \"1\"", "VERSION: \"2\"")
        .replace("retries: 1000", "retries: 2\n      start_period: 60s")
        .replace("order: start-first", "order: start-first, monitor: 5s");
    let stack = one_named("watched", &watched);
    // It works for long enough to get the names.
    let scaling = stack.spawn(&["scale", "api=2"]);
    eventually("one more runs", || !address(&stack, "api-2").is_empty());
    docker(&["exec", &stack.name("api-2"), "sh", "-c", "echo > /go"]);
    eventually("it has the names", || addresses(&stack, "site").len() == 2);
    docker(&["exec", &stack.name("api-2"), "sh", "-c", "rm /go"]);
    let failed = outcome(&scaling.wait_with_output().unwrap());
    failed.assert_code(1);
    let state = &stack.inspect("api-2")["State"];
    assert_eq!(state["Health"]["Status"], "unhealthy");
}

#[test]
fn killed_before_it_gave_the_names_the_next_up_finishes() {
    let stack = Stack::with("killednamed", NAMED);
    stack.ok(&["up"]);
    let second = NAMED.replace("VERSION: \"1\"", "VERSION: \"2\"");
    stack.compose(&second);
    let mut killed = stack.spawn(&["up"]);
    eventually("the new container runs", || {
        !address(&stack, "api-2").is_empty()
    });
    killed.kill().unwrap();
    killed.wait().unwrap();
    docker(&["rm", "-f", &stack.name("api-1")]);

    stack
        .ok(&["plan"])
        .assert_says(&["networks.front: connected without it → with alias api, site"]);
    let finishing = stack.spawn(&["up"]);
    eventually("one that is to be named runs", || {
        !address(&stack, "api-1").is_empty()
    });
    let_pass(&stack, "api-1", finishing);
    assert_eq!(addresses(&stack, "site"), [address(&stack, "api-1")]);
    stack.ok(&["up"]).assert_says(&["no changes"]);
}
