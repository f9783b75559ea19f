//! `deploy up --rotate-secrets`: new values, told to who keeps them and read by all others.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::stack::{Outcome, Stack, docker};

/// `db` keeps what it is told in its volume, `api` accepts what `web` sends.
const SERVICES: &str = "
services:
  db:
    <<: *app
    secrets: [root, app]
    volumes: ['data:/data']
  api:
    <<: *app
    environment: {VERSION: \"1\"}
    secrets: [app, token]
    volumes: ['./flags:/flags:ro']
    depends_on: {db: {condition: service_started}}
    healthcheck:
      test:
        - CMD
        - sh
        - -c
        - '{ read new; read old; } < /run/secrets/app; test ! -e /flags/one-value-only -o -z \"$$old\"'
      interval: 100ms
      retries: 1
    deploy: {update_config: {order: start-first}}
  web:
    <<: *app
    secrets: [token, own]
    depends_on: {api: {condition: service_healthy}}
volumes: {data: }
secrets:
  root:
    file: ./secrets/root
    x-generate: password
    x-rotate: {service: db, command: [sh, -c, 'cat > /data/root']}
  app:
    file: ./secrets/app
    x-generate: password
    x-rotate:
      service: db
      command: [sh, -c, 'cat > /data/app; if test -e /data/deaf; then cat /data/app; exit 3; fi']
  token: {file: ./secrets/token, x-generate: password}
  own: {file: ./secrets/own}
";

/// Of a value that `deploy` makes.
const LENGTH: usize = 40;
/// A file of the user's own, which is nobody's to change.
const OWN: &str = "one\ntwo\n";
/// The rotated ones.
const NAMES: [&str; 3] = ["root", "app", "token"];

/// A stack that was brought up.
fn up(test: &str) -> Stack {
    let stack = Stack::with(test, SERVICES);
    stack.write("secrets/own", OWN);
    stack.write("flags/none", "");
    stack.ok(&["up"]);
    stack
}

/// What a secret's file holds.
fn content(stack: &Stack, name: &str) -> String {
    fs::read_to_string(stack.path().join("secrets").join(name)).unwrap()
}

fn contents(stack: &Stack) -> [String; 3] {
    NAMES.map(|name| content(stack, name))
}

/// The files as a rotation of `name` that was killed after its first step leaves them.
fn under_way(stack: &Stack, name: &str) -> String {
    let new = "N".repeat(LENGTH);
    let both = format!("{new}\n{}\n", content(stack, name));
    stack.write(&format!("secrets/{name}"), &both);
    new
}

/// What `db` was told last about one of its secrets.
fn told(stack: &Stack, name: &str) -> Value {
    let path = format!("/data/{name}");
    let text = docker(&["exec", &stack.name("db-1"), "cat", &path]);
    serde_json::from_str(&text).unwrap()
}

fn assert_settled(value: &str) {
    assert!(
        value.len() == LENGTH && value.bytes().all(|it| it.is_ascii_alphanumeric()),
        "one value, of those that deploy makes"
    );
}

fn assert_hides(outcome: &Outcome, values: &[String]) {
    for value in values.iter().flat_map(|it| it.lines()) {
        assert!(!outcome.text.contains(value), "{}", outcome.text);
    }
}

#[test]
fn who_is_told_stays_and_who_reads_is_replaced() {
    let stack = up("rotate");
    let old = contents(&stack);
    let ids = ["db-1", "api-1", "web-1"].map(|it| stack.id(it));
    let rotated = stack.ok(&["up", "--rotate-secrets"]);

    let new = contents(&stack);
    for (old, new) in old.iter().zip(&new) {
        assert_settled(new);
        assert_ne!(old, new);
    }
    assert_eq!(content(&stack, "own"), OWN);
    assert_eq!(stack.id("db-1"), ids[0]);
    // Replaced twice, from 1 to 2 and back.
    assert_ne!(stack.id("api-1"), ids[1]);
    assert_ne!(stack.id("web-1"), ids[2]);
    let all = json!({"root": [new[0], old[0]], "app": [new[1], old[1]]});
    assert_eq!(told(&stack, "root"), all);
    assert_eq!(told(&stack, "app"), all);

    // Who accepts a value has it before who sends it.
    let place = |part: String| {
        let found = rotated.text.find(&part);
        found.unwrap_or_else(|| panic!("{part}:\n{}", rotated.text))
    };
    let ready = place(format!("container {}: healthy", stack.name("api-2")));
    assert!(ready < place(format!("container {}: replacing", stack.name("web-1"))));

    assert_hides(&rotated, &old);
    assert_hides(&rotated, &new);
    for container in ["db-1", "api-1", "web-1"] {
        let shown = stack.inspect(container).to_string();
        assert!(new.iter().all(|value| !shown.contains(value)), "{shown}");
    }
    stack.ok(&["up"]).assert_says(&["no changes"]);

    let one = stack.ok(&["up", "--rotate-secrets", "token", "--json"]);
    let events = one.events();
    let end = events.iter().find(|it| it["event"] == "rotated");
    assert_eq!(end.unwrap()["secrets"], json!(["token"]));
    let last = contents(&stack);
    assert_eq!(last[..2], new[..2]);
    assert_ne!(last[2], new[2]);
    stack
        .fails(2, &["up", "--rotate-secrets", "own"])
        .assert_says(&["own", "choose among root, app, token"]);
}

#[test]
fn a_first_up_has_nothing_to_rotate() {
    let stack = Stack::with("rotatefirst", SERVICES);
    stack.write("secrets/own", OWN);
    stack.write("flags/none", "");
    let first = stack.ok(&["up", "--rotate-secrets"]);
    first.assert_says(&["secret app: its first value was generated just now"]);
    for value in contents(&stack) {
        assert_settled(&value);
    }
}

#[test]
fn what_was_begun_is_shown_and_finished_by_the_next_up() {
    let stack = up("rotatebegun");
    let old = content(&stack, "app");
    let ids = ["db-1", "web-1"].map(|it| stack.id(it));
    let new = under_way(&stack, "app");
    for command in [&["plan"][..], &["plan", "--json"]] {
        stack
            .ok(command)
            .assert_says(&["a rotation is under way of app"]);
    }
    stack
        .ok(&["up"])
        .assert_says(&["a rotation is under way of app", "secret app: rotated"]);
    assert_eq!(content(&stack, "app"), new);
    assert_eq!(told(&stack, "app")["app"], json!([new, old]));
    assert_eq!(["db-1", "web-1"].map(|it| stack.id(it)), ids);
    let again = stack.ok(&["up"]);
    again.assert_says(&["no changes"]);
    assert!(!again.text.contains("rotation"), "{}", again.text);
}

/// Runs a rotation and kills it as soon as it has printed `line`. False when it was done before.
fn killed_at(stack: &Stack, line: usize) -> bool {
    let mut child = stack
        .command(&["up", "--rotate-secrets"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let printed = lines.take(line).map_while(Result::ok).count();
    child.kill().unwrap();
    let status = child.wait().unwrap();
    printed == line && !status.success()
}

#[test]
fn killed_anywhere_in_a_rotation() {
    let stack = up("rotatekilled");
    let mut known = content(&stack, "app");
    let mut line = 1;
    while killed_at(&stack, line) {
        stack.ok(&["up"]);
        for value in contents(&stack) {
            assert_settled(&value);
        }
        let now = content(&stack, "app");
        if now != known {
            assert_eq!(
                told(&stack, "app")["app"],
                json!([now, known]),
                "line {line}"
            );
        }
        known = now;
        stack.ok(&["up"]).assert_says(&["no changes"]);
        line += 13;
    }
    assert!(line > 20, "was killed several times, up to line {line}");
}

#[test]
fn a_command_that_fails_leaves_both_values_until_it_works() {
    let stack = up("rotatedeaf");
    let old = content(&stack, "app");
    let db = stack.id("db-1");
    docker(&["exec", &stack.name("db-1"), "sh", "-c", "echo > /data/deaf"]);
    let failed = stack.fails(1, &["up", "--rotate-secrets", "app"]);
    failed.assert_says(&[
        "secret app: the command that tells db of its new value ended with status 3",
        "\"app\":[\"[redacted]\",\"[redacted]\"]",
        "a rotation is under way of app",
    ]);
    let both = content(&stack, "app");
    let (new, rest) = both.split_once('\n').unwrap();
    assert_settled(new);
    assert_eq!(rest, format!("{old}\n"));
    assert_hides(&failed, &[both.clone(), content(&stack, "root")]);

    stack.refuses(1, "up", &["ended with status 3"]);
    assert_eq!(content(&stack, "app"), both);
    docker(&["exec", &stack.name("db-1"), "busybox", "rm", "/data/deaf"]);
    stack.ok(&["up"]);
    assert_eq!(content(&stack, "app"), new);
    assert_eq!(stack.id("db-1"), db);
}

#[test]
fn killed_after_the_old_value_was_dropped_the_next_up_finishes() {
    let stack = up("rotatedropped");
    docker(&["exec", &stack.name("db-1"), "sh", "-c", "echo > /data/deaf"]);
    stack.fails(1, &["up", "--rotate-secrets", "app"]);
    docker(&["exec", &stack.name("db-1"), "busybox", "rm", "/data/deaf"]);
    // By now everybody reads both values. The command is run, and the file is written.
    let both = content(&stack, "app");
    let new = both.lines().next().unwrap();
    stack.write("secrets/app", new);
    stack.ok(&["up"]);
    let seen = docker(&["exec", &stack.name("api-1"), "cat", "/run/secrets/app"]);
    assert_eq!(seen, new);
}

#[test]
fn a_reader_that_fails_with_two_values_is_rolled_back_and_the_next_up_goes_on() {
    let stack = up("rotatereader");
    let old = content(&stack, "app");
    let before = stack.containers();
    stack.write("flags/one-value-only", "");
    stack
        .fails(1, &["up", "--rotate-secrets", "app"])
        .assert_says(&["rolled back", "a rotation is under way of app"]);
    assert_eq!(stack.containers(), before);
    assert_eq!(
        stack.inspect("api-1")["State"]["Health"]["Status"],
        "healthy"
    );
    assert!(content(&stack, "app").ends_with(&format!("\n{old}\n")));

    fs::remove_file(stack.path().join("flags/one-value-only")).unwrap();
    stack.ok(&["up"]);
    assert_settled(&content(&stack, "app"));
    assert_ne!(content(&stack, "app"), old);
}

#[test]
fn nobody_is_told_where_the_data_is_gone() {
    let stack = up("rotategone");
    stack.ok(&["down"]);
    let old = content(&stack, "app");
    let new = under_way(&stack, "app");
    // The volume is there: what is in it has to be told.
    stack.ok(&["up"]);
    assert_eq!(told(&stack, "app")["app"], json!([new, old]));

    stack.ok(&["down", "--volumes"]);
    let before = content(&stack, "app");
    stack.write(
        "secrets/app",
        &format!("{}\n{before}\n", "M".repeat(LENGTH)),
    );
    stack
        .ok(&["up"])
        .assert_says(&["secret app: rotated: nothing held the old value any more"]);
    assert_eq!(content(&stack, "app"), "M".repeat(LENGTH));
    let found = ["exec", &stack.name("db-1"), "test", "!", "-e", "/data/app"];
    docker(&found);
}

#[test]
fn a_release_from_before_runs_with_the_new_values() {
    let stack = up("rotaterelease");
    stack.compose(&SERVICES.replace("VERSION: \"1\"", "VERSION: \"2\""));
    stack.ok(&["up"]);
    stack.ok(&["up", "--rotate-secrets"]);
    let (values, db) = (contents(&stack), stack.id("db-1"));
    stack.says("rollback", &["is back at release 1"]);
    assert_eq!(contents(&stack), values);
    assert_eq!(stack.id("db-1"), db);
    let seen = docker(&["exec", &stack.name("web-1"), "cat", "/run/secrets/token"]);
    assert_eq!(seen, values[2]);
}
