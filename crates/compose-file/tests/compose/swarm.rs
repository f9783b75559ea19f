//! Files for a Swarm: what is read in them only, and what can't be.

use serde_json::json;

use crate::support::{Fixture, service};

/// A file for a Swarm whose service `s` has these further keys.
fn on_swarm(keys: &str) -> Fixture {
    service(&format!(
        "networks: [n]\n{keys}\n---\nnetworks:\n  n: {{driver: overlay}}\nvolumes:\n  data:\n"
    ))
}

#[test]
fn what_a_swarm_needs_is_read() {
    let file = on_swarm(
        "ports: [{target: 80, published: '8080', mode: host}]\n\
         deploy:\n  mode: global\n  endpoint_mode: dnsrr\n  labels: {a: b}\n  \
         placement: {constraints: [node.role==worker], preferences: [{spread: node.labels.zone}], max_replicas_per_node: 2}\n  \
         update_config: {max_failure_ratio: 0.25}\n  rollback_config: {parallelism: 0, order: start-first}\n  \
         restart_policy: {condition: on-failure, delay: 3s, max_attempts: 4, window: 2m}\n  \
         resources: {reservations: {cpus: '0.5'}}",
    );
    let deploy = &file.json()["services"]["s"]["deploy"];
    assert_eq!(deploy["mode"], "global");
    assert!(deploy.get("replicas").is_none(), "{deploy}");
    assert_eq!(
        deploy["placement"]["constraints"],
        json!(["node.role == worker"])
    );
    assert_eq!(deploy["placement"]["max_replicas_per_node"], 2);
    assert_eq!(deploy["update_config"]["max_failure_ratio"], 0.25);
    assert_eq!(deploy["rollback_config"]["order"], "start-first");
    // From there, there is no way further back.
    assert_eq!(deploy["rollback_config"]["failure_action"], "pause");
    let restart =
        json!({"condition": "on-failure", "delay": "3s", "max_attempts": 4, "window": "2m"});
    assert_eq!(deploy["restart_policy"], restart);
    assert_eq!(deploy["resources"]["reservations"]["cpus"], "0.5");
    assert_eq!(file.json()["services"]["s"]["ports"][0]["mode"], "host");
}

#[test]
fn configs_are_files_or_texts() {
    let file = Fixture::new(
        "services:\n  s:\n    image: i\n    networks: [n]\n    configs: [a, {source: b, target: /etc/b, mode: 0400}]\n\
         networks: {n: {driver: overlay}}\nconfigs:\n  a: {file: ./a.conf}\n  b: {content: \"x\\n\"}\n",
    );
    let json = file.json();
    assert_eq!(json["configs"]["a"]["file"], json!(file.path("a.conf")));
    assert_eq!(json["configs"]["b"]["content"], "x\n");
    assert_eq!(json["services"]["s"]["configs"][0]["target"], "/a");
    assert_eq!(json["services"]["s"]["configs"][1]["mode"], "0400");
}

#[test]
fn what_is_written_out_is_read_as_the_same() {
    let file = on_swarm("deploy: {endpoint_mode: dnsrr, placement: {constraints: [node.id != x]}}");
    let project = file.load().unwrap();
    let again = Fixture::new(project.to_yaml().unwrap()).load().unwrap();
    assert_eq!(again.services, project.services);
    assert!(again.is_for_swarm());
}

