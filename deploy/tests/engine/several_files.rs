//! Several Compose files: which ones are read, and that those over the first make it no other stack.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::stack::{Stack, outcome_of};

const COMPOSE: &str = "compose.yaml";
const OVER: &str = "over.yaml";

/// The names of the variables that say which files were read, and `X`, which the files take from outside.
fn read(program: &str, arguments: &[&str], directory: &Path, variables: &str) -> BTreeSet<String> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(directory).env_clear();
    let variables = variables.split(' ').filter_map(|it| it.split_once('='));
    let outcome = outcome_of(command.envs(variables).env("HOME", directory));
    outcome.assert_code(0);
    let project: Value = serde_json::from_str(&outcome.stdout).expect(&outcome.text);
    let environment = project["services"]["s"]["environment"].as_object();
    let pairs = environment.expect("variables").iter();
    pairs
        .filter(|(name, _)| *name != "COMPOSE_FILE")
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
        .collect()
}

/// Where, `.env` at the top, the environment, arguments, and what is read.
type Row<'a> = (&'a str, &'a str, &'a str, &'a [&'a str], &'a [&'a str]);

/// Docker Compose reads the same ones.
#[test]
fn the_files_are_found_as_compose_finds_them() {
    let compose =
        std::env::var("COMPOSE2").expect("COMPOSE2 is set: scripts/compose2.sh prints one");
    let stack = Stack::new("found");
    for (file, name) in [
        ("compose.yaml", "A"),
        ("compose.override.yaml", "B"),
        ("c.yaml", "C"),
        ("sub/d.yaml", "D"),
        ("old/docker-compose.yml", "E"),
        ("old/docker-compose.override.yml", "F"),
        ("alone/compose.yml", "G"),
    ] {
        let text = format!("services: {{s: {{image: i, environment: {{{name}: '', X: '$X'}}}}}}");
        stack.write(file, &text);
    }
    stack.write("sub/deep/file", "");
    let rows: &[Row<'_>] = &[
        (".", "", "", &[], &["A=", "B=", "X="]),
        ("sub/deep", "", "", &[], &["A=", "B=", "X="]),
        ("old", "", "", &[], &["E=", "F=", "X="]),
        ("alone", "", "", &[], &["G=", "X="]),
        (".", "", "", &["-f", "compose.yaml"], &["A=", "X="]),
        (
            ".",
            "",
            "X=x",
            &["-f", "c.yaml", "-f", "sub/d.yaml"],
            &["C=", "D=", "X=x"],
        ),
        (
            ".",
            "",
            "COMPOSE_FILE=c.yaml:sub/d.yaml",
            &[],
            &["C=", "D=", "X="],
        ),
        (
            ".",
            "",
            "COMPOSE_FILE=c.yaml:sub/d.yaml",
            &["-f", "compose.yaml"],
            &["A=", "X="],
        ),
        (
            ".",
            "",
            "COMPOSE_FILE=c.yaml,sub/d.yaml COMPOSE_PATH_SEPARATOR=,",
            &[],
            &["C=", "D=", "X="],
        ),
        (
            "sub",
            "",
            "COMPOSE_FILE=../c.yaml:d.yaml",
            &[],
            &["C=", "D=", "X="],
        ),
        (
            ".",
            "COMPOSE_FILE=sub/d.yaml:c.yaml\nX=x",
            "",
            &[],
            &["C=", "D=", "X=x"],
        ),
        (
            ".",
            "COMPOSE_FILE=sub/d.yaml;c.yaml\nCOMPOSE_PATH_SEPARATOR=;\n",
            "",
            &[],
            &["C=", "D=", "X=of sub"],
        ),
        (
            ".",
            "COMPOSE_FILE=c.yaml\nX=x",
            "COMPOSE_FILE=sub/d.yaml",
            &[],
            &["D=", "X=of sub"],
        ),
    ];
    for (directory, dot_env, variables, arguments, expected) in rows {
        stack.write(".env", dot_env);
        let of_sub = if dot_env.is_empty() { "" } else { "X=of sub" };
        stack.write("sub/.env", of_sub);
        let directory = stack.path().join(directory);
        let expected: BTreeSet<String> = expected.iter().map(ToString::to_string).collect();
        let (deploy, json) = (env!("CARGO_BIN_EXE_deploy"), ["config", "--format", "json"]);
        let theirs = [arguments, &json[..]].concat();
        let ours = [arguments, &["config", "--json"][..]].concat();
        for (program, arguments) in [(deploy, ours), (compose.as_str(), theirs)] {
            let found = read(program, &arguments, &directory, variables);
            assert_eq!(
                found, expected,
                "{program} {arguments:?} {variables} {dot_env:?}"
            );
        }
    }
}

