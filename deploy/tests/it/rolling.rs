//! Start-first: the old container serves until the new one is ready.

use crate::stack::Stack;

const SERVICES: &str = "
services:
  api:
    <<: *app
    environment: {VERSION: \"1\", BROKEN: \"0\"}
    healthcheck: {test: [CMD, sh, -c, 'test $$BROKEN = 0'], interval: 200ms, retries: 2}
    deploy: {update_config: {order: start-first}}
";

#[test]
fn the_new_container_is_healthy_before_the_old_one_goes() {
    let stack = Stack::with("startfirst", SERVICES);
    stack.ok(&["up"]);
    let old = stack.id("api-1");

    stack.compose(&SERVICES.replace("VERSION: \"1\"", "VERSION: \"2\""));
    let up = stack.ok(&["up"]);
    let place = |part: &str| {
        up.text
            .find(part)
            .unwrap_or_else(|| panic!("{part}:\n{}", up.text))
    };
    assert!(
        place(&format!("container {}: healthy", stack.name("api-2")))
            < place(&format!("container {}: stopping", stack.name("api-1"))),
        "{}",
        up.text
    );
    assert_eq!(stack.containers().len(), 1);
    assert_ne!(stack.id("api-2"), old);
}

#[test]
fn a_broken_version_leaves_the_old_one_serving() {
    let stack = Stack::with("broken", SERVICES);
    stack.ok(&["up"]);
    let old = stack.id("api-1");
    stack.compose(&SERVICES.replace("BROKEN: \"0\"", "BROKEN: \"1\""));
    stack.fails(1, &["up"]).assert_says(&["is unhealthy"]);
    assert_eq!(stack.id("api-1"), old);
    assert_eq!(
        stack.inspect("api-1")["State"]["Health"]["Status"],
        "healthy"
    );

    // Back to the version that works: the broken container goes, the old one never went.
    stack.compose(SERVICES);
    stack.ok(&["up"]);
    assert_eq!(stack.containers().len(), 1);
    assert_eq!(stack.id("api-1"), old);
}
