//! One project, several Compose files: what came from another one stays unless asked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::stack::{Outcome, Stack, outcome};

const WEB: &str = "services:\n  web: {<<: *app}\n";

/// A second checkout below the stack's directory, with the same file.
fn clone(stack: &Stack, name: &str) -> PathBuf {
    let directory = stack.path().join(name);
    fs::create_dir(&directory).unwrap();
    fs::copy(
        stack.path().join("compose.yaml"),
        directory.join("compose.yaml"),
    )
    .unwrap();
    directory
}

/// `deploy ARGUMENTS` in another directory, which must end with `code`.
fn deploy_in(directory: &Path, stack: &Stack, code: i32, arguments: &[&str]) -> Outcome {
    let mut command: Command = stack.command(arguments);
    let outcome = outcome(&command.current_dir(directory).output().unwrap());
    assert_eq!(outcome.code, code, "{arguments:?}:\n{}", outcome.text);
    outcome
}

/// Gives the service another setting.
fn change(file: &Path, hostname: &str) {
    let text = fs::read_to_string(file).unwrap();
    let hostname = format!("{{<<: *app, hostname: {hostname}}}");
    fs::write(file, text.replace("{<<: *app}", &hostname)).unwrap();
}

#[test]
fn services_of_another_file_stay_until_orphans_are_removed() {
    let stack = Stack::with("files", WEB);
    stack.write(
        "jobs/compose.yaml",
        &fs::read_to_string(stack.path().join("compose.yaml"))
            .unwrap()
            .replace("web:", "worker:")
            .replace(
                "{<<: *app}",
                "{<<: *app, networks: [back, default], volumes: ['jobs:/jobs']}\nnetworks: {back: }\nvolumes: {jobs: }",
            ),
    );
    let jobs = ["-f", "jobs/compose.yaml"];
    stack.ok(&[&jobs[..], &["up", "--no-verify"]].concat());
    stack.ok(&["up"]);
    let worker = stack.id("worker-1");
    let both = stack.networks();
    let theirs = stack.path().join("jobs/compose.yaml");
    let stays = format!(
        "container {}, network {}_back: brought up from {}, so it stays",
        stack.name("worker-1"),
        stack.project,
        theirs.display()
    );
    stack.says("plan", &["no changes", &stays, "--remove-orphans"]);
    stack.ok(&["up"]).assert_says(&[&stays]);

    // Nor is it cut off from a network that this file changes.
    stack.compose(&format!("{WEB}networks: {{default: {{internal: true}}}}\n"));
    stack.fails(1, &["up"]).assert_says(&[
        "nothing was changed",
        &format!(
            "container {}, which is not of this project's file",
            stack.name("worker-1")
        ),
    ]);
    stack.compose(WEB);

    stack.ok(&["down", "--volumes"]).assert_says(&[
        &stays,
        &format!(
            "kept network {}_default: {} is on it",
            stack.project,
            stack.name("worker-1")
        ),
    ]);
    assert_eq!(stack.containers(), [(stack.name("worker-1"), worker)]);
    assert_eq!(stack.networks(), both);
    assert_eq!(stack.volumes(), [format!("{}_jobs", stack.project)]);

    stack.ok(&["up"]);
    let leaves = format!("(of {}, which isn't this file)", theirs.display());
    stack.says("plan --remove-orphans", &["- remove   container", &leaves]);
    stack.says("up --remove-orphans", &[&leaves]);
    assert_eq!(stack.containers().len(), 1);
    assert_eq!(stack.networks().len(), 1);

    stack.ok(&[&jobs[..], &["up", "--no-verify"]].concat());
    stack.ok(&["down", "--remove-orphans", "--volumes"]);
    assert!(stack.containers().is_empty() && stack.networks().is_empty());
    assert!(stack.volumes().is_empty());
}

