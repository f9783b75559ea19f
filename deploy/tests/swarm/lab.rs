//! The lab's lesson that takes two machines, on the engine around the bed, which has their image.

use std::env;
use std::process::Command;

use serde_json::Value;
use testkit::process::outcome_of;

/// Everything that an engine has of the lab.
fn left() -> String {
    let listed = [
        &[
            "ps",
            "--all",
            "--quiet",
            "--filter",
            "label=dev.causeway.lab",
        ][..],
        &[
            "network",
            "ls",
            "--quiet",
            "--filter",
            "label=dev.causeway.lab",
        ],
        &["volume", "ls", "--quiet"],
    ];
    let around = env::var("BED_AROUND").unwrap();
    let said = listed.map(|arguments| {
        let mut docker = Command::new("docker");
        let outcome = outcome_of(docker.args(["--host", &around]).args(arguments));
        outcome.assert_code(0);
        outcome.stdout
    });
    said.concat()
}

pub(crate) fn shows_a_packet_between_two_machines() {
    let before = left();
    let mut deploy = Command::new(env!("CARGO_BIN_EXE_deploy"));
    deploy
        .args(["--json", "lab", "run", "--allow-swarm", "overlay"])
        .env("DOCKER_HOST", env::var("BED_AROUND").unwrap());
    let outcome = outcome_of(&mut deploy);
    outcome.assert_code(0);
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let lesson = &report["lessons"][0];
    assert_eq!(lesson["verdict"], "passed", "{lesson:#}");
    let steps = lesson["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 6, "{lesson:#}");
    let evidence: Vec<&str> = steps
        .iter()
        .flat_map(|step| step["evidence"].as_array().unwrap())
        .flat_map(|evidence| evidence["lines"].as_array().unwrap())
        .map(|line| line.as_str().unwrap().trim())
        .collect();
    for part in ["VXLAN 08", "\"GET / HTTP/1.0\"", "mtu 1450", "mtu 1500"] {
        assert!(
            evidence.iter().any(|it| it.contains(part)),
            "{part}: {evidence:#?}"
        );
    }
    assert_eq!(left(), before);
}
