//! Docker Compose 2 takes the product's file, and understands of it what we do.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use compose_file::{LoadOptions, load};
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The binary that `COMPOSE2` names, or else what scripts/compose2.sh finds.
pub(crate) fn binary() -> &'static Path {
    static FOUND: LazyLock<PathBuf> = LazyLock::new(|| {
        let found = Command::new(root().join("scripts/compose2.sh"))
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&found.stderr);
        assert!(found.status.success(), "{errors}");
        String::from_utf8(found.stdout).unwrap().trim().into()
    });
    &FOUND
}

#[test]
fn docker_compose_takes_our_file_and_sees_the_same_services() {
    let file = root().join("compose.yaml");
    let output = Command::new(binary())
        .env_clear()
        .args(["--env-file", "/dev/null", "--file"])
        .arg(&file)
        .args(["config", "--format", "json"])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let theirs: Value = serde_json::from_slice(&output.stdout).unwrap();

    let options = LoadOptions {
        files: vec![file],
        ..LoadOptions::default()
    };
    let ours = serde_json::to_value(load(&options).unwrap()).unwrap();
    let services = ours["services"].as_object().unwrap();
    assert_eq!(
        theirs["services"].as_object().unwrap().len(),
        services.len()
    );
    for (name, ours) in services {
        let theirs = &theirs["services"][name];
        for same in ["cap_drop", "security_opt", "read_only", "user", "restart"] {
            assert_eq!(ours[same], theirs[same], "{name}: {same}");
        }
        let limits = "/deploy/resources/limits";
        assert_eq!(ours.pointer(limits), theirs.pointer(limits), "{name}");
    }
}
