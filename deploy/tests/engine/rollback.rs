//! `deploy rollback` and `deploy releases`: settings and images of what ran before.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::stack::{IMAGE, Stack, docker};

const BUILT: &str = "
services:
  web:
    <<: *app
    image: 'PROJECT:1'
    build: {context: ., labels: {it.project: PROJECT}}
    depends_on: [db]
    deploy: {update_config: {order: start-first}}
  db: {<<: *app}
";

fn page(stack: &Stack, container: &str) -> String {
    docker(&["exec", &stack.name(container), "cat", "/index.html"])
}

#[test]
fn the_image_of_the_release_before_though_its_tag_moved_on() {
    let stack = Stack::with("rollimage", BUILT);
    stack.write(
        "Dockerfile",
        &format!("FROM {IMAGE}\nCOPY index.html /index.html\n"),
    );
    stack.write("index.html", "one");
    stack.ok(&["up"]);
    // The record lies in the build context, and must not make the next build differ.
    stack.ok(&["up"]).assert_says(&["no changes"]);
    let db = stack.id("db-1");
    stack.write("index.html", "two");
    stack.ok(&["up"]);
    assert_eq!(page(&stack, "web-2"), "two");

    stack
        .ok(&["rollback"])
        .assert_says(&["back to release 1 of 20", "is back at release 1"]);
    assert_eq!(page(&stack, "web-1"), "one");
    assert_eq!(stack.id("db-1"), db, "what is the same in both stays");
    stack.ok(&["plan"]).assert_says(&["image_content"]);

    let again = stack.ok(&["up", "--json"]).events();
    let last = again.last().unwrap();
    assert_eq!(
        (&last["event"], &last["release"]),
        (&"up".into(), &2.into())
    );
    assert_eq!(page(&stack, "web-2"), "two");

    let kept = format!("{0}:{0}-release-1", stack.project);
    docker(&["image", "rm", &kept]);
    stack
        .fails(1, &["rollback"])
        .assert_says(&[&format!("{}:1, which was kept as {kept}", stack.project)]);
    assert_eq!(page(&stack, "web-2"), "two", "nothing was changed");
}

