//! `post_start` and `pre_stop` in real containers.

use crate::stack::{Stack, docker};

const SERVICES: &str = "
services:
  web:
    <<: *app
    environment: {OWN: own, TAKEN: away}
    volumes: ['log:/log']
    post_start:
      - {command: [sh, -c, 'echo start $$OWN $$MORE $$TAKEN. >> /log/log'], environment: {MORE: more, TAKEN: }}
      - {command: [sh, -c, 'test ! -e /log/broken || { echo no; cat /run/secrets/password; false; }'], working_dir: /log}
    pre_stop:
      - {command: [sh, -c, 'echo stop >> /log/log; test ! -e /log/broken'], user: '0'}
    secrets: [password]
volumes: {log: }
secrets: {password: {file: ./secrets/password, x-generate: password}}
";

fn in_web(stack: &Stack, script: &str) -> String {
    docker(&["exec", &stack.name("web-1"), "sh", "-c", script])
}

fn logged(stack: &Stack) -> String {
    docker(&["exec", &stack.name("web-1"), "cat", "/log/log"])
}

#[test]
fn they_run_after_each_start_and_before_each_stop() {
    let stack = Stack::with("hooks", SERVICES);
    stack.ok(&["up"]);
    assert_eq!(logged(&stack), "start own more .\n");
    stack.says("up", &["no changes"]);
    let again = "start own more .\nstop\nstart own more .\n";
    stack.ok(&["restart", "--in-place", "web"]);
    assert_eq!(logged(&stack), again);
    stack.ok(&["up", "--force-recreate"]);
    assert_eq!(logged(&stack), format!("{again}stop\nstart own more .\n"));
    // The engine starts it again by itself, and nobody else.
    docker(&["restart", "--time", "0", &stack.name("web-1")]);
    assert_eq!(logged(&stack).lines().count(), 5);
    // A changed hook is a changed setting.
    stack.compose(&SERVICES.replace("echo start", "echo began"));
    stack.says("up", &["recreate", "post_start"]);
    assert!(logged(&stack).ends_with("stop\nbegan own more .\n"));
}

#[test]
fn what_fails_is_told_and_runs_again() {
    let stack = Stack::with("failing", SERVICES);
    stack.ok(&["up"]);
    in_web(&stack, "echo > /log/broken");
    let said = stack.fails(1, &["up", "--force-recreate"]);
    said.assert_says(&[
        "its pre_stop (sh) ended with status 1; it is stopped all the same",
        "its post_start 2 of 2 (sh) ended with status 1",
        "no",
        "[redacted]",
    ]);
    let password = std::fs::read_to_string(stack.path().join("secrets/password")).unwrap();
    assert!(!said.text.contains(password.trim()), "{}", said.text);

    // Nothing has changed but that it isn't broken any more.
    in_web(&stack, "echo -n > /log/log; exec busybox rm /log/broken");
    stack.says("plan", &["its post_start didn't come to its end"]);
    stack.ok(&["up"]);
    assert_eq!(logged(&stack), "start own more .\n");
    stack.says("up", &["no changes"]);
    in_web(&stack, "echo > /log/broken");
    stack.says("down", &["stopped all the same", "is down"]);
}

/// As when `deploy` was killed between the start and the end of the hooks.
#[test]
fn a_container_whose_hooks_did_not_end_gets_them_from_the_next_up() {
    let slow = "services:\n  web: {<<: *app, post_start: [{command: [sh, -c, 'sleep 1000']}]}\n";
    let stack = Stack::with("owed", slow);
    let mut up = stack.spawn(&["up"]);
    let record = stack
        .path()
        .join(format!(".deploy/{}/hooks.json", stack.project));
    crate::stack::eventually("its hook runs", || {
        record.exists()
            && !docker(&[
                "ps",
                "-q",
                "--filter",
                &format!("name={}", stack.name("web-1")),
            ])
            .is_empty()
    });
    up.kill().unwrap();
    up.wait().unwrap();
    stack.says("plan", &["start", "its post_start didn't come to its end"]);
    stack
        .fails(1, &["up", "--timeout", "1s"])
        .assert_says(&["post_start", "no end within 1 s"]);
    stack.ok(&["down"]);
    assert!(!record.exists());
}
