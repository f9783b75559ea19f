//! Images that are built.

use std::process::Command;

use crate::stack::{IMAGE, Stack, docker};

fn stack(test: &str) -> Stack {
    let stack = Stack::with(
        test,
        "services:\n  web: {<<: *app, image: 'PROJECT:1', build: {context: ., args: {GREETING: hello}, labels: {it.project: PROJECT}}}\n",
    );
    stack.write(".dockerignore", "*\n!site\n");
    stack.write("site/index.html", "one");
    stack.write("Dockerfile", &format!("FROM {IMAGE}\nARG GREETING\nEXPOSE 1 2 3 4\nVOLUME /a /b /c /d\nCOPY site/index.html /site/\nRUN echo $GREETING > /site/greeting\n"));
    stack
}

fn read(stack: &Stack, path: &str) -> String {
    docker(&["exec", &stack.name("web-1"), "cat", path])
}

#[test]
fn built_when_its_sources_changed_and_only_then() {
    let stack = stack("build");
    stack.says("up", &["+ build", "not built yet", "building", ": built ("]);
    assert_eq!(read(&stack, "/site/index.html"), "one");
    assert_eq!(read(&stack, "/site/greeting"), "hello\n");
    let first = stack.id("web-1");

    stack.write("README.md", "not part of the context");
    stack.ok(&["up"]).assert_says(&["no changes"]);

    // Part of the context but not of the image: built again, yet nothing is restarted.
    stack.write("site/unused", "x");
    stack.ok(&["up"]).assert_says(&["its sources changed"]);
    assert_eq!(stack.id("web-1"), first);

    stack.write("site/index.html", "two");
    stack.says("up", &["its sources changed", "if the result differs"]);
    assert_ne!(stack.id("web-1"), first);
    assert_eq!(read(&stack, "/site/index.html"), "two");

    stack.ok(&["up", "--build"]).assert_says(&["--build"]);
    stack.ok(&["up"]).assert_says(&["no changes"]);
}

#[test]
fn a_failing_build_shows_its_last_lines() {
    let stack = stack("nobuild");
    stack.write(
        "Dockerfile",
        &format!("FROM {IMAGE}\nRUN echo missing header; false\n"),
    );
    stack.refuses(1, "up", &["missing header", "returned a non-zero code"]);
    assert!(stack.containers().is_empty());

    stack
        .compose("services:\n  web: {<<: *app, image: 'PROJECT:1', build: {context: ./nowhere}}\n");
    stack.fails(1, &["up"]).assert_says(&["nowhere"]);
}

#[test]
fn build_makes_images_and_nothing_else() {
    let stack = stack("buildonly");
    stack.ok(&["build"]).assert_says(&[": built ("]);
    assert!(stack.containers().is_empty() && stack.networks().is_empty());
    stack.says("build web", &["nothing to build"]);
    let refused = stack.deploy(&["build", "wbe"]);
    refused.assert_code(2);
    refused.assert_says(&["no such service: wbe"]);
}

#[test]
fn a_long_step_shows_signs_of_life() {
    let stack = stack("silence");
    stack.write(
        "Dockerfile",
        &format!("FROM {IMAGE}\nRUN echo compiling something; sleep 13\n"),
    );
    stack.says("build", &["step 2 of 4: compiling something (1"]);
}

#[test]
fn secrets_and_settings_never_get_into_an_image() {
    let stack = Stack::with(
        "nosecrets",
        "
services:
  web:
    <<: *app
    image: 'PROJECT:1'
    build: .
    user: '4711:4711'
    env_file: [web.env]
    secrets: [password]
secrets:
  password: {file: ./secrets/password, x-generate: password}
",
    );
    stack.write("Dockerfile", &format!("FROM {IMAGE}\nCOPY . /all/\n"));
    stack.write("site/index.html", "one");
    stack.write(".env", "A=1\n");
    stack.write("web.env", "B=2\n");
    let has = |path: &str| {
        let test = ["exec", &stack.name("web-1"), "test", "-e", path];
        let done = Command::new("docker").args(test).output().unwrap();
        done.status.success()
    };
    let private = ["secrets/password", ".env", "web.env", ".deploy"];
    // Without a .dockerignore, and with one that asks for them.
    for rules in [
        None,
        Some("*\n!site\n!secrets\n!**/*.env\n!.env\n!.deploy\n"),
    ] {
        if let Some(rules) = rules {
            stack.write(".dockerignore", rules);
        }
        let up = stack.ok(&["up"]);
        up.assert_says(&[
            "note: not sent to the builder: ",
            "secrets/password, web.env",
        ]);
        assert!(has("/all/site/index.html"));
        for path in private {
            assert!(!has(&format!("/all/{path}")), "{path}: {}", up.text);
        }
        stack.ok(&["up"]).assert_says(&["no changes"]);
    }
    stack.write(".dockerignore", "*\n!site\n");
    assert!(!stack.ok(&["up"]).text.contains("not sent"));
}
