//! Killed at any step, the next `up` finishes the job.

use std::io::{BufRead, BufReader};
use std::process::Command;

use crate::stack::{Stack, docker, eventually, outcome, outcome_of};

const SERVICES: &str = "
services:
  web:
    <<: *app
    environment: {COLOUR: \"${COLOUR:-blue}\"}
    networks: [front, back]
    depends_on: {db: {condition: service_healthy}}
    secrets: [password]
    healthcheck: {test: [CMD, 'true'], interval: 100ms}
    deploy: {update_config: {order: ORDER}}
  db:
    <<: *app
    environment: {COLOUR: \"${COLOUR:-blue}\"}
    networks: [back]
    volumes: ['data:/data']
    healthcheck: {test: [CMD, 'true'], interval: 100ms}
networks: {front: , back: {internal: true}}
volumes: {data: }
secrets:
  password: {file: ./secrets/password, x-generate: password}
";

/// Runs `up` and kills it as soon as it has printed `line`. False when it was done before.
fn killed_at(stack: &Stack, line: usize, colour: &str) -> bool {
    let mut command = stack.command(&["up"]);
    command
        .env("COLOUR", colour)
        .stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let printed = lines.take(line).map_while(Result::ok).count();
    child.kill().unwrap();
    let status = child.wait().unwrap();
    printed == line && !status.success()
}

/// The next `up` ends with everything in place, and the one after finds nothing to do.
fn assert_finished(stack: &Stack, colour: &str, killed: usize) {
    let up = || outcome_of(stack.command(&["up"]).env("COLOUR", colour));
    let outcome = up();
    assert_eq!(
        outcome.code, 0,
        "after a kill at line {killed}:\n{}",
        outcome.text
    );
    up().assert_says(&["no changes"]);
    let containers = stack.containers();
    assert_eq!(containers.len(), 2, "{containers:?}");
    for (name, id) in &containers {
        let state = docker(&["inspect", "-f", "{{.State.Running}} {{.Config.Env}}", id]);
        assert!(state.starts_with("true "), "{name}: {state}");
        assert!(
            state.contains(&format!("COLOUR={colour}")),
            "{name}: {state}"
        );
    }
}

#[test]
fn killed_anywhere_in_the_first_up() {
    let stack = Stack::with("killed", &SERVICES.replace("ORDER", "stop-first"));
    let mut line = 8; // The plan itself changes nothing.
    while killed_at(&stack, line, "blue") {
        assert_finished(&stack, "blue", line);
        stack.ok(&["down", "--volumes"]);
        line += 3;
    }
    assert!(line > 14, "was killed several times, up to line {line}");
}

fn killed_while_replacing(test: &str, order: &str) {
    let stack = Stack::with(test, &SERVICES.replace("ORDER", order));
    let colours = ["blue", "green"];
    stack.ok(&["up"]);
    let mut line = 6;
    let mut round = 1;
    while killed_at(&stack, line, colours[round % 2]) {
        assert_finished(&stack, colours[round % 2], line);
        line += 3;
        round += 1;
    }
    assert!(round > 3, "was killed {round} times");
    assert_finished(&stack, colours[round % 2], line);
}

#[test]
fn killed_anywhere_while_replacing_stop_first() {
    killed_while_replacing("replacing", "stop-first");
}

#[test]
fn killed_anywhere_while_replacing_start_first() {
    killed_while_replacing("rolling", "start-first");
}

#[test]
fn ctrl_c_stops_cleanly_and_says_how_to_go_on() {
    let stack = Stack::with(
        "ctrlc",
        "services:\n  db:\n    <<: *app\n    healthcheck: {test: [CMD, 'false'], interval: 1s, start_period: 100s}\n",
    );
    let child = stack
        .command(&["up"])
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    eventually("the container runs", || !stack.containers().is_empty());
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let outcome = outcome(&child.wait_with_output().unwrap());
    outcome.assert_code(1);
    outcome.assert_says(&[
        "interrupted by Ctrl-C",
        "the next `deploy up` finishes the job",
    ]);
}
