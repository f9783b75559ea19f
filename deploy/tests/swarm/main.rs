//! `deploy` on a Swarm of three machines, which `scripts/swarm-bed.sh` makes: the stack from nothing to
//! nothing, with what may happen to it in between. One test: each step takes what the one before left.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step fails the test"
)]

mod bed;
mod commands;
mod images;
mod lab;
mod load;
mod rotation;
mod stack;
mod verify;

use std::time::Duration;

use bed::Bed;
use load::Load;
use serde_json::json;
use testkit::wait::wait_within;

#[test]
fn a_stack_from_nothing_to_nothing() {
    lab::shows_a_packet_between_two_machines();
    let bed = Bed::new();
    images::get_to_the_nodes(&bed);
    comes_up_on_every_node(&bed);
    let services = stack::services(&bed);
    stays_as_it_is(&bed);
    verify::is_verified_over_its_nodes(&bed);
    commands::run_where_the_tasks_are(&bed);
    commands::one_deploy_at_a_time(&bed);
    is_updated_without_loss(&bed);
    rotation::loses_no_request(&bed);
    rotation::begun_is_finished_by_the_next_up(&bed);
    takes_back_what_never_works(&bed);
    keeps_the_database_where_its_data_is(&bed);
    refuses_the_stack_for_one_machine(&bed);
    drains_a_node_without_loss(&bed);
    outlives_a_node(&bed);
    leaves_nothing(&bed);
    stack::is_the_same_by_docker(&bed, &services);
}

fn comes_up_on_every_node(bed: &Bed) {
    bed.ok(&["up"]);
    for node in bed.nodes() {
        assert!(bed.answers(node), "{node} doesn't answer");
    }
    let tasks = bed.tasks();
    for service in ["listener", "proxy"] {
        let mut nodes: Vec<&str> = tasks
            .iter()
            .filter(|it| it.0 == service)
            .map(|it| &*it.1)
            .collect();
        nodes.sort_unstable();
        assert_eq!(nodes, ["n1", "n2", "n3"], "{service}");
    }
}

fn stays_as_it_is(bed: &Bed) {
    let before = bed.versions();
    let again = bed.ok(&["up"]);
    assert!(again.contains("no changes: 6 services"), "{again}");
    assert_eq!(bed.versions(), before);
}

fn is_updated_without_loss(bed: &Bed) {
    let load = Load::start(bed.nodes(), "update");
    bed.set("RUST_LOG", "warn");
    let updated = bed.ok(&["up"]);
    assert!(updated.contains("environment.RUST_LOG"), "{updated}");
    let answered = load.end();
    assert_eq!(bed.documents("update"), answered);
}

fn takes_back_what_never_works(bed: &Bed) {
    let load = Load::start(bed.nodes(), "failure");
    bed.set("API_WRITE_TIMEOUT", "nonsense");
    let failed = bed.fails(&["up"]);
    assert!(failed.contains("went back to the one before"), "{failed}");
    assert!(
        failed.contains("API_WRITE_TIMEOUT"),
        "the log's last lines: {failed}"
    );
    let answered = load.end();
    assert_eq!(bed.documents("failure"), answered);
    bed.set("API_WRITE_TIMEOUT", "");
    let again = bed.ok(&["up"]);
    assert!(again.contains("no changes"), "{again}");
}

