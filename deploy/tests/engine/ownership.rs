//! `deploy` touches what it made, and nothing that only looks like it.

use crate::stack::{IMAGE, Stack, compose, docker, foreign_container, foreign_label};

const WEB: &str = "services:\n  web: {<<: *app}\n";

/// A container that runs until the stack is dropped; its id.
fn run(stack: &Stack, name: &str, image: &str) -> String {
    foreign_container(stack, name, image, &[])
}

fn is_running(id: &str) -> bool {
    docker(&["inspect", "-f", "{{.State.Running}}", id]).trim() == "true"
}

/// An image with everything that `deploy` writes on a container.
fn committed(stack: &Stack) -> String {
    let image = format!("{}:committed", stack.project);
    let label = format!("LABEL {}", foreign_label(stack));
    docker(&["commit", "--change", &label, &stack.name("web-1"), &image]);
    image
}

#[test]
fn labels_that_an_image_brings_make_no_container_ours() {
    let stack = Stack::with("inherited", WEB);
    stack.ok(&["up"]);
    let web = stack.id("web-1");
    // As images were labelled once, and as `docker commit` labels them.
    let built = format!("{}:built", stack.project);
    let change = format!(
        "LABEL dev.causeway.project={0} it.project={0}",
        stack.project
    );
    docker(&[
        "commit",
        "--change",
        &change,
        &run(&stack, &stack.name("base"), IMAGE),
        &built,
    ]);
    let strangers = [
        run(&stack, &stack.name("x"), &built),
        run(&stack, &stack.name("y"), &committed(&stack)),
    ];

    let ps = stack.ok(&["ps"]);
    assert!(!ps.text.contains(&stack.name("x")), "{}", ps.text);
    assert!(!ps.text.contains(&stack.name("y")), "{}", ps.text);
    stack.ok(&["plan"]).assert_says(&["no changes"]);
    stack.ok(&["up"]).assert_says(&["no changes"]);
    stack.compose(&WEB.replace("*app", "*app, hostname: other"));
    stack.ok(&["up"]);
    assert_ne!(stack.id("web-1"), web);
    stack.ok(&["down", "--volumes"]);
    assert!(strangers.iter().all(|id| is_running(id)));
}

#[test]
fn a_container_made_from_a_committed_one_is_ours() {
    let stack = Stack::with("committed", WEB);
    stack.ok(&["up"]);
    let image = committed(&stack);
    stack.compose(&WEB.replace("*app", &format!("*app, image: '{image}'")));
    stack.ok(&["up"]).assert_says(&["recreate container"]);
    stack.ok(&["up"]).assert_says(&["no changes"]);
    stack.ok(&["down"]);
    assert!(stack.containers().is_empty());
}

#[test]
fn a_foreign_container_with_a_name_that_is_needed_stops_plan_and_up() {
    let stack = Stack::with("named", WEB);
    let stranger = run(&stack, &stack.name("web-1"), IMAGE);
    let taken = format!(
        "container name {0} is taken by somebody else's container; owner: unknown (it has no label \
         that says). Remove it (`docker rm -f {0}`)",
        stack.name("web-1")
    );
    for command in ["plan", "up"] {
        stack
            .fails(1, &[command])
            .assert_says(&["nothing was changed", &taken]);
    }
    assert!(is_running(&stranger));
    assert!(stack.networks().is_empty());
}

const WITH_DATA: &str = "
services:
  web:
    <<: *app
    command: [sh, -c, 'test -e /data/id || cat /proc/sys/kernel/random/uuid > /data/id; exec sleep 1000']
    networks: [front]
    volumes: ['data:/data', 'memory:/memory']
  other: {<<: *app, networks: [front]}
networks:
  front: {name: PROJECT-front}
volumes:
  data:
  memory: {driver_opts: {type: tmpfs, device: tmpfs, o: 'size=1m'}}
";

/// What is in the volume, by whichever container of the service is there.
fn stored(stack: &Stack) -> String {
    let service = "label=com.docker.compose.service=web";
    let project = format!("label=com.docker.compose.project={}", stack.project);
    let id = docker(&["ps", "-q", "--filter", &project, "--filter", service]);
    docker(&["exec", id.trim(), "cat", "/data/id"])
}

#[test]
fn a_stack_that_compose_runs_is_left_to_compose_and_its_data_taken_over() {
    let stack = Stack::with("composed", WITH_DATA);
    compose(&stack, &["up", "-d"]);
    let before = (stack.containers(), stack.networks(), stack.volumes());
    assert_eq!(before.0.len(), 2);
    let written = stored(&stack);

    let way_out = format!("`docker compose -p {} down` in ", stack.project);
    let says = [
        &format!(
            "project {} was brought up by Docker Compose (",
            stack.project
        ),
        &*way_out,
    ];
    for command in [
        &["plan"][..],
        &["up"],
        &["down"],
        &["down", "--volumes", "--remove-orphans"],
    ] {
        let refused = stack.fails(1, command);
        refused.assert_says(&["nothing was changed"]);
        refused.assert_says(&says);
        assert!(
            !refused.text.contains("docker network rm"),
            "{}",
            refused.text
        );
    }
    stack.ok(&["ps"]).assert_says(&says);
    assert_eq!(
        (stack.containers(), stack.networks(), stack.volumes()),
        before
    );

    compose(&stack, &["down"]);
    stack
        .ok(&["plan"])
        .assert_says(&["made by Docker Compose for this project; its data is used"]);
    stack.ok(&["up"]);
    assert_eq!(stored(&stack), written);
    stack.ok(&["up"]).assert_says(&["no changes"]);
    stack
        .ok(&["down", "--volumes"])
        .assert_says(&["Docker Compose made it", "docker volume rm"]);
    assert_eq!(stack.volumes(), before.2);

    // What can't be read from a label is compared with the engine.
    stack.compose(&WITH_DATA.replace("size=1m", "size=2m"));
    stack.refuses(1, "up", &["driver_opts.o: \"size=1m\" → \"size=2m\""]);
}

#[test]
fn compose_takes_over_the_data_of_deploy() {
    let stack = Stack::with("handed", WITH_DATA);
    stack.ok(&["up"]);
    let written = stored(&stack);
    stack.ok(&["down"]);
    compose(&stack, &["up", "-d"]);
    assert_eq!(stored(&stack), written);
    compose(&stack, &["down"]);
    stack.ok(&["up"]);
    assert_eq!(stored(&stack), written);
}

#[test]
fn what_compose_ran_beside_the_services_is_no_part_of_the_stack() {
    let stack = Stack::with("oneoff", WITH_DATA);
    stack.ok(&["up"]);
    let name = stack.name("guest");
    compose(
        &stack,
        &["run", "-d", "--no-deps", "--name", &name, "other"],
    );
    stack.ok(&["plan"]).assert_says(&["no changes"]);
    let ps = stack.ok(&["ps"]);
    assert!(!ps.text.contains(&name), "{}", ps.text);
    stack.refuses(1, "down", &[&name, "docker network disconnect"]);
    assert!(is_running(&name));
}
