//! Replicas and `scale`.

use crate::stack::Stack;

const SERVICES: &str = "
services:
  api: {<<: *app, deploy: {replicas: 2}}
  web: {<<: *app, ports: ['127.0.0.1::80']}
";

fn names(stack: &Stack) -> Vec<String> {
    stack
        .containers()
        .into_iter()
        .map(|(name, _)| name)
        .collect()
}

#[test]
fn scale_changes_the_count_until_the_next_up() {
    let stack = Stack::with("scale", SERVICES);
    stack.ok(&["up"]);
    let kept = stack.containers();
    assert_eq!(
        names(&stack),
        ["api-1", "api-2", "web-1"].map(|name| stack.name(name))
    );

    stack
        .ok(&["scale", "api=3"])
        .assert_says(&["the next `deploy up` goes back to the file: api=2"]);
    assert_eq!(
        names(&stack),
        ["api-1", "api-2", "api-3", "web-1"].map(|name| stack.name(name))
    );

    stack.ok(&["up"]);
    assert_eq!(stack.containers(), kept, "the newest went");

    stack.ok(&["scale", "api=0"]);
    assert_eq!(names(&stack), [stack.name("web-1")]);
}

#[test]
fn scale_refuses_what_can_not_be() {
    let stack = Stack::with(
        "noscale",
        "services:\n  web: {<<: *app, ports: ['127.0.0.1:18299:80']}\n",
    );
    stack
        .fails(2, &["scale", "web=2"])
        .assert_says(&["host port 18299"]);
    stack
        .fails(2, &["scale", "api=2"])
        .assert_says(&["no such service: api", "choose among web"]);
    assert_eq!(stack.deploy(&["scale", "web"]).code, 2);
}
