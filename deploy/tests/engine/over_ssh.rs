//! An engine behind SSH: Debian's server, and the user's own `ssh`.

use testkit::process::{Outcome, outcome_of};
use testkit::ssh::Ssh;

use crate::stack::Stack;

/// `deploy ARGUMENTS` with the engine of this host.
fn there(stack: &Stack, ssh: &Ssh, host: &str, arguments: &[&str]) -> Outcome {
    let mut command = stack.command(arguments);
    command.env("PATH", ssh.path());
    outcome_of(command.env("DOCKER_HOST", format!("ssh://root@{host}")))
}

/// Needs root: it is who logs in, and the server's user is made in a namespace.
#[test]
fn an_engine_is_reached_over_ssh() {
    let ssh = Ssh::new();
    let stack = Stack::new("ssh");
    stack.compose(
        "services:\n  web: {<<: *app, image: 'PROJECT:1', build: .}\n  other: {<<: *app, depends_on: [web]}\n",
    );
    stack.write(
        "Dockerfile",
        &format!(
            "FROM {}\nLABEL it.project={}\n",
            crate::stack::IMAGE,
            stack.project
        ),
    );
    let up = there(&stack, &ssh, "engine.test", &["up"]);
    up.assert_code(0);
    up.assert_says(&["PROJECT:1: built"
        .replace("PROJECT", &stack.project)
        .as_str()]);
    assert_eq!(stack.names(), ["other-1", "web-1"]);
    let ps = there(&stack, &ssh, "engine.test", &["ps", "--json"]);
    ps.assert_code(0);
    // The same engine by its socket has nothing to be changed.
    stack.ok(&["up"]).assert_says(&["no changes"]);
    there(&stack, &ssh, "engine.test", &["down"]).assert_code(0);
    assert!(stack.names().is_empty());
}

/// Needs root: as above.
#[test]
fn what_ssh_complains_of_is_told_with_what_to_do() {
    let ssh = Ssh::new();
    let stack = Stack::with("nossh", "services:\n  web: {<<: *app}\n");
    let refused = |host: &str, parts: &[&str]| {
        let outcome = there(&stack, &ssh, host, &["ps"]);
        outcome.assert_code(3);
        outcome.assert_says(parts);
    };
    ssh.knows_hosts(false);
    refused(
        "stranger",
        &[
            "Host key verification failed",
            "run `ssh root@stranger true` once",
        ],
    );
    ssh.knows_hosts(true);
    ssh.lets_in(false);
    refused("closed", &["Permission denied", "`ssh-copy-id`"]);
    ssh.lets_in(true);
    ssh.force("bare", "docker-is-not-here");
    refused(
        "bare",
        &["not found", "apt-get install docker.io docker-cli"],
    );
    ssh.force(
        "stopped",
        "docker -H unix:///nowhere.sock system dial-stdio",
    );
    refused(
        "stopped",
        &["/nowhere.sock", "`ssh root@stopped docker version`"],
    );
    for (host, said) in [
        ("me:secret@h", "a password can't be given"),
        ("h:x", "the port"),
    ] {
        let mut command = stack.command(&["ps"]);
        let outcome = outcome_of(command.env("DOCKER_HOST", format!("ssh://{host}")));
        outcome.assert_code(2);
        outcome.assert_says(&[said]);
    }
}
