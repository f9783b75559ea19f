//! `post_start` and `pre_stop`. Docker Compose knows them since 2.30; what it makes of them is written down.

use serde_json::json;

use crate::support::{Fixture, service};

#[test]
fn commands_with_their_settings() {
    let project = service(
        "post_start:\n  - command: ./do.sh --flag \"a b\"\n    user: root\n    privileged: true\n    \
         working_dir: /x\n    environment: [FOO=BAR, GONE]\n  - {command: [sh, -c, 'echo $$X']}\n\
         pre_stop:\n  - {command: ./x.sh, environment: {A: 1, B: }}",
    );
    let s = &project.json()["services"]["s"];
    assert_eq!(
        s["post_start"],
        json!([
            {
                "command": ["./do.sh", "--flag", "a b"],
                "user": "root",
                "privileged": true,
                "working_dir": "/x",
                "environment": {"FOO": "BAR", "GONE": null},
            },
            {"command": ["sh", "-c", "echo $X"]},
        ])
    );
    let environment = json!({"A": "1", "B": null});
    assert_eq!(
        s["pre_stop"],
        json!([{"command": ["./x.sh"], "environment": environment}])
    );
    let loaded = project.load().unwrap();
    let rendered = Fixture::new(loaded.to_yaml().unwrap());
    assert_eq!(rendered.json()["services"]["s"], *s);
}

#[test]
fn those_of_another_file_follow() {
    let fixture = service("post_start: [{command: a}, {command: b}]").over(
        "two.yaml",
        "services: {s: {post_start: [{command: b}, {command: c}]}}",
    );
    let commands: Vec<_> = ["a", "b", "b", "c"]
        .map(|it| json!({"command": [it]}))
        .into();
    assert_eq!(
        fixture.json()["services"]["s"]["post_start"],
        json!(commands)
    );
}

#[test]
fn what_is_wrong_with_them_is_told() {
    for (keys, expected) in [
        ("post_start: [{user: root}]", "the key command is missing"),
        (
            "post_start: [{command: []}]",
            "expected a program and its arguments",
        ),
        (
            "pre_stop: [{command: ''}]",
            "expected a program and its arguments",
        ),
        ("pre_stop: {command: a}", "expected a list"),
        ("pre_stop: [a]", "expected a mapping"),
        (
            "pre_stop: [{command: a, per_replica: true}]",
            "the key per_replica isn't supported",
        ),
        ("post_start: [{command: a, user: 0}]", "expected a string"),
        (
            "post_start: [{command: a && b}]",
            "&& means something to a shell",
        ),
        ("post_start:", "the key has no value"),
    ] {
        let problems = service(keys).problems();
        assert!(
            problems[0].message.contains(expected),
            "{keys}: {problems:?}"
        );
    }
    let swarm =
        service("post_start: [{command: a}]\n---\nnetworks: {default: {driver: overlay}}\n");
    let problems = swarm.problems();
    assert!(
        problems[0]
            .message
            .contains("a Swarm doesn't carry post_start out"),
        "{problems:?}"
    );
}
