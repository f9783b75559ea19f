//! A secret that data is too old to know: a service that came later, a file that was lost.

use std::fs;

use crate::stack::{Stack, docker};

/// `db` keeps in its volume what it is told; `app` fails at once where that isn't what it reads.
const DB: &str = "
services:
  db:
    <<: *app
    secrets: [root, password]
    volumes: ['data:/data', './flags:/flags:ro']
  other: {<<: *app}
";
const APP: &str = "
  app:
    <<: *app
    command: [sh, -c, 'cmp /run/secrets/password /known/password && exec sleep 1000']
    secrets: [password]
    volumes: ['data:/known:ro']
    depends_on: [db]
";
const SECRETS: &str = r#"
secrets:
  root: {file: ./secrets/root, x-generate: password}
  password:
    file: ./secrets/password
    x-generate: password
    x-rotate:
      service: db
      command:
        - sh
        - -c
        - 'read -r it; it=$${it#*\"password\":[\"}; test ! -e /flags/deaf && printf %s "$${it%%\"*}" > /data/password'
      by: root
volumes: {data: }
"#;

/// What a first release has left: `db`, and its data.
fn first_release(test: &str) -> Stack {
    let stack = Stack::new(test);
    stack.write("flags/none", "");
    let without = SECRETS.replace("  password:", "  x-password:");
    let (root, _) = without.split_once("  x-password:").unwrap();
    let db = DB.replace("[root, password]", "[root]");
    stack.compose(&format!("{db}{root}volumes: {{data: }}\n"));
    stack.ok(&["up"]);
    stack.compose(&format!("{DB}{APP}{SECRETS}"));
    stack
}

fn known(stack: &Stack) -> String {
    docker(&["exec", &stack.name("db-1"), "cat", "/data/password"])
}

fn password(stack: &Stack) -> String {
    fs::read_to_string(stack.path().join("secrets/password")).unwrap()
}

#[test]
fn a_service_that_comes_later_finds_its_secret_known() {
    let stack = first_release("told");
    let other = stack.id("other-1");
    stack
        .ok(&["plan"])
        .assert_says(&["secret    password  (generated, and db is told of it)"]);
    let up = stack.ok(&["up"]);
    up.assert_order("secret password: known to db", "app-1: creating");
    assert!(!up.text.contains(&password(&stack)), "{}", up.text);
    assert_eq!(known(&stack), password(&stack));
    assert_eq!(stack.id("other-1"), other);
    stack.ok(&["up"]).assert_says(&["no changes"]);
}

#[test]
fn the_same_where_nothing_but_the_data_is_left() {
    let stack = first_release("tolddown");
    stack.ok(&["down"]);
    stack.ok(&["up"]).assert_says(&["known to db"]);
    // Told again: the value may have been made by an `up` that didn't come to tell it.
    stack.ok(&["down"]);
    stack
        .ok(&["plan"])
        .assert_says(&["tell     secret    password  (to db)"]);
    stack.ok(&["up"]).assert_says(&["known to db"]);
}

#[test]
fn what_was_interrupted_before_it_was_told_is_told_by_the_next_up() {
    let stack = first_release("toldlate");
    stack.write("flags/deaf", "");
    stack.fails(1, &["up"]).assert_says(&[
        "secret password: the command that tells db of its new value ended with status 1",
    ]);
    let value = password(&stack);
    stack
        .ok(&["ps"])
        .assert_says(&[&stack.name("db-1"), &stack.name("other-1")]);
    let containers = stack.containers();
    assert!(
        containers
            .iter()
            .all(|(name, _)| *name != stack.name("app-1"))
    );
    fs::remove_file(stack.path().join("flags/deaf")).unwrap();
    stack.ok(&["up"]).assert_says(&["known to db"]);
    assert_eq!(password(&stack), value);
}

#[test]
fn a_lost_file_is_made_anew_and_told_where_the_secret_that_sets_it_is_there() {
    let stack = first_release("toldlost");
    stack.ok(&["up"]);
    let (old, db) = (password(&stack), stack.id("db-1"));
    fs::remove_file(stack.path().join("secrets/password")).unwrap();
    stack.ok(&["up"]).assert_says(&["known to db"]);
    assert_ne!(password(&stack), old);
    assert_eq!(known(&stack), password(&stack));
    assert_eq!(stack.id("db-1"), db);

    fs::remove_dir_all(stack.path().join("secrets")).unwrap();
    stack
        .fails(1, &["up"])
        .assert_says(&["secret root: ", "secret password: ", "is gone"]);
}
