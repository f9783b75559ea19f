//! Whatever happens to a run, the engine ends up as it was.

use std::process::Command;

use serde_json::Value;

use super::support::{Lab, docker, run, things_of, wait_until};

#[test]
fn every_lesson_passes_and_nothing_is_left() {
    let lab = Lab::new("all");
    let path = lab.path().join("report.md");
    let report = lab.report(&["--report", path.to_str().unwrap()]);

    let lessons = report["lessons"].as_array().unwrap();
    assert_eq!(lessons.len(), 10);
    for lesson in lessons {
        // Takes two machines: deploy/tests/swarm/lab.rs.
        if lesson["name"] == "overlay" {
            assert_eq!(lesson["verdict"], "skipped", "{lesson:#}");
            continue;
        }
        assert_eq!(lesson["verdict"], "passed", "{lesson:#}");
        for step in lesson["steps"].as_array().unwrap() {
            assert!(!step["evidence"].as_array().unwrap().is_empty(), "{step:#}");
            assert!(!step["commands"].as_array().unwrap().is_empty(), "{step:#}");
        }
    }
    let self_check = lessons
        .iter()
        .find(|lesson| lesson["name"] == "self-check")
        .unwrap();
    assert_eq!(self_check["steps"].as_array().unwrap().len(), 11);

    let document = std::fs::read_to_string(path).unwrap();
    for lesson in lessons {
        assert!(document.contains(lesson["title"].as_str().unwrap()));
    }
    assert!(document.contains("9 lessons passed, 1 skipped"));
    assert!(!document.contains('✘'), "{document}");

    assert_eq!(things_of(report["run"].as_str().unwrap()), [""; 0]);
    assert!(!lab.image_is_there());
}

#[test]
fn a_killed_run_is_cleared_up_by_the_next() {
    let lab = Lab::new("killed");
    let mut child = lab.under_way(&["lab", "run", "user-defined-bridge", "dns", "hostname"]);
    let dead = lab.run_id();
    // SIGKILL: the process gets no chance to do anything.
    child.kill().unwrap();
    child.wait().unwrap();
    assert_ne!(
        things_of(&dead),
        [""; 0],
        "nothing was left, so nothing can be cleared up"
    );
    let keeper = format!("lab-{dead}-keeper");
    wait_until("the keeper has noticed", || {
        docker(&["inspect", "-f", "{{.State.Running}}", &keeper]) == "false"
    });

    let next = lab.command(&["lab", "run", "none"]).output().unwrap();
    assert!(next.status.success(), "{next:?}");
    let said = String::from_utf8_lossy(&next.stderr);
    assert!(
        said.contains(&format!("removed what an interrupted run ({dead}) left")),
        "{said}"
    );
    assert_eq!(things_of(&dead), [""; 0]);
    assert_eq!(lab.containers(), [""; 0]);
    assert!(
        !lab.image_is_there(),
        "the killed run brought the image along"
    );
}

#[test]
fn ctrl_c_removes_what_was_made() {
    let lab = Lab::new("interrupted");
    let child = lab.under_way(&["lab", "run", "user-defined-bridge", "dns"]);
    let id = lab.run_id();
    run(Command::new("kill").args(["-INT", &child.id().to_string()]));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("interrupted by Ctrl-C; everything that the lab made is removed"));
    assert_eq!(things_of(&id), [""; 0]);
    assert!(!lab.image_is_there());
}

#[test]
fn runs_side_by_side_leave_each_other_alone() {
    let lab = Lab::new("side by side");
    let first = lab.under_way(&["lab", "run", "--json", "user-defined-bridge"]);
    let second = lab.report(&["none"]);
    assert_eq!(second["lessons"][0]["verdict"], "passed");
    let output = first.wait_with_output().unwrap();
    let first: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(first["lessons"][0]["verdict"], "passed", "{first:#}");
    assert_ne!(first["run"], second["run"]);
    for report in [first, second] {
        assert_eq!(things_of(report["run"].as_str().unwrap()), [""; 0]);
    }
}
