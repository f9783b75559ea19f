//! `docker stack deploy` of what `deploy config --stack` prints makes the same services.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use testkit::wait::wait_within;

use crate::bed::Bed;

/// Of each service, what it is made from.
pub(crate) type Services = BTreeMap<String, Value>;

/// Those that are there.
pub(crate) fn services(bed: &Bed) -> Services {
    let names = bed.docker(&["service", "ls", "--format", "{{.Name}}"]);
    let mut services = Services::new();
    for name in names.lines() {
        let spec = bed.docker(&["service", "inspect", "--format", "{{json .Spec}}", name]);
        let mut spec = serde_json::from_str(&spec).unwrap();
        leave_out(&mut spec);
        services.insert(name.to_owned(), spec);
    }
    services
}

/// What differs by the way that it is made (docs/swarm.md): labels, the names of secrets and configs, the
/// ids of networks, and what `deploy` alone sees to.
fn leave_out(spec: &mut Value) {
    let ours = |key: &str| key.starts_with("dev.causeway.") || key == "com.docker.stack.image";
    for labels in ["/Labels", "/TaskTemplate/ContainerSpec/Labels"] {
        if let Some(Value::Object(labels)) = spec.pointer_mut(labels) {
            labels.retain(|key, _| !ours(key));
        }
    }
    let container = &mut spec["TaskTemplate"]["ContainerSpec"];
    let mounts = container["Mounts"].as_array_mut();
    // The engine's own where none is said, as is the driver below.
    for options in mounts
        .into_iter()
        .flatten()
        .filter_map(|it| it.get_mut("TmpfsOptions"))
    {
        let options = options.as_object_mut().unwrap();
        options.retain(|key, value| key != "Mode" || *value != 0o1777);
    }
    let mounts = container["Mounts"].as_array_mut();
    for options in mounts
        .into_iter()
        .flatten()
        .filter_map(|it| it.get_mut("VolumeOptions"))
    {
        if let Some(labels) = options["Labels"].as_object_mut() {
            labels.retain(|key, _| !ours(key));
        }
        if let Some(driver) = options["DriverConfig"].as_object_mut() {
            driver.retain(|key, value| key != "Name" || value != "local");
        }
    }
    container.as_object_mut().unwrap().remove("Privileges");
    for (kind, id, name) in [
        ("Secrets", "SecretID", "SecretName"),
        ("Configs", "ConfigID", "ConfigName"),
    ] {
        let seen = container[kind].as_array_mut().into_iter().flatten();
        for it in seen {
            it.as_object_mut()
                .unwrap()
                .retain(|key, _| key != id && key != name);
        }
        sort(&mut container[kind]);
    }
    sort(&mut container["Env"]);
    let networks = spec["TaskTemplate"]["Networks"].as_array_mut();
    for network in networks.into_iter().flatten() {
        network.as_object_mut().unwrap().remove("Target");
        sort(&mut network["Aliases"]);
        let aliases = network["Aliases"].as_array_mut();
        aliases.into_iter().for_each(Vec::dedup);
    }
    sort(&mut spec["TaskTemplate"]["Networks"]);
    let constraints = &mut spec["TaskTemplate"]["Placement"]["Constraints"];
    if let Some(constraints) = constraints.as_array_mut() {
        constraints.retain(|it| !it.as_str().unwrap().starts_with("node.id"));
    }
    without_nothing(spec);
}

fn sort(list: &mut Value) {
    if let Some(list) = list.as_array_mut() {
        list.sort_by_key(ToString::to_string);
    }
}

/// Nothing said and said to be nothing are the same.
fn without_nothing(value: &mut Value) {
    let is_nothing = |it: &Value| match it {
        Value::Null => true,
        Value::Object(of) => of.is_empty(),
        Value::Array(of) => of.is_empty(),
        Value::Bool(it) => !it,
        Value::Number(it) => it.as_u64() == Some(0),
        Value::String(it) => it.is_empty(),
    };
    match value {
        Value::Object(of) => {
            of.values_mut().for_each(without_nothing);
            of.retain(|key, it| !is_nothing(it) || key == "Global");
        }
        Value::Array(of) => of.iter_mut().for_each(without_nothing),
        _ => {}
    }
}

/// On a Swarm without it; `ours` are the services as `deploy` made them.
pub(crate) fn is_the_same_by_docker(bed: &Bed, ours: &Services) {
    bed.set("RUST_LOG", "info");
    let stack = bed.printed(&["config", "--stack"]);
    let mut docker = Command::new("docker")
        .args(["stack", "deploy", "--compose-file", "-", "causeway"])
        .current_dir(bed.path())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = docker.stdin.take().unwrap();
    input.write_all(stack.as_bytes()).unwrap();
    drop(input);
    assert!(docker.wait().unwrap().success());
    let theirs = services(bed);
    bed.docker(&["stack", "rm", "causeway"]);
    assert!(ours.keys().eq(theirs.keys()), "{:?}", theirs.keys());
    for (name, ours) in ours {
        assert_eq!(*ours, theirs[name], "{name}");
    }
    wait_within(Duration::from_secs(60), "an empty Swarm", || {
        bed.docker(&[
            "network",
            "ls",
            "--quiet",
            "--filter",
            "label=com.docker.stack.namespace=causeway",
        ])
        .is_empty()
    });
}