/// Where Docker Compose fails, or goes on with other files.
#[test]
fn a_subdirectory_means_the_project_above_it() {
    let stack = Stack::new("above");
    stack.write(COMPOSE, "services: {s: {image: i}}");
    stack.write(OVER, "services: {s: {hostname: over}}");
    stack.write(".env", "COMPOSE_FILE=compose.yaml:over.yaml\n");
    stack.write("sub/file", "");
    let mut config = stack.command(&["config"]);
    let outcome = outcome_of(config.current_dir(stack.path().join("sub")));
    outcome.assert_code(0);
    outcome.assert_says(&["hostname: over"]);
}

#[test]
fn what_is_wrong_with_their_names_is_told() {
    let stack = Stack::new("names");
    stack.refuses(
        2,
        "config",
        &["can't read compose.yaml: no such file here", "-f"],
    );
    stack.write(COMPOSE, "services: {s: {image: i}}");
    stack.refuses(
        2,
        "-f compose.yaml -f nowhere.yaml config",
        &["can't read nowhere.yaml"],
    );
    stack.write("compose.yml", "services: {s: {image: j}}");
    let both = "compose.yaml is read, and not compose.yml";
    stack.ok(&["config"]).assert_says(&["image: i", both]);
    for list in ["compose.yaml:", ":compose.yaml"] {
        let outcome = outcome_of(stack.command(&["config"]).env("COMPOSE_FILE", list));
        outcome.assert_code(2);
        let told =
            format!("COMPOSE_FILE is {list:?}: expected names of files with \":\" between them");
        outcome.assert_says(&[&told]);
    }
    stack.write(OVER, "services:\n  s: [a]\n  t: {imag: i}\n");
    stack.refuses(
        2,
        "-f compose.yaml -f over.yaml config",
        &[
            "over.yaml has 3 problem(s)",
            "over.yaml:2:6: services.s: a list can't be merged with the mapping at compose.yaml:1:15",
            "over.yaml:3:7: services.t.imag: the key imag isn't supported; did you mean image?",
        ],
    );
}

/// A stack of a service, which a file over it changes and gives another one beside it.
fn layered(test: &str) -> Stack {
    let stack = Stack::with(test, "services:\n  web: {<<: *app}\n");
    let worker = fs::read_to_string(stack.path().join(COMPOSE)).unwrap();
    let worker = worker.replace("web: {<<: *app}", "worker: {<<: *app, networks: [back]}");
    let merged = format!("{worker}  web: {{hostname: over}}\nnetworks: {{back: }}\n");
    stack.write(OVER, &merged);
    stack
}

const BOTH: [&str; 4] = ["-f", COMPOSE, "-f", OVER];

fn with_both<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&BOTH[..], arguments].concat()
}

