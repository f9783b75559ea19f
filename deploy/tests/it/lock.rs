//! Two `deploy` at once: one changes the project, the other waits or says who does.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::stack::{Stack, eventually, outcome};

/// Its `up` takes until the test lets it go: the health check waits for a file.
const HELD: &str = "
services:
  web:
    <<: *app
    healthcheck: {test: [CMD, test, -e, /go], interval: 100ms, retries: 1000}
  aside: {<<: *app, networks: [front, back]}
networks: {front: {name: PROJECT-front}, back: }
";

/// An `up` that is known to hold the lock.
fn holder(stack: &Stack) -> Child {
    let mut child = stack
        .command(&["up"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let started = format!("container {}: starting", stack.name("web-1"));
    assert!(
        lines.map_while(Result::ok).any(|line| line == started),
        "the container starts"
    );
    child
}

fn let_go(stack: &Stack) {
    let web = stack.name("web-1");
    eventually("the health check is let pass", || {
        let let_pass = ["exec", &web, "sh", "-c", "echo > /go"];
        let done = Command::new("docker").args(let_pass).output().unwrap();
        done.status.success()
    });
}

#[test]
fn who_must_not_wait_is_told_who_holds_the_project() {
    let stack = Stack::with("nowait", HELD);
    let first = holder(&stack);
    let pid = format!("pid {}", first.id());
    for arguments in [
        &["up", "--no-wait"][..],
        &["down", "--no-wait"],
        &["scale", "web=2", "--lock-timeout", "200ms"],
    ] {
        let refused = stack.fails(1, arguments);
        refused.assert_says(&["is being changed by `deploy up`", &pid, "since 20"]);
    }
    stack.ok(&["plan"]);
    stack.ok(&["ps"]);
    let_go(&stack);
    let first = outcome(&first.wait_with_output().unwrap());
    assert_eq!(first.code, 0, "{}", first.text);
    stack.ok(&["up", "--no-wait"]).assert_says(&["no changes"]);
}

#[test]
fn the_second_up_waits_and_finds_nothing_left_to_do() {
    let stack = Stack::with("twoups", HELD);
    let first = holder(&stack);
    let mut second = stack.spawn(&["up"]);
    let mut lines = BufReader::new(second.stdout.take().unwrap()).lines();
    let said = lines.next().unwrap().unwrap();
    assert!(said.contains(": waiting for `deploy up` (pid "), "{said}");
    let_go(&stack);
    let first = outcome(&first.wait_with_output().unwrap());
    assert_eq!(first.code, 0, "{}", first.text);
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert!(second.wait().unwrap().success(), "{rest:?}");
    assert!(rest.iter().any(|it| it.contains("no changes")), "{rest:?}");
}

#[test]
fn two_that_begin_at_once_make_one_of_everything() {
    let stack = Stack::with(
        "atonce",
        "
services:
  web: {<<: *app, networks: [front, back]}
  api: {<<: *app, networks: [back], deploy: {replicas: 2}}
networks: {front: {name: PROJECT-front}, back: }
",
    );
    let both = [stack.spawn(&["up"]), stack.spawn(&["up"])];
    for child in both {
        let done = outcome(&child.wait_with_output().unwrap());
        assert_eq!(done.code, 0, "{}", done.text);
    }
    assert_eq!(
        stack.networks(),
        [
            format!("{}-front", stack.project),
            format!("{}_back", stack.project)
        ]
    );
    let names: Vec<String> = stack.containers().into_iter().map(|it| it.0).collect();
    assert_eq!(
        names,
        ["api-1", "api-2", "web-1"].map(|name| stack.name(name))
    );
    stack.ok(&["up"]).assert_says(&["no changes"]);
}

#[test]
fn a_killed_holder_frees_the_project() {
    let stack = Stack::with("killedholder", HELD);
    let mut first = holder(&stack);
    first.kill().unwrap();
    first.wait().unwrap();
    stack.compose(&HELD.replace("test, -e, /go", "'true'"));
    stack.ok(&["up", "--no-wait"]);
    assert_eq!(stack.containers().len(), 2);
}