const SETTING: &str = "
services:
  web:
    <<: *app
    environment: {VERSION: \"1\"}
    secrets: [password]
    healthcheck: {test: [CMD, 'true'], interval: 100ms}
secrets:
  password: {file: ./secrets/password, x-generate: password}
";

fn version(number: u32) -> String {
    SETTING.replace("VERSION: \"1\"", &format!("VERSION: \"{number}\""))
}

fn running(stack: &Stack) -> String {
    let environment = stack.inspect("web-1")["Config"]["Env"].clone();
    let environment = environment.as_array().unwrap().iter();
    let mut versions = environment.filter_map(|it| it.as_str()?.strip_prefix("VERSION="));
    versions.next().unwrap().to_owned()
}

#[test]
fn each_rollback_goes_one_release_further_back() {
    let stack = Stack::new("rollback");
    for number in 1..=6 {
        stack.compose(&version(number));
        stack.ok(&["up"]);
    }
    let record = stack
        .path()
        .join(format!(".deploy/{}/releases.json", stack.project));
    let mode = fs::metadata(&record).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let password = fs::read_to_string(stack.path().join("secrets/password")).unwrap();
    assert!(!fs::read_to_string(&record).unwrap().contains(&password));
    let tags = || {
        let pattern = format!("reference=causeway-test/deploy:{}-release-*", stack.project);
        let list = ["image", "ls", "--format", "{{.Tag}}", "--filter", &pattern];
        docker(&list).lines().count()
    };
    assert_eq!(tags(), 5, "the one that ran longest ago is forgotten");

    for number in (2..6).rev() {
        let events = stack.ok(&["rollback", "--json"]).events();
        let last = events.last().unwrap();
        assert_eq!(last["event"], "rollback");
        assert_eq!(last["release"], number);
        assert_eq!(running(&stack), number.to_string());
    }
    stack
        .fails(1, &["rollback"])
        .assert_says(&["release 2 runs, and none that ran before it is left"]);
    stack.ok(&["up"]);
    assert_eq!(running(&stack), "6");
    stack.ok(&["rollback"]);
    assert_eq!(
        running(&stack),
        "2",
        "what ran before, not the next lower number"
    );

    stack.ok(&["down"]);
    assert_eq!(listed(&stack)[0], (2, "down".to_owned()));
    stack.ok(&["down", "--volumes"]);
    assert_eq!(tags(), 0);
    stack.refuses(1, "rollback", &["no release is recorded"]);
}

#[test]
fn after_a_failed_up_it_goes_back_to_what_ran_before() {
    let stack = Stack::with("rollfailed", SETTING);
    stack.ok(&["up"]);
    stack.compose(&version(2));
    stack.ok(&["up"]);
    stack.compose(&version(3).replace("[CMD, 'true']", "[CMD, 'false']"));
    // Stop-first: the old container is gone when the new one turns out not to work.
    stack.fails(1, &["up"]).assert_says(&[
        "is unhealthy",
        "`deploy rollback` brings up what ran before, release 2",
    ]);
    stack.ok(&["releases"]).assert_says(&[
        "an `up` was begun since",
        "`deploy rollback` goes to release 2",
    ]);
    stack.says("rollback", &["is back at release 2"]);
    assert_eq!(running(&stack), "2");
    stack.ok(&["rollback"]);
    assert_eq!(running(&stack), "1");
}

/// Numbers and states that `deploy releases` lists, newest first.
fn listed(stack: &Stack) -> Vec<(u64, String)> {
    let text = stack.ok(&["releases", "--json"]).stdout;
    let document: Value = serde_json::from_str(&text).unwrap();
    let rows = document["releases"].as_array().unwrap().iter();
    rows.map(|row| {
        let state = row["state"].as_str().unwrap().to_owned();
        (row["number"].as_u64().unwrap(), state)
    })
    .collect()
}

#[test]
fn it_goes_back_to_what_ran_before_and_never_to_what_was_rolled_back() {
    let stack = Stack::new("rollhistory");
    let up = |number: u32| {
        stack.compose(&version(number));
        stack.ok(&["up"]);
    };
    // A, B, A again, C: back to A.
    for number in [1, 2, 1, 3] {
        up(number);
    }
    stack.ok(&["rollback"]);
    assert_eq!(running(&stack), "1");
    // Back from the bad C to A, then D: back to A, not to C.
    up(4);
    stack.ok(&["rollback"]);
    assert_eq!(running(&stack), "1");

    let rows = listed(&stack);
    assert_eq!(rows[0], (1, "runs".to_owned()));
    assert_eq!(rows[1], (4, "rolled_back".to_owned()));
    let text = stack.ok(&["releases"]);
    text.assert_says(&["rolled back", "services.web.environment.VERSION"]);

    // Forward again to one that is named, and back from it.
    stack.says("rollback --to 4", &["is back at release 4"]);
    assert_eq!(running(&stack), "4");
    stack.ok(&["rollback"]);
    assert_eq!(running(&stack), "1");
    stack
        .fails(2, &["rollback", "--to", "9"])
        .assert_says(&["release 9 isn't kept; those that are: 1, 2, 3, 4"]);
}

#[test]
fn what_served_is_not_forgotten_for_what_has_a_higher_number() {
    let stack = Stack::new("rollkept");
    for number in [1, 2, 3, 4, 5, 1, 6] {
        stack.compose(&version(number));
        stack.ok(&["up"]);
    }
    stack.ok(&["rollback"]);
    assert_eq!(running(&stack), "1");
}

#[test]
fn a_rollback_that_failed_is_gone_on_with_by_the_next_one() {
    let file = "
services:
  web:
    <<: *app
    environment: {VERSION: \"1\"}
    volumes: ['./state:/state:ro']
    healthcheck: {test: [CMD, test, -e, /state/well], interval: 100ms, retries: 2}
";
    let stack = Stack::with("rollagain", file);
    stack.write("state/well", "");
    stack.ok(&["up"]);
    stack.compose(
        &file
            .replace("\"1\"", "\"2\"")
            .replace("/state/well", "/state"),
    );
    stack.ok(&["up"]);
    fs::remove_file(stack.path().join("state/well")).unwrap();
    stack
        .fails(1, &["rollback"])
        .assert_says(&["is unhealthy", "`deploy rollback` goes on to release 1"]);
    stack.says("releases", &["a rollback to release 1 was begun"]);
    stack.write("state/well", "");
    // Not back to where it came from.
    stack.says("rollback", &["is back at release 1"]);
    assert_eq!(running(&stack), "1");
}

#[test]
fn a_record_without_a_history_serves_still() {
    let stack = Stack::new("rollold");
    for number in 1..=2 {
        stack.compose(&version(number));
        stack.ok(&["up"]);
    }
    let record = format!(".deploy/{}/releases.json", stack.project);
    let text = fs::read_to_string(stack.path().join(&record)).unwrap();
    let kept = serde_json::from_str::<Value>(&text).unwrap()["kept"].clone();
    let old = json!({"current": 2, "unfinished": false, "kept": kept});
    stack.write(&record, &old.to_string());
    stack.ok(&["rollback"]);
    assert_eq!(running(&stack), "1");
    stack.compose(&version(3));
    let events = stack.ok(&["up", "--json"]).events();
    assert_eq!(events.last().unwrap()["release"], 3, "numbers go on");
}