#[test]
fn files_over_the_first_make_it_no_other_stack() {
    let stack = layered("over");
    let (first, over) = (stack.path().join(COMPOSE), stack.path().join(OVER));
    let both = format!("{} and {}", first.display(), over.display());
    stack.ok(&with_both(&["up", "--no-verify"]));
    assert_eq!(stack.names(), ["web-1", "worker-1"]);
    let labels = stack.inspect("web-1")["Config"]["Labels"].clone();
    let listed = format!("{},{}", first.display(), over.display());
    assert_eq!(labels["com.docker.compose.project.config_files"], listed);
    assert_eq!(labels["dev.causeway.file"], first.to_str().unwrap());
    let working_dir = &labels["com.docker.compose.project.working_dir"];
    assert_eq!(working_dir, stack.path().to_str().unwrap());
    stack
        .ok(&with_both(&["up", "--no-verify"]))
        .assert_says(&["no changes"]);

    // Named otherwise, and from elsewhere.
    let mut ps = stack.command(&["ps"]);
    let joined = format!("{}:{}", first.display(), over.display());
    let ps = outcome_of(ps.current_dir("/").env("COMPOSE_FILE", joined));
    ps.assert_says(&[&stack.name("web-1"), &stack.name("worker-1")]);
    stack.write(".env", "COMPOSE_FILE=compose.yaml:over.yaml\n");
    stack.ok(&["up"]).assert_says(&["no changes"]);
    stack.write(".env", "");

    // Without the one over it: its settings go, what only it has stays.
    let last = format!(
        "brought up from {both} last, and this is {}",
        first.display()
    );
    let stays = format!(
        "container {}, network {}_back: brought up from {both}, so it stays",
        stack.name("worker-1"),
        stack.project
    );
    let plan = stack.ok(&["plan"]);
    plan.assert_says(&["~ recreate", "hostname", &last, &stays]);
    assert!(!plan.text.contains("takes over"), "{}", plan.text);
    let worker = stack.id("worker-1");
    stack.ok(&["up"]).assert_says(&[&last, &stays]);
    assert_eq!(stack.id("worker-1"), worker);
    stack.ok(&["up"]).assert_says(&["no changes", &stays]);
    let leaves = format!("(of {both}, which isn't this file)");
    stack.says("plan --remove-orphans", &["- remove   container", &leaves]);
    stack.ok(&["down"]).assert_says(&[&stays]);
    assert_eq!(stack.names(), ["worker-1"]);

    // A service that left its files goes without being asked for.
    let text = fs::read_to_string(&over)
        .unwrap()
        .replace("worker:", "job:");
    fs::write(&over, text).unwrap();
    stack
        .ok(&with_both(&["up", "--no-verify"]))
        .assert_says(&["(not in the file any more)"]);
    assert_eq!(stack.names(), ["job-1", "web-1"]);
    stack.ok(&with_both(&["down"]));
    assert!(stack.containers().is_empty() && stack.networks().is_empty());
}

#[test]
fn a_release_is_what_the_files_came_to() {
    let stack = layered("releases");
    stack.ok(&with_both(&["up", "--no-verify"]));
    let over = fs::read_to_string(stack.path().join(OVER)).unwrap();
    stack.write(OVER, &over.replace("hostname: over", "hostname: later"));
    stack.ok(&with_both(&["up", "--no-verify"]));
    let hostname = || stack.inspect("web-1")["Config"]["Hostname"].clone();
    assert_eq!(hostname(), "later");
    let releases = stack.ok(&with_both(&["releases"]));
    releases.assert_says(&["services.web.hostname"]);
    stack.ok(&with_both(&["rollback", "--no-verify"]));
    assert_eq!(hostname(), "over");
    assert_eq!(stack.names(), ["web-1", "worker-1"]);
    // The files are as they were.
    stack
        .ok(&with_both(&["plan"]))
        .assert_says(&["\"over\" → \"later\""]);
}

/// It gets as far as to the engine, which isn't there: nothing of the file was refused.
#[test]
fn the_stack_for_a_swarm_is_one_that_docker_reads() {
    let stack = Stack::new("docker-stack");
    let files = ["compose.yaml", "compose.swarm.yaml"];
    let files = files.map(|file| testkit::repository().join(file));
    let mut config = stack.command(&["config", "--stack"]);
    config.env("COMPOSE_FILE", std::env::join_paths(files).unwrap());
    let told = outcome_of(config.current_dir(testkit::repository()));
    told.assert_code(0);
    // The short `tmpfs:` would be dropped without a word.
    told.assert_says(&["- target: /tmp\n", "  type: tmpfs\n"]);
    assert!(!told.stdout.contains("tmpfs:"), "{}", told.stdout);
    stack.write("stack.yaml", &told.stdout);
    let mut docker = std::process::Command::new("docker");
    docker.env("DOCKER_HOST", "unix:///nowhere.sock");
    let deployed = outcome_of(
        docker
            .args(["stack", "deploy", "--compose-file"])
            .arg(stack.path().join("stack.yaml"))
            .arg("docker-stack"),
    );
    deployed.assert_code(1);
    deployed.assert_says(&["Ignoring unsupported options: security_opt", "nowhere.sock"]);
    stack.write(COMPOSE, "services: {s: {image: i}}");
    stack.refuses(
        2,
        "config --stack",
        &["none of its networks has driver: overlay"],
    );
}
