//! What a learner reads on the terminal.

use std::process::Command;

use super::support::{Lab, run};

#[test]
fn the_nat_rule_is_the_one_that_iptables_prints() {
    let lab = Lab::new("nat");
    let report = lab.report(&["self-check"]);
    let steps = report["lessons"][0]["steps"].as_array().unwrap();
    let evidence = steps
        .iter()
        .flat_map(|step| step["evidence"].as_array().unwrap());
    let shown: Vec<&str> = evidence
        .filter(|evidence| evidence["source"] == "the host's NAT table")
        .flat_map(|evidence| evidence["lines"].as_array().unwrap())
        .map(|line| line.as_str().unwrap())
        .collect();
    let printed = run(Command::new("iptables").args(["-t", "nat", "-S", "POSTROUTING"]));
    let [rule] = shown[..] else {
        panic!("{shown:?}");
    };
    assert!(rule.ends_with("-j MASQUERADE"), "{rule}");
    assert!(
        printed.lines().any(|line| line == rule),
        "{rule}\n{printed}"
    );
}

#[test]
fn it_says_how_to_tidy_up_and_why_a_lesson_is_skipped() {
    let lab = Lab::new("shown");
    let said = run(&mut lab.command(&["lab", "run", "none", "overlay"]));
    assert!(
        said.contains("  Tidy up what the commands made:\n     $ docker rm -f lab-alone\n"),
        "{said}"
    );
    let (_, end) = said.split_once("1 lesson passed, 1 skipped").unwrap();
    for part in [
        "overlay was skipped: it takes two machines",
        "`make lab SWARM=1`",
    ] {
        assert!(end.contains(part), "{said}");
    }
}