/// The label is what the file's constraint is about, and anybody may move it.
fn keeps_the_database_where_its_data_is(bed: &Bed) {
    let label = "causeway.mongo";
    bed.docker(&["node", "update", "--label-rm", label, "n1"]);
    bed.docker(&["node", "update", "--label-add", "causeway.mongo=1", "n2"]);
    let refused = bed.fails(&["up"]);
    assert!(
        refused.contains("leads to node n2, and its data (volume mongo-data) is on node n1"),
        "{refused}"
    );
    // The engine looks for another node meanwhile, and finds none.
    let mongo = |wanted: &str| {
        let tasks = bed.tasks();
        tasks.iter().any(|it| it.0 == "mongo" && it.1 == wanted)
    };
    wait_within(Duration::from_secs(60), "the database's end on n1", || {
        !mongo("n1")
    });
    assert!(!mongo("n2"), "the database was started without its data");
    bed.docker(&["node", "update", "--label-rm", label, "n2"]);
    bed.docker(&["node", "update", "--label-add", "causeway.mongo=1", "n1"]);
    wait_within(Duration::from_secs(90), "the database on n1", || {
        mongo("n1")
    });
    // APIs without a database were replaced meanwhile.
    wait_within(Duration::from_secs(90), "answers of every node", || {
        let tasks = bed.tasks();
        let apis = tasks.iter().filter(|it| it.0 == "api").count();
        apis == 3 && bed.nodes().iter().all(|node| bed.answers(node))
    });
}

fn refuses_the_stack_for_one_machine(bed: &Bed) {
    let refused = bed.fails_with(&["compose.yaml"], &["up"]);
    assert!(
        refused.contains("a Swarm's stack of the name causeway runs here"),
        "{refused}"
    );
}

fn drains_a_node_without_loss(bed: &Bed) {
    let listed = bed.rows(&["nodes"]);
    let facts: Vec<_> = listed
        .iter()
        .map(|it| (&it["name"], &it["role"], &it["availability"], &it["data"]))
        .collect();
    assert_eq!(
        serde_json::to_value(facts).unwrap(),
        json!([
            ["n1", "leader", "active", ["mongo-data"]],
            ["n2", "worker", "active", []],
            ["n3", "worker", "active", []],
        ])
    );
    let refused = bed.fails(&["nodes", "drain", "n1"]);
    assert!(
        refused.contains("causeway_mongo.1 can run on no other node"),
        "{refused}"
    );
    let told = bed.ok(&["nodes", "drain", "n3", "--dry-run"]);
    assert!(told.contains("causeway_proxy.n3 ends"), "{told}");
    assert!(told.contains(" moves to n1 or n2"), "{told}");

    let load = Load::start(&bed.nodes()[..2], "drain");
    bed.ok(&["nodes", "drain", "n3"]);
    let tasks = bed.tasks();
    assert!(tasks.iter().all(|it| it.1 != "n3"), "{tasks:?}");
    assert_eq!(tasks.iter().filter(|it| it.0 == "api").count(), 3);
    let answered = load.end();
    assert_eq!(bed.documents("drain"), answered);

    bed.ok(&["nodes", "activate", "n3"]);
    let node = &bed.nodes()[2];
    wait_within(Duration::from_secs(90), "answers of n3", || {
        bed.answers(node)
    });
}

fn outlives_a_node(bed: &Bed) {
    // Clients of the machine that is gone are for whoever sends clients to machines.
    let load = Load::start(&bed.nodes()[..2], "node");
    bed.kill("n3");
    wait_within(
        Duration::from_secs(90),
        "three APIs on what is left",
        || {
            let tasks = bed.tasks();
            let apis: Vec<_> = tasks.iter().filter(|it| it.0 == "api").collect();
            apis.len() == 3 && apis.iter().all(|it| it.1 != "n3")
        },
    );
    let answered = load.end();
    assert_eq!(bed.documents("node"), answered);
}

fn leaves_nothing(bed: &Bed) {
    bed.ok(&["down", "--volumes"]);
    for list in [
        &["service", "ls", "--quiet"][..],
        &["secret", "ls", "--quiet"],
        &["config", "ls", "--quiet"],
        &["volume", "ls", "--quiet"],
        &["ps", "--all", "--quiet"],
        &[
            "network",
            "ls",
            "--quiet",
            "--filter",
            "label=com.docker.stack.namespace=causeway",
        ],
    ] {
        // The engine removes the containers of tasks a moment after they ended.
        wait_within(
            Duration::from_secs(30),
            &format!("an empty {list:?}"),
            || bed.docker(list).is_empty(),
        );
    }
}
