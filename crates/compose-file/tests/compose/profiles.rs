//! Which services are enabled, here and with Docker Compose 2.

use compose_file::model::ServiceName;
use serde_json::{Value, json};

use crate::beside_compose::by_compose;
use crate::support::Fixture;

const FILE: &str = r#"
services:
  always: {image: i}
  one: {image: i, profiles: [one], networks: [n], volumes: ["data:/data"], secrets: [s], env_file: gone}
  two: {image: i, profiles: [two, both], depends_on: [always]}
networks: {n: }
volumes: {data: }
secrets: {s: {file: s}}
"#;

/// The names of what is enabled, of the services and of what only they use.
fn enabled(project: &Value) -> Vec<&str> {
    let sections = ["services", "networks", "volumes", "secrets"];
    let sections = sections.iter().filter_map(|it| project[it].as_object());
    let mut names: Vec<&str> = sections.flatten().map(|(name, _)| name.as_str()).collect();
    names.retain(|name| *name != "default");
    names.sort_unstable();
    names
}

#[test]
fn services_of_enabled_profiles() {
    let two = ["always", "two"].as_slice();
    let all = ["always", "data", "n", "one", "s", "two"].as_slice();
    for (variable, profiles, expected) in [
        (None, [].as_slice(), ["always"].as_slice()),
        (None, &["two"], two),
        (None, &["both"], two),
        (None, &["one", "both"], all),
        (None, &["one,both"], &["always"]),
        (None, &["*"], all),
        (None, &["none"], &["always"]),
        (Some("two"), &[], two),
        (Some(" none, both "), &[], two),
        (Some("one,two"), &[], all),
        (Some("*"), &[], all),
        (Some(""), &[], &["always"]),
        (Some("one"), &["two"], two),
    ] {
        let mut fixture = Fixture::new(FILE).file(".env", "COMPOSE_PROFILES=one\n");
        // What is set outside goes before `.env`, also if it is empty.
        fixture = fixture.env("COMPOSE_PROFILES", variable.unwrap_or_default());
        fixture.options.profiles = profiles.iter().map(|&it| it.to_owned()).collect();
        if expected.contains(&"one") {
            fixture = fixture.file("gone", "");
        }
        let both = [("here", fixture.json()), ("Compose", by_compose(&fixture))];
        for (whose, project) in both {
            let case = format!("{whose}: {variable:?}, {profiles:?}");
            assert_eq!(enabled(&project), expected, "{case}");
            let of_two = &project["services"]["two"]["profiles"];
            if expected.contains(&"two") {
                assert_eq!(of_two, &json!(["two", "both"]), "{case}");
            }
        }
    }
}

#[test]
fn dot_env_names_profiles() {
    let fixture = Fixture::new(FILE).file(".env", "COMPOSE_PROFILES=two\n");
    for project in [fixture.json(), by_compose(&fixture)] {
        assert_eq!(enabled(&project), ["always", "two"]);
    }
}

#[test]
fn files_add_profiles_each_once() {
    let fixture = |second: &str| {
        let mut fixture =
            Fixture::new(FILE).over("second.yaml", &format!("services: {{two: {second}}}"));
        fixture.options.profiles = vec!["three".to_owned()];
        fixture
    };
    for (second, expected) in [
        ("{profiles: [both, three]}", json!(["two", "both", "three"])),
        ("{profiles: !override [three]}", json!(["three"])),
        ("{profiles: !reset []}", Value::Null),
    ] {
        let fixture = fixture(second);
        for project in [fixture.json(), by_compose(&fixture)] {
            let two = &project["services"]["two"];
            assert_eq!(two["image"], "i", "{second}");
            assert_eq!(two["profiles"], expected, "{second}");
        }
    }
}

