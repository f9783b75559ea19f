//! The command line itself: help, exit codes, output for machines and for people.

use crate::stack::{Stack, docker, outcome};

#[test]
fn exit_codes_tell_usage_file_and_engine_apart() {
    let stack = Stack::with("codes", "services:\n  web: {<<: *app}\n");
    assert_eq!(stack.deploy(&["--help"]).code, 0);
    assert_eq!(stack.deploy(&["frobnicate"]).code, 2);
    assert_eq!(stack.deploy(&[]).code, 2);

    let no_engine = stack
        .command(&["ps"])
        .env("DOCKER_HOST", "unix:///nonexistent.sock")
        .output();
    let no_engine = outcome(&no_engine.unwrap());
    no_engine.assert_code(3);
    no_engine.assert_says(&["unix:///nonexistent.sock", "next: start Docker"]);
    let odd = stack
        .command(&["ps"])
        .env("DOCKER_HOST", "carrier-pigeon://x")
        .output();
    assert_eq!(outcome(&odd.unwrap()).code, 2);

    stack.refuses(2, "-f nowhere.yaml plan", &["nowhere.yaml"]);
    stack.compose("services:\n  web: {<<: *app, imagge: x}\n");
    stack.refuses(2, "plan", &["services.web.imagge", "compose.yaml:"]);
}

#[test]
fn every_line_of_json_is_json() {
    let stack = Stack::with(
        "json",
        "services:\n  web: {<<: *app, command: [sh, -c, 'echo started; exec sleep 1000']}\n",
    );
    let events = stack.ok(&["up", "--json"]).events();
    assert_eq!(events[0]["event"], "plan");
    let actions = events[0]["plan"]["actions"].as_array().unwrap();
    assert!(
        actions
            .iter()
            .any(|it| it["kind"] == "container" && it["action"] == "create")
    );
    assert_eq!(events.last().unwrap()["event"], "up");

    let ps: serde_json::Value = serde_json::from_str(&stack.ok(&["ps", "--json"]).stdout).unwrap();
    assert_eq!(ps[0]["service"], "web");
    assert_eq!(ps[0]["state"], "running");
    let plan: serde_json::Value =
        serde_json::from_str(&stack.ok(&["plan", "--json"]).stdout).unwrap();
    assert_eq!(plan["unchanged"], 1);
    let logs = stack.ok(&["logs", "--json"]).events();
    assert_eq!(logs[0]["line"], "started");

    stack.compose("services:\n  web: {<<: *app, imagge: x}\n");
    let error = stack.deploy(&["up", "--json"]).events();
    assert_eq!(error[0]["error"]["exit"], "usage");
}

#[test]
fn ps_and_logs_show_every_container_without_colour_in_a_pipe() {
    let stack = Stack::with(
        "logs",
        r#"
services:
  web: {<<: *app, command: [sh, -c, "echo one; echo -e '\\033[2Jtwo'; exec sleep 1000"]}
  api: {<<: *app, command: [sh, -c, 'echo other; exec sleep 1000']}
"#,
    );
    stack.ok(&["ps"]).assert_says(&["no containers"]);
    stack.ok(&["up"]);
    let ps = stack.ok(&["ps"]);
    ps.assert_says(&[
        "SERVICE",
        &stack.name("web-1"),
        &stack.name("api-1"),
        "running",
    ]);
    let logs = stack.ok(&["logs"]);
    logs.assert_says(&[
        &format!("{} | one", stack.name("web-1")),
        "\\u{1b}[2Jtwo",
        &format!("{} | other", stack.name("api-1")),
    ]);
    assert!(!ps.text.contains('\u{1b}') && !logs.text.contains('\u{1b}'));
    let tail = stack.ok(&["logs", "--tail", "1", "web"]);
    assert!(
        !tail.text.contains("one") && !tail.text.contains("other"),
        "{}",
        tail.text
    );
    stack.refuses(2, "logs nobody", &["no such service: nobody"]);
}

#[test]
fn logs_follow_until_nobody_reads() {
    use std::io::{BufRead, BufReader};
    let stack = Stack::with(
        "follow",
        "services:\n  web: {<<: *app, command: [sh, -c, 'while true; do echo tick; sleep 0.1; done']}\n",
    );
    stack.ok(&["up"]);
    let mut follow = stack.spawn(&["logs", "-f"]);
    let lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    assert_eq!(
        lines
            .take(20)
            .filter(|line| line.as_ref().unwrap().ends_with("tick"))
            .count(),
        20
    );
    // The pipe is closed now, as by `head`.
    assert!(follow.wait().unwrap().success());
}

#[test]
fn config_prints_what_was_understood() {
    let stack = Stack::with(
        "config",
        "services:\n  web: {<<: *app, environment: {A: '${B:-c}'}}\n",
    );
    stack.ok(&["config"]).assert_says(&["A: c"]);
    let json: serde_json::Value =
        serde_json::from_str(&stack.ok(&["config", "--json"]).stdout).unwrap();
    assert_eq!(json["services"]["web"]["environment"]["A"], "c");
}

#[test]
fn what_is_not_running_can_not_be_verified() {
    let stack = Stack::with("down", "services:\n  web: {<<: *app}\n");
    stack.refuses(1, "verify", &["is not running", "deploy up"]);
    stack.ok(&["up"]);
    docker(&["kill", &stack.name("web-1")]);
    stack.fails(1, &["verify"]);
}

/// Containers print what they like; terminals obey escape sequences, the C1 control characters and
/// the marks of text direction. None of them gets through, whatever the form of the output.
#[test]
fn control_characters_in_logs_are_made_visible() {
    let stack = Stack::with(
        "control",
        r#"
services:
  web: {<<: *app, command: [sh, -c, "printf '\\302\\2332J\\342\\200\\256\\033]0;title\\007\\r.\\n'; exec sleep 1000"]}
"#,
    );
    stack.ok(&["up"]);
    let raw = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
    let logs = stack.ok(&["logs"]);
    logs.assert_says(&["\\u{9b}2J\\u{202e}\\u{1b}]0;title\\u{7}\\r."]);
    assert!(!logs.text.contains(raw), "{:?}", logs.text);
    let json = stack.ok(&["logs", "--json"]);
    assert!(!json.text.contains(raw), "{:?}", json.text);
    assert_eq!(
        json.events()[0]["line"],
        "\u{9b}2J\u{202e}\u{1b}]0;title\u{7}\r."
    );
}
