//! A database whose services are one replica set: what its members are told, and when.

use crate::stack::{Stack, docker};

/// A database of two, and who waits for the first. Each run of the command is written down in the volume,
/// which the first member has at `/data`.
const SET: &str = r#"
services:
  app: {<<: *app, depends_on: [db]}
  db:
    <<: *app
    secrets: [key, root]
    volumes: ['data:/data']
  db-2: {<<: *app, secrets: [key]}
secrets:
  key: {file: ./secrets/key, x-generate: key}
  root: {file: ./secrets/root, x-generate: password}
volumes: {data: }
x-replica-set:
  name: rs0
  members: [db, db-2]
  settings: {electionTimeoutMillis: 2000}
  command:
    - sh
    - -c
    - 'read -r it; echo "$$it" >> /data/told; test ! -e /data/deaf && echo "{\"changed\": [], \"pending\": [\"db-2 copies\"]}"'
"#;

#[test]
fn members_join_one_after_the_other_before_those_who_wait_for_them() {
    let stack = Stack::new("replicaset");
    stack.compose(SET);
    let up = stack.ok(&["up"]);
    up.assert_says(&["replica set rs0: db-2 copies"]);
    up.assert_order("db-2-1: running", "app-1: creating");

    let told = docker(&["exec", &stack.name("db-1"), "cat", "/data/told"]);
    let told: Vec<serde_json::Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(told[0]["name"], "rs0");
    assert_eq!(told[0]["members"], serde_json::json!(["db", "db-2"]));
    assert_eq!(told[0]["settings"]["electionTimeoutMillis"], 2000);
    let present: Vec<_> = told.iter().map(|it| it["present"].clone()).collect();
    assert_eq!(
        present,
        [serde_json::json!(["db"]), serde_json::json!(["db", "db-2"])]
    );
    let root = std::fs::read_to_string(stack.path().join("secrets/root")).unwrap();
    assert_eq!(told[0]["secrets"]["root"], serde_json::json!([root]));
    assert!(!up.text.contains(&root), "{}", up.text);
    stack.ok(&["up"]).assert_says(&["no changes"]);

    // Whoever waits for the set doesn't begin without it.
    docker(&["exec", &stack.name("db-1"), "sh", "-c", ": > /data/deaf"]);
    let failed = stack.fails(1, &["up"]);
    failed.assert_says(&["replica set rs0: the command that makes it ended with status 1"]);
}

#[test]
fn a_key_is_not_rotated() {
    let stack = Stack::new("replicakey");
    stack.compose(SET);
    let key = ["up", "--rotate-secrets", "key"];
    let refused = stack.fails(2, &key);
    refused.assert_says(&["the secret key is a key, which isn't rotated"]);
}

/// Of several members, one alone may lack what the others have just written.
#[test]
fn several_members_are_not_given_up_at_once() {
    let stack = Stack::new("replicaback");
    stack.compose(SET);
    stack.ok(&["up"]);
    let standalone = SET.split("x-replica-set:").next().unwrap();
    let standalone = standalone.replace("  db-2: {<<: *app, secrets: [key]}\n", "");
    stack.compose(&standalone);
    let refused = stack.fails(1, &["up"]);
    refused.assert_says(&["is a replica set of db, db-2, and the file has none"]);
    assert!(stack.names().iter().any(|name| name == "db-2-1"));

    let (_, set) = SET.split_once("x-replica-set:").unwrap();
    let one = set.replace("[db, db-2]", "[db]");
    stack.compose(&format!("{standalone}x-replica-set:{one}"));
    stack.ok(&["up"]);
    stack.compose(&standalone);
    stack.ok(&["up"]);
}