/// The problems of the file with these services, `off` being one of a profile.
fn problems(services: &str) -> Vec<String> {
    let file = format!("services:\n  off: {{image: i, profiles: [p, q]}}\n{services}");
    let problems = Fixture::new(file).problems();
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn what_needs_a_service_that_is_not_enabled_is_refused() {
    let why = "the service off isn't enabled: it is of the profile p, q; enable it (`--profile p`)";
    assert_eq!(
        problems("  a: {image: i, depends_on: [off]}\n"),
        [format!(
            "3:30: services.a.depends_on.off: {why}, or have a do without it (`required: false`)"
        )]
    );
    assert_eq!(
        problems("  a: {image: i, network_mode: 'service:off'}\n"),
        [format!("3:17: services.a.network_mode: {why}")]
    );
    let verify = "  a: {image: i}\nx-verify: {no_way_out: [off], \
                  entry_points: {off: {port: 1, request: /}, a: {request: /, accepted_by: off}}}\n";
    let found = problems(verify);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("x-verify.entry_points.a.accepted_by: the service off isn't enabled")
    );
}

#[test]
fn an_optional_dependency_need_not_be_enabled() {
    let file = "services:\n  off: {image: i, profiles: [p]}\n  a:\n    image: i\n    depends_on: \
                {off: {condition: service_healthy, required: false}}\n";
    let mut fixture = Fixture::new(file);
    assert_eq!(fixture.json()["services"]["a"]["depends_on"], Value::Null);
    fixture.options.profiles = vec!["p".to_owned()];
    let required = "/services/a/depends_on/off/required";
    for project in [fixture.json(), by_compose(&fixture)] {
        assert_eq!(project.pointer(required), Some(&json!(false)));
    }
}

/// Half of what is wrong with a service shows only when it is enabled. Docker Compose is as patient.
#[test]
fn what_is_not_enabled_is_read_and_need_not_fit() {
    let file = "services:\n  a: {image: i, ports: ['1:1']}\n  \
                off: {image: i, profiles: [p], ports: ['1:1'], networks: [nowhere], env_file: gone}\n";
    let mut fixture = Fixture::new(file);
    assert_eq!(enabled(&fixture.json()), ["a"]);
    assert_eq!(enabled(&by_compose(&fixture)), ["a"]);
    fixture.options.profiles = vec!["p".to_owned()];
    assert_eq!(fixture.problems().len(), 3);

    for (keys, problem) in [
        ("imagge: x", "the key imagge isn't supported"),
        (
            "command: '${X:?is needed}'",
            "the variable X is required: is needed",
        ),
        ("profiles: p", "expected a list"),
    ] {
        let file =
            format!("services: {{a: {{image: i}}, off: {{image: i, profiles: [p], {keys}}}}}");
        let file = if keys.starts_with("profiles") {
            file.replace("profiles: [p], ", "")
        } else {
            file
        };
        let problems = Fixture::new(file).problems();
        assert!(problems[0].message.contains(problem), "{problems:?}");
    }
}

#[test]
fn a_service_that_is_named_is_enabled_with_what_it_needs_of_its_profiles() {
    let file = "services:\n  always: {image: i}\n  tool: {image: i, profiles: [t], depends_on: [always, db]}\n  \
                db: {image: i, profiles: [t], depends_on: [disk]}\n  disk: {image: i, profiles: [t, u]}\n  \
                other: {image: i, profiles: [t]}\n  lone: {image: i, profiles: [l], depends_on: [db]}\n";
    let mut fixture = Fixture::new(file);
    fixture.options.targets = vec!["tool".to_owned(), "nobody".to_owned()];
    let project = fixture.load().unwrap();
    let names: Vec<&str> = project.services.keys().map(ServiceName::as_str).collect();
    assert_eq!(names, ["always", "tool", "db", "disk"]);
    let names: Vec<&str> = project
        .disabled
        .services
        .keys()
        .map(ServiceName::as_str)
        .collect();
    assert_eq!(names, ["other", "lone"]);
    fixture.options.targets = vec!["lone".to_owned()];
    let problems = fixture.problems();
    assert!(
        problems[0].message.contains("the service db isn't enabled"),
        "{problems:?}"
    );
}

#[test]
fn what_is_not_enabled_can_be_taken_in_again() {
    let fixture = Fixture::new(FILE);
    let project = fixture.load().unwrap();
    assert_eq!(project.disabled.secrets.len(), 1);
    // Whatever its profile, no image gets it.
    assert!(project.environment_files.contains(&fixture.path("gone")));
    let all = project.clone().with_disabled(|_| true);
    assert_eq!(all.services.len(), 3);
    assert_eq!((all.networks.len(), all.volumes.len()), (2, 1));
    let none = project.clone().with_disabled(|_| false);
    assert_eq!(none, project);
}
