//! `--json`: standard output is one document or a value a line, whatever the command and however it
//! ends. Notes are on standard error, with it and without.

use std::collections::BTreeSet;

use clap::CommandFactory;
use deploy::cli::Cli;
use serde_json::Value;

use crate::stack::{Stack, outcome, outcome_of};

/// Every command, in an order in which each finds what it needs, and some that fail.
const COMMANDS: [(i32, &[&str]); 27] = [
    (0, &["config"]),
    (0, &["plan"]),
    (0, &["build"]),
    (0, &["ps"]),
    (1, &["rollback"]),
    (0, &["up"]),
    (0, &["plan"]),
    (0, &["ps"]),
    (0, &["releases"]),
    (0, &["restart", "web"]),
    (0, &["secrets", "recover"]),
    (0, &["logs"]),
    (2, &["logs", "nobody"]),
    (0, &["scale", "web=2"]),
    (2, &["console"]),
    (2, &["requests"]),
    (2, &["backup", "file"]),
    (2, &["restore", "nowhere"]),
    (2, &["replay", "--to", "http://127.0.0.1:1"]),
    (1, &["nodes"]),
    (0, &["inspect"]),
    (0, &["lab", "list"]),
    (2, &["lab", "run", "nothing"]),
    (1, &["probe", "nonsense"]),
    (0, &["verify"]),
    (0, &["down"]),
    (1, &["verify"]),
];

/// Whoever reads it is told that a variable isn't set.
const NOTED: &str = "
services:
  web: {<<: *app, command: [sh, -c, 'echo started; exec sleep 1000'], environment: {A: '${NOT_SET}'}}
";

/// Whether this is one JSON document, or one on every line.
fn is_json(text: &str) -> bool {
    let json = |text: &str| serde_json::from_str::<Value>(text).is_ok();
    json(text) || text.lines().all(json)
}

#[test]
fn standard_output_is_one_document_or_a_value_a_line() {
    let stack = Stack::with("json", NOTED);
    for (code, arguments) in COMMANDS {
        let output = stack.command(arguments).arg("--json").output().unwrap();
        let all = outcome(&output);
        assert_eq!(all.code, code, "deploy {arguments:?}:\n{}", all.text);
        assert!(
            is_json(&all.stdout),
            "deploy {arguments:?}:\n{}",
            all.stdout
        );
        if !matches!(arguments[0], "lab" | "probe") {
            let notes = String::from_utf8(output.stderr).unwrap();
            let first: Value = serde_json::from_str(notes.lines().next().unwrap()).unwrap();
            assert_eq!(first["event"], "note", "deploy {arguments:?}:\n{notes}");
            assert!(!all.stdout.contains("NOT_SET"), "{}", all.stdout);
        }
    }
    let tried: BTreeSet<&str> = COMMANDS.iter().map(|(_, it)| it[0]).collect();
    let command = Cli::command();
    let all = command.get_subcommands().map(clap::Command::get_name);
    assert_eq!(tried, all.collect(), "a command that isn't tried");
}

#[test]
fn what_is_wrong_with_the_command_line_is_json_too() {
    let stack = Stack::new("usage");
    let wrong: [&[&str]; 5] = [
        &["frobnicate"],
        &["up", "--jsn"],
        &["scale", "web"],
        &["lab"],
        &["-f", "nowhere.yaml", "config"],
    ];
    for arguments in wrong {
        let refused = outcome_of(stack.command(arguments).arg("--json"));
        refused.assert_code(2);
        let error: Value = serde_json::from_str(&refused.text).unwrap();
        assert_eq!(error["event"], "error");
        assert_eq!(error["error"]["exit"], "usage");
        let message = error["error"]["message"].as_str().unwrap();
        assert!(
            !message.is_empty() && !message.contains("error:"),
            "{message}"
        );
    }
}

#[test]
fn notes_are_not_part_of_what_is_printed() {
    let stack = Stack::with("notes", NOTED);
    let output = stack.command(&["config"]).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.starts_with("name: "), "{stdout}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.starts_with("note: ") && stderr.contains("NOT_SET"),
        "{stderr}"
    );
}

#[test]
fn the_time_of_a_line_is_a_value_of_its_own() {
    let stack = Stack::with("times", NOTED);
    stack.ok(&["up"]);
    let line = &stack.ok(&["logs", "--json", "--timestamps"]).events()[0];
    assert_eq!(line["line"], "started");
    let time = line["time"].as_str().unwrap();
    assert!(humantime::parse_rfc3339(time).is_ok(), "{time}");
    let line = &stack.ok(&["logs", "--json"]).events()[0];
    assert_eq!(
        (&line["line"], &line["time"]),
        (&"started".into(), &Value::Null)
    );
}
