//! What belongs to others is left alone, and said to be theirs.

use std::net::TcpListener;

use crate::stack::{IMAGE, Stack, docker, foreign_container, foreign_label, local_port};

const SERVICES: &str = "
services:
  web:
    <<: *app
    command: [httpd, -f, -p, '80']
    networks: [front]
    volumes: ['data:/data']
    ports: ['127.0.0.1:PORT:80']
networks:
  front: {name: PROJECT-front}
volumes:
  data: {name: PROJECT-data}
";

fn stack(test: &str, port: u16) -> Stack {
    Stack::with(test, &SERVICES.replace("PORT", &port.to_string()))
}

/// The failed `up` made nothing.
fn assert_untouched(stack: &Stack) {
    assert!(stack.containers().is_empty(), "{:?}", stack.containers());
    assert!(stack.networks().is_empty(), "{:?}", stack.networks());
    assert!(stack.volumes().is_empty(), "{:?}", stack.volumes());
}

#[test]
fn names_that_are_taken_are_all_told_with_their_owners() {
    let stack = stack("taken", local_port());
    let label = foreign_label(&stack);
    let (network, volume, container) = (
        format!("{}-front", stack.project),
        format!("{}-data", stack.project),
        stack.name("web-1"),
    );
    docker(&["network", "create", "--label", &label, &network]);
    docker(&[
        "volume",
        "create",
        "--label",
        &label,
        "--label",
        "dev.causeway.project=neighbour",
        &volume,
    ]);
    docker(&[
        "create",
        "--name",
        &container,
        "--label",
        &label,
        "--label",
        "com.docker.stack.namespace=theirs",
        IMAGE,
        "true",
    ]);
    let network_id = docker(&["network", "inspect", "-f", "{{.Id}}", &network]);

    stack.fails(1, &["up"]).assert_says(&[
        "nothing was changed",
        &format!("network {network} exists and is not this project's"),
        &format!("volume {volume} exists and is not this project's; owner: deploy project \"neighbour\""),
        &format!("container name {container} is taken by somebody else's container; owner: Docker stack \"theirs\""),
    ]);
    assert_untouched(&stack);
    assert_eq!(
        docker(&["network", "inspect", "-f", "{{.Id}}", &network]),
        network_id
    );

    // Nor does `down` touch them.
    stack.ok(&["down", "--volumes"]);
    docker(&["inspect", &container]);
    docker(&["volume", "inspect", &volume]);
    assert_eq!(
        docker(&["network", "inspect", "-f", "{{.Id}}", &network]),
        network_id
    );
}

#[test]
fn a_port_held_by_a_process_stops_up_before_anything_is_made() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    let stack = stack("port", port);
    stack.fails(1, &["up"]).assert_says(&[&format!(
        "port {port}/tcp (service web) is in use by a process"
    )]);
    assert_untouched(&stack);
    drop(held);
    stack.ok(&["up"]);
}

#[test]
fn a_port_held_by_a_container_names_it() {
    let port = local_port();
    let stack = stack("held", port);
    let holder = format!("{}-holder", stack.project);
    foreign_container(
        &stack,
        &holder,
        IMAGE,
        &["-p", &format!("127.0.0.1:{port}:80")],
    );
    stack.refuses(1, "up", &[&format!("is published by container {holder}")]);
    assert_untouched(&stack);
}

#[test]
fn a_port_of_one_family_leaves_that_of_the_other_free() {
    let port = local_port();
    let stack = Stack::with(
        "families",
        &format!("services:\n  web: {{<<: *app, ports: ['[::]:{port}:80']}}\n"),
    );
    let holder = format!("{}-holder", stack.project);
    foreign_container(
        &stack,
        &holder,
        IMAGE,
        &["-p", &format!("0.0.0.0:{port}:80")],
    );
    stack.ok(&["up"]);
    stack.compose(&format!(
        "services:\n  web: {{<<: *app, ports: ['0.0.0.0:{port}:80']}}\n"
    ));
    stack.ok(&["down"]);
    stack.refuses(1, "up", &[&format!("is published by container {holder}")]);
}

#[test]
fn a_guest_on_our_network_is_not_cut_off() {
    let stack = stack("guest", local_port());
    stack.ok(&["up"]);
    let network = format!("{}-front", stack.project);
    let guest = format!("{}-guest", stack.project);
    foreign_container(&stack, &guest, IMAGE, &["--network", &network]);
    stack.refuses(1, "down", &[&guest, "network disconnect"]);
    assert_eq!(
        docker(&["inspect", "-f", "{{.State.Running}}", &guest]).trim(),
        "true"
    );
    docker(&["network", "disconnect", &network, &guest]);
    stack.ok(&["down"]);
    assert!(stack.networks().is_empty());
}

#[test]
fn two_projects_of_one_directory_live_side_by_side() {
    let stack = Stack::with("mine", "services:\n  web:\n    <<: *app\n");
    let other = Stack::with("theirs", "services:\n  other:\n    <<: *app\n");
    stack.ok(&["up"]);
    other.ok(&["up"]);
    let before = stack.containers();
    other.ok(&["down", "--volumes"]);
    assert_eq!(stack.containers(), before);
    stack.ok(&["up"]).assert_says(&["no changes"]);
}