/// The reason why a Swarm's stack isn't just started on it.
#[test]
fn data_that_could_be_left_behind_is_refused() {
    let problems = |keys: &str| -> Vec<String> {
        on_swarm(keys)
            .problems()
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    let unpinned = problems("volumes: ['data:/data']");
    assert_eq!(unpinned.len(), 1, "{unpinned:?}");
    assert!(
        unpinned[0].contains("could be started on another one, without its data"),
        "{unpinned:?}"
    );
    let role = problems(
        "volumes: ['data:/data']\ndeploy: {placement: {constraints: [node.role == manager]}}",
    );
    assert!(
        role[0].contains("could be started on another one"),
        "{role:?}"
    );
    let several = problems(
        "volumes: ['data:/data']\ndeploy: {replicas: 2, placement: {constraints: [node.labels.a == 1]}}",
    );
    assert!(
        several[0].contains("2 tasks on one node would write to it"),
        "{several:?}"
    );
    for fine in [
        "volumes: ['data:/data']\ndeploy: {placement: {constraints: [node.labels.a == 1]}}",
        "volumes: ['data:/data']\ndeploy: {mode: global}",
        "volumes: ['data:/data:ro', '/anonymous']",
    ] {
        on_swarm(fine).load().unwrap();
    }
}

#[test]
fn what_a_swarm_does_not_carry_out_is_refused() {
    for (keys, said) in [
        (
            "container_name: me",
            "a Swarm doesn't carry container_name out",
        ),
        ("cpu_shares: 512", "a Swarm doesn't carry cpu_shares out"),
        (
            "security_opt: ['seccomp=unconfined']",
            "only no-new-privileges",
        ),
        ("tmpfs: ['/t:noexec']", "only size and mode"),
        ("restart: on-failure", "use deploy.restart_policy"),
        ("ports: ['127.0.0.1:80:80']", "publishes on every address"),
        (
            "ports: ['80:80']\ndeploy: {endpoint_mode: dnsrr}",
            "published with mode: host",
        ),
        (
            "deploy: {rollback_config: {failure_action: rollback}}",
            "expected continue or pause",
        ),
        ("deploy: {mode: sometimes}", "expected replicated or global"),
        (
            "deploy: {placement: {constraints: [db]}}",
            "expected node.labels.NAME",
        ),
        ("configs: [c]", "the config c isn't defined"),
    ] {
        let problems = on_swarm(keys).problems();
        assert!(
            problems.iter().any(|it| it.to_string().contains(said)),
            "{keys}: {problems:?}"
        );
    }
    let bridge = Fixture::new(
        "services: {s: {image: i, networks: [n, b]}}\nnetworks: {n: {driver: overlay}, b: {}}\n",
    );
    let problems = bridge.problems();
    assert!(
        problems[0].to_string().contains("overlay networks only"),
        "{problems:?}"
    );
}

#[test]
fn a_file_for_one_machine_takes_none_of_it() {
    for (keys, said) in [
        ("deploy: {mode: global}", "expected replicated"),
        ("deploy: {endpoint_mode: dnsrr}", "it needs Swarm"),
        ("deploy: {placement: {}}", "it needs Swarm"),
        ("configs: [c]", "the key configs isn't supported"),
    ] {
        let problems = service(keys).problems();
        assert!(
            problems.iter().any(|it| it.to_string().contains(said)),
            "{keys}: {problems:?}"
        );
    }
}

#[test]
fn how_images_get_to_the_nodes_is_read() {
    let with = |swarm: &str| {
        Fixture::new(format!(
            "services: {{s: {{image: i, build: ., networks: [n]}}}}\nnetworks: {{n: {{driver: overlay}}}}\nx-swarm: {swarm}\n"
        ))
    };
    let set = with("{registry: 'registry.example:5000/team', ssh: '${WAY}'}");
    assert_eq!(
        set.env("WAY", "root@{address}").json()["x-swarm"],
        json!({"registry": "registry.example:5000/team", "ssh": "root@{address}"})
    );
    let unset = with("{registry: '${NONE:-}', ssh: '${NONE:-}'}");
    assert_eq!(unset.load().unwrap().swarm, None);
    for (swarm, said) in [
        ("{registry: team}", "expected HOST[:PORT][/PREFIX]"),
        (
            "{registry: 'https://a.example'}",
            "expected HOST[:PORT][/PREFIX]",
        ),
        (
            "{registry: 'a.example/Team'}",
            "expected HOST[:PORT][/PREFIX]",
        ),
        ("{ssh: root@10.0.0.2}", "with {address} or {name}"),
        (
            "{ssh: '-oProxyCommand=x {name}'}",
            "with {address} or {name}",
        ),
        ("{nodes: []}", "the key nodes isn't supported"),
    ] {
        let problems = with(swarm).problems();
        assert!(problems[0].message.contains(said), "{swarm}: {problems:?}");
    }
}
