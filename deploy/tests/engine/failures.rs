//! When a service doesn't come up, the user is shown why.

use crate::stack::{Stack, local_port};

#[test]
fn an_unhealthy_service_shows_its_log_and_stops_its_dependents() {
    let stack = Stack::with(
        "unhealthy",
        r#"
services:
  db:
    <<: *app
    command: [sh, -c, 'echo cannot open the journal; echo "bell \a here"; exec sleep 1000']
    healthcheck:
      test: [CMD, sh, -c, 'echo ping refused; exit 3']
      interval: 200ms
      retries: 2
  web:
    <<: *app
    depends_on: {db: {condition: service_healthy}}
  aside:
    <<: *app
"#,
    );
    let failed = stack.fails(1, &["up"]);
    failed.assert_says(&[
        &format!("container {} is unhealthy", stack.name("db-1")),
        "cannot open the journal",
        "last health check: status 3",
        "ping refused",
        "web: not brought up, because db failed",
    ]);
    assert!(
        !failed.text.contains('\u{7}'),
        "control characters are made visible"
    );
    assert_eq!(
        stack.names(),
        ["aside-1", "db-1"],
        "what is independent runs"
    );
}

#[test]
fn a_service_that_ends_at_once_shows_its_status_and_log() {
    let stack = Stack::with(
        "ends",
        "services:\n  web:\n    <<: *app\n    command: [sh, -c, 'echo no such option >&2; exit 64']\n",
    );
    stack.refuses(1, "up", &["ended with status 64", "no such option"]);
}

#[test]
fn a_service_that_keeps_restarting_is_not_up() {
    let stack = Stack::with(
        "loop",
        "services:\n  web:\n    <<: *app\n    restart: always\n    command: [sh, -c, 'echo again; exit 1']\n",
    );
    stack
        .fails(1, &["up"])
        .assert_says(&["keeps restarting", "ended with status 1", "again"]);
}

#[test]
fn waiting_for_health_needs_a_health_check() {
    let stack = Stack::with(
        "nocheck",
        "services:\n  db:\n    <<: *app\n  web:\n    <<: *app\n    depends_on: {db: {condition: service_healthy}}\n",
    );
    stack.refuses(1, "up", &["has no health check"]);
}

#[test]
fn the_timeout_can_be_given() {
    let stack = Stack::with(
        "slow",
        "services:\n  db:\n    <<: *app\n    healthcheck: {test: [CMD, 'false'], interval: 1s, start_period: 100s}\n",
    );
    stack.refuses(1, "up --timeout 1s", &["not healthy yet after 1.0s"]);
}

#[test]
fn an_image_that_does_not_exist_says_what_to_do() {
    // Nothing listens there, so that no name has to be resolved and no network asked.
    let image = format!("127.0.0.1:{}/none:1", local_port());
    let stack = Stack::with(
        "noimage",
        &format!("services:\n  web:\n    <<: *app\n    image: {image}\n"),
    );
    stack.fails(1, &["up"]).assert_says(&[
        &format!("pulling image {image} failed"),
        &format!("docker pull {image}"),
    ]);
    assert!(stack.containers().is_empty());
}

#[test]
fn an_image_that_may_not_be_pulled_must_be_there() {
    let stack = Stack::with(
        "never",
        "services:\n  web:\n    <<: *app\n    image: causeway-test/none:1\n    pull_policy: never\n",
    );
    stack.fails(1, &["up"]).assert_says(&["forbids pulling"]);
}
