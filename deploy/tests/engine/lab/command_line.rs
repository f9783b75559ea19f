//! The command line of `deploy lab`, where it needs no engine.

use std::process::{Command, Output};

use serde_json::Value;

fn deploy(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_deploy"))
        .args(arguments)
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .output()
        .unwrap()
}

#[test]
fn an_unknown_lesson_is_a_usage_error_that_names_the_known_ones() {
    let output = deploy(&["lab", "run", "dns", "dsn"]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("no such lesson: dsn"), "{stderr}");
    assert!(
        stderr.contains("self-check") && stderr.contains("ipam"),
        "{stderr}"
    );
}

#[test]
fn the_list_names_every_lesson() {
    let output = deploy(&["lab", "list", "--json"]);
    let lessons: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<&str> = lessons
        .as_array()
        .unwrap()
        .iter()
        .map(|lesson| lesson["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "self-check",
            "default-bridge",
            "user-defined-bridge",
            "host",
            "none",
            "overlay",
            "publish",
            "dns",
            "hostname",
            "ipam",
        ]
    );
    let text = String::from_utf8(deploy(&["lab", "list"]).stdout).unwrap();
    assert!(names.iter().all(|name| text.contains(name)));
}

#[test]
fn without_an_engine_it_says_so() {
    let output = deploy(&["lab", "run", "none"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent/docker.sock"));
}

#[test]
fn a_report_that_cannot_be_written_is_refused_before_the_work() {
    let output = deploy(&["lab", "run", "none", "--report", "/nonexistent/report.md"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent/report.md"));
}
