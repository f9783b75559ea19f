//! Two `deploy` at once: one changes the project, the other waits or says who does.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::stack::{Stack, eventually, outcome};

/// Its `up` takes until the test lets it go: the health check waits for a file.
const HELD: &str = "
services:
  web:
    <<: *app
    healthcheck: {test: [CMD, test, -e, /go], interval: 100ms, retries: 1000}
  aside: {<<: *app, networks: [front, back]}
networks: {front: {name: PROJECT-front}, back: }
";

/// An `up` that is known to hold the lock.
fn holder(stack: &Stack) -> Child {
    let mut child = stack
        .command(&["up"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let started = format!("container {}: starting", stack.name("web-1"));
    assert!(
        lines.map_while(Result::ok).any(|line| line == started),
        "the container starts"
    );
    child
}

fn let_go(stack: &Stack) {
    let web = stack.name("web-1");
    eventually("the health check is let pass", || {
        let let_pass = ["exec", &web, "sh", "-c", "echo > /go"];
        let done = Command::new("docker").args(let_pass).output().unwrap();
        done.status.success()
    });
}

#[test]
fn who_must_not_wait_is_told_who_holds_the_project() {
    let stack = Stack::with("nowait", HELD);
    let first = holder(&stack);
    let pid = format!("pid {}", first.id());
    for arguments in [
        &["up", "--no-wait"][..],
        &["down", "--no-wait"],
        &["scale", "web=2", "--lock-timeout", "200ms"],
    ] {
        let refused = stack.fails(1, arguments);
        refused.assert_says(&["is being changed by `deploy up`", &pid, "since 20"]);
    }
    stack.ok(&["plan"]);
    stack.ok(&["ps"]);
    let_go(&stack);
    let first = outcome(&first.wait_with_output().unwrap());
    first.assert_code(0);
    stack.ok(&["up", "--no-wait"]).assert_says(&["no changes"]);
}

#[test]
fn the_second_up_waits_and_finds_nothing_left_to_do() {
    let stack = Stack::with("twoups", HELD);
    let first = holder(&stack);
    let mut second = stack.spawn(&["up"]);
    let mut lines = BufReader::new(second.stdout.take().unwrap()).lines();
    let said = lines.next().unwrap().unwrap();
    assert!(said.contains(": waiting for `deploy up` (pid "), "{said}");
    let_go(&stack);
    let first = outcome(&first.wait_with_output().unwrap());
    first.assert_code(0);
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert!(second.wait().unwrap().success(), "{rest:?}");
    assert!(rest.iter().any(|it| it.contains("no changes")), "{rest:?}");
}

#[test]
fn two_that_begin_at_once_make_one_of_everything() {
    let stack = Stack::with(
        "atonce",
        "
services:
  web: {<<: *app, networks: [front, back]}
  api: {<<: *app, networks: [back], deploy: {replicas: 2}}
networks: {front: {name: PROJECT-front}, back: }
",
    );
    let both = [stack.spawn(&["up"]), stack.spawn(&["up"])];
    for child in both {
        let done = outcome(&child.wait_with_output().unwrap());
        done.assert_code(0);
    }
    assert_eq!(
        stack.networks(),
        [
            format!("{}-front", stack.project),
            format!("{}_back", stack.project)
        ]
    );
    assert_eq!(stack.names(), ["api-1", "api-2", "web-1"]);
    stack.ok(&["up"]).assert_says(&["no changes"]);
}

#[test]
fn a_killed_holder_frees_the_project() {
    let stack = Stack::with("killedholder", HELD);
    let mut first = holder(&stack);
    first.kill().unwrap();
    first.wait().unwrap();
    stack.compose(&HELD.replace("test, -e, /go", "'true'"));
    stack.ok(&["up", "--no-wait"]);
    assert_eq!(stack.containers().len(), 2);
}

/// The lock that a `deploy` holds.
fn lock_of(holder: &Child) -> PathBuf {
    let open = fs::read_dir(format!("/proc/{}/fd", holder.id())).unwrap();
    let mut links = open.filter_map(|it| fs::read_link(it.ok()?.path()).ok());
    let lock = links.find(|it| it.to_string_lossy().contains("/causeway-deploy-"));
    lock.expect("the holder has the lock open")
}

/// A command as another user, in one group. Only root can.
fn as_user(user: u32, group: u32, command: &[&str]) -> Command {
    let mut other = Command::new("setpriv");
    other
        .args([&format!("--reuid={user}"), &format!("--regid={group}")])
        .args(["--clear-groups", "--"])
        .args(command)
        .stdin(Stdio::null());
    other
}

#[test]
fn a_stranger_can_neither_hold_the_project_nor_say_who_does() {
    const NOBODY: u32 = 65_534;
    let stack = Stack::with("stranger", HELD);
    let mut first = holder(&stack);
    let lock = lock_of(&first);
    let found = fs::metadata(&lock).unwrap();
    assert_eq!(found.mode() & 0o007, 0, "{}", lock.display());
    let_go(&stack);
    assert!(first.wait().unwrap().success());
    if found.uid() != 0 {
        return;
    }
    // Files under such names, held, with something in them.
    let lock = lock.to_str().unwrap();
    let squat = format!("{}squat", &lock[..=lock.rfind('-').unwrap()]);
    let script = format!(
        "for n in 1 2; do echo forged >{squat}$n.lock; chmod 666 {squat}$n.lock; done
         exec 3<{squat}1.lock 4<{squat}2.lock; flock 3; flock 4; exec sleep 1000"
    );
    let mut nobody = as_user(NOBODY, NOBODY, &["sh", "-c", &script])
        .spawn()
        .unwrap();
    let squatted = || {
        let attempt = ["--nonblock", &format!("{squat}2.lock"), "true"];
        let free = Command::new("flock").args(attempt).status().unwrap();
        !free.success()
    };
    eventually("nobody holds them", squatted);
    let up = stack.deploy(&["up", "--no-wait"]);
    let still = squatted();
    nobody.kill().unwrap();
    nobody.wait().unwrap();
    for number in [1, 2] {
        fs::remove_file(format!("{squat}{number}.lock")).unwrap();
    }
    assert!(still, "nobody held them all the while");
    up.assert_code(0);
    up.assert_says(&["no changes"]);
}

/// Root and a member of the group that the engine's socket belongs to.
#[test]
fn all_who_may_operate_the_engine_wait_for_each_other() {
    let socket = fs::metadata("/var/run/docker.sock").unwrap();
    let stack = Stack::with("member", HELD);
    let mut first = holder(&stack);
    if fs::metadata(lock_of(&first)).unwrap().uid() == 0 && socket.mode() & 0o020 != 0 {
        fs::set_permissions(stack.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let deploy = stack.command(&["down", "--no-wait"]);
        let mut command = vec![deploy.get_program().to_str().unwrap()];
        command.extend(deploy.get_args().map(|it| it.to_str().unwrap()));
        let mut member = as_user(12_345, socket.gid(), &command);
        let refused = outcome(&member.current_dir(stack.path()).output().unwrap());
        refused.assert_code(1);
        let pid = format!("`deploy up` (pid {}", first.id());
        refused.assert_says(&["is being changed by", &pid]);
    }
    let_go(&stack);
    assert!(first.wait().unwrap().success());
}