#[test]
fn a_second_clone_says_whose_stack_it_would_take_over_and_stops() {
    let stack = Stack::with("clone", WEB);
    stack.ok(&["up"]);
    let before = stack.containers();
    let clone = clone(&stack, "clone");
    let (first, second) = (
        stack.path().join("compose.yaml"),
        clone.join("compose.yaml"),
    );
    // Nothing to do is no harm.
    deploy_in(&clone, &stack, 0, &["up"]).assert_says(&["no changes"]);

    change(&second, "theirs");
    let whose = [
        format!(
            "takes over the stack that was brought up from {}:",
            first.display()
        ),
        format!(
            "was brought up from {}, and this is {}",
            first.display(),
            second.display()
        ),
    ];
    for command in ["plan", "up"] {
        let refused = deploy_in(&clone, &stack, 1, &[command]);
        refused.assert_says(&[&whose[0], &whose[1], "--take-over", "nothing was changed"]);
        let first_line = refused.stdout.lines().next().unwrap();
        assert_eq!(first_line, whose[0]);
    }
    deploy_in(&clone, &stack, 1, &["scale", "web=2"]).assert_says(&[&whose[1]]);
    deploy_in(&clone, &stack, 1, &["restart", "web"]).assert_says(&[&whose[1]]);
    deploy_in(&clone, &stack, 1, &["down"]).assert_says(&[&whose[1]]);
    assert_eq!(stack.containers(), before);

    deploy_in(&clone, &stack, 0, &["plan", "--take-over"]).assert_says(&[&whose[0]]);
    deploy_in(&clone, &stack, 0, &["up", "--take-over"]);
    assert_ne!(stack.containers(), before);
    // From now on it is the clone's.
    change(&first, "mine");
    let text = fs::read_to_string(&second).unwrap();
    fs::write(&second, text.replace("theirs", "still-theirs")).unwrap();
    stack.fails(1, &["up"]).assert_says(&["--take-over"]);
    deploy_in(&clone, &stack, 0, &["up"]);
    deploy_in(&clone, &stack, 0, &["down"]);
    assert!(stack.containers().is_empty());
}

#[test]
fn a_moved_checkout_goes_on_with_its_stack() {
    let stack = Stack::with("moved", WEB);
    let old = clone(&stack, "old");
    deploy_in(&old, &stack, 0, &["up"]);
    let (new, gone) = (stack.path().join("new"), old.join("compose.yaml"));
    fs::rename(&old, &new).unwrap();
    deploy_in(&new, &stack, 0, &["up"]).assert_says(&["no changes"]);
    change(&new.join("compose.yaml"), "moved");
    let whose = format!(
        "takes over the stack that was brought up from {}",
        gone.display()
    );
    deploy_in(&new, &stack, 0, &["plan"]).assert_says(&[&whose]);
    deploy_in(&new, &stack, 0, &["up"]).assert_says(&[&whose]);
    deploy_in(&new, &stack, 0, &["down"]);
    assert!(stack.containers().is_empty());
}

#[test]
fn a_file_of_another_directory_is_a_project_of_its_own() {
    let stack = Stack::with("blog", WEB);
    stack.ok(&["up"]);
    let before = stack.containers();
    let text = fs::read_to_string(stack.path().join("compose.yaml")).unwrap();
    stack.write("Blog.d/docker-compose.yml", &text.replace("web:", "blog:"));
    let plan = Command::new(env!("CARGO_BIN_EXE_deploy"))
        .args(["-f", "Blog.d/docker-compose.yml", "plan"])
        .current_dir(stack.path())
        .env_remove("COMPOSE_PROJECT_NAME")
        .output()
        .unwrap();
    let plan = outcome(&plan);
    plan.assert_says(&["+ create   container blogd-blog-1", "0 to remove"]);
    assert_eq!(stack.containers(), before);
}

#[test]
fn what_another_file_made_and_this_one_calls_external_outlives_down() {
    let stack = Stack::with(
        "external",
        "services:\n  web: {<<: *app, networks: [front], volumes: ['data:/data']}\n\
         networks: {front: }\nvolumes: {data: }\n",
    );
    stack.ok(&["up"]);
    let (networks, volumes) = (stack.networks(), stack.volumes());
    let guest = stack.path().join("guest");
    fs::create_dir(&guest).unwrap();
    let text = fs::read_to_string(stack.path().join("compose.yaml")).unwrap();
    let external = |key: &str| format!("{{external: true, name: {}_{key}}}", stack.project);
    let text = text
        .replace("web:", "guest:")
        .replace("{front: }", &format!("{{front: {}}}", external("front")))
        .replace("{data: }", &format!("{{data: {}}}", external("data")));
    fs::write(guest.join("compose.yaml"), text).unwrap();
    deploy_in(&guest, &stack, 0, &["up"]);
    assert_eq!(stack.containers().len(), 2);
    deploy_in(&guest, &stack, 0, &["down", "--volumes"]);
    assert_eq!(stack.containers().len(), 1);
    assert_eq!((stack.networks(), stack.volumes()), (networks, volumes));
}
