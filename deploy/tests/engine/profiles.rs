//! Services of profiles: `--profile`, `COMPOSE_PROFILES`, and what becomes of them when the profile isn't
//! enabled any more.

use crate::stack::{Stack, docker};

const SERVICES: &str = "
services:
  web: {<<: *app}
  tool: {<<: *app, profiles: [observe], networks: [apart], volumes: ['kept:/data'], depends_on: [web]}
  lone: {<<: *app, profiles: [other]}
networks: {apart: }
volumes: {kept: }
";

#[test]
fn only_what_is_enabled_comes_up_and_what_was_enabled_stays() {
    let stack = Stack::with("profiles", SERVICES);
    stack.ok(&["up"]);
    assert_eq!(stack.names(), ["web-1"]);
    assert_eq!(stack.networks().len(), 1);
    assert!(stack.volumes().is_empty());
    stack.says("plan --profile observe", &["tool-1", "create"]);

    stack.ok(&["up", "--profile", "observe"]);
    assert_eq!(stack.names(), ["tool-1", "web-1"]);
    let id = stack.id("tool-1");
    stack.says("up --profile observe", &["no changes"]);
    stack.says("ps", &["tool-1"]);

    // Not enabled any more: left as it is, with its network.
    let said = stack.ok(&["up"]);
    let left = "tool-1: of a profile that isn't enabled (observe), and left as it is";
    said.assert_says(&["no changes", left]);
    stack.ok(&["up", "--remove-orphans", "--force-recreate"]);
    assert_eq!(stack.id("tool-1"), id);
    assert_eq!(stack.networks().len(), 2);
    // What runs is as drawn.
    stack.says("inspect", &["tool "]);

    // The stack is all of it.
    stack.says("down", &["tool-1", "kept volume"]);
    assert!(stack.names().is_empty() && stack.networks().is_empty());
    stack.ok(&["down", "--volumes"]);
    assert!(stack.volumes().is_empty());
}

#[test]
fn the_variable_enables_profiles_and_naming_a_service_does() {
    let stack = Stack::with("named", SERVICES);
    stack.write(".env", "COMPOSE_PROFILES=other\n");
    stack.ok(&["up"]);
    assert_eq!(stack.names(), ["lone-1", "web-1"]);
    stack.ok(&["scale", "tool=1"]);
    assert_eq!(stack.names(), ["lone-1", "tool-1", "web-1"]);
    let started =
        |name: &str| docker(&["inspect", "-f", "{{.State.StartedAt}}", &stack.name(name)]);
    let before = started("tool-1");
    stack.ok(&["restart", "tool"]);
    assert_ne!(started("tool-1"), before);
    stack.ok(&["logs", "tool"]);
    stack.ok(&["scale", "tool=0"]);
    assert_eq!(stack.names(), ["lone-1", "web-1"]);
}

#[test]
fn a_rollback_brings_back_what_was_enabled_then() {
    let stack = Stack::with("back", SERVICES);
    stack.ok(&["up", "--profile", "observe"]);
    stack.compose(&SERVICES.replace(
        "  web: {<<: *app}",
        "  web: {<<: *app, environment: {A: b}}",
    ));
    stack.ok(&["up"]);
    docker(&["rm", "--force", &stack.name("tool-1")]);
    stack.ok(&["rollback"]);
    assert_eq!(stack.names(), ["tool-1", "web-1"]);
    stack.says("--profile observe config", &["profiles:", "- observe"]);
}

#[test]
fn where_nothing_is_enabled_nothing_comes_up() {
    let stack = Stack::with(
        "nothing",
        "services:\n  web: {<<: *app, profiles: [a, b]}\n",
    );
    stack.refuses(2, "up", &["no service is enabled", "--profile", "a, b"]);
    stack.refuses(2, "plan", &["no service is enabled"]);
    stack.ok(&["up", "--profile", "b"]);
    stack.ok(&["down"]);
}
