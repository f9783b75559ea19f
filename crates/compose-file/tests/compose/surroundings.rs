//! What comes from outside the file: variables, `.env`, `env_file`, the project's name.

use serde_json::json;

use crate::support::{Fixture, service};

#[test]
fn the_process_wins_over_dot_env() {
    let fixture = service("hostname: ${A}-${B}-${C:-default}")
        .file(".env", "A=dot\nB=dot\n")
        .env("B", "process");
    assert_eq!(
        fixture.json()["services"]["s"]["hostname"],
        "dot-process-default"
    );
}

#[test]
fn a_variable_cant_change_the_structure() {
    let value = "x\n    privileged: true # {[";
    let fixture = service("hostname: $V").env("V", value);
    assert_eq!(fixture.json()["services"]["s"]["hostname"], value);
}

#[test]
fn types_are_read_after_interpolation() {
    let fixture = service("init: $T\ndeploy: {replicas: \"${N:-2}\"}\nstop_grace_period: ${D:-5s}")
        .env("T", "true");
    let json = fixture.json();
    assert_eq!(json["services"]["s"]["init"], true);
    assert_eq!(json["services"]["s"]["deploy"]["replicas"], 2);

    let problems = service("deploy: {replicas: $N}")
        .env("N", "many")
        .problems();
    assert_eq!(
        problems[0].to_string(),
        "4:24: services.s.deploy.replicas: expected a whole number from 0 to 1000, found \"many\""
    );
}

#[test]
fn an_unset_variable_warns_once() {
    let project = service("hostname: a$GONE\nuser: b${GONE}").load().unwrap();
    let warnings: Vec<String> = project.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["4:15: services.s.hostname: the variable GONE is not set and counts as empty"]
    );
}

#[test]
fn a_required_variable_is_named() {
    let problems = service("hostname: ${GONE:?say who you are}").problems();
    assert_eq!(
        problems[0].to_string(),
        "4:15: services.s.hostname: the variable GONE is required: say who you are"
    );
}

#[test]
fn unused_extensions_require_nothing() {
    let fixture = service("---\nx-unused: ${GONE:?never asked for}\n");
    assert_eq!(fixture.load().unwrap().warnings, []);
}

#[test]
fn environment_without_a_value_is_passed_on() {
    let fixture = service("environment: [SET, FROM_DOT, GONE]")
        .file(".env", "FROM_DOT=dot\n")
        .env("SET", "from outside");
    let project = fixture.load().unwrap();
    let environment = serde_json::to_value(&project.services["s"].environment).unwrap();
    assert_eq!(
        environment,
        json!({"SET": "from outside", "FROM_DOT": "dot"})
    );
    assert_eq!(project.warnings.len(), 1);
    assert!(project.warnings[0].message.starts_with("GONE has no value"));
}

#[test]
fn env_files_merge_in_order_under_environment() {
    let keys = "
env_file: [one.env, {path: two.env}, {path: gone.env, required: false}]
environment: {C: inline}
";
    let fixture = service(keys)
        .file("one.env", "A=1\nB=1\nC=1\n")
        .file("two.env", "B=2 # later\nD='$literal'\nE=${OUTER}\n")
        .env("OUTER", "outer");
    let expected = json!({"A": "1", "B": "2", "C": "inline", "D": "$literal", "E": "outer"});
    assert_eq!(fixture.json()["services"]["s"]["environment"], expected);
}

#[test]
fn problems_of_env_files_name_file_and_line_but_no_value() {
    let fixture = service("env_file: [gone.env, bad.env]").file("bad.env", "A=1\nB='secret\n");
    let text = fixture.load().unwrap_err().to_string();
    assert!(text.contains("gone.env: No such file"), "{text}");
    assert!(text.contains("bad.env:2: the quote isn't closed"), "{text}");
    assert!(!text.contains("secret"), "{text}");

    let text = service("")
        .file(".env", "A=1\noops secret\n")
        .load()
        .unwrap_err()
        .to_string();
    assert!(text.contains(".env:2: expected NAME=value"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

/// Where passwords are passed in variables, problems beside them don't show them.
#[test]
fn problems_show_no_secrets_from_variables() {
    let keys = [
        "command: \"run --password $PASSWORD 'open\"",
        "environment: PASSWORD=$PASSWORD",
        "environment: [\"=$PASSWORD\"]",
        "healthcheck: {test: [probe, $PASSWORD]}",
    ];
    for keys in keys {
        let fixture = service(keys).env("PASSWORD", "secret");
        let text = fixture.load().unwrap_err().to_string();
        assert!(!text.contains("secret"), "{text}");
    }
}

#[test]
fn the_projects_name_is_found_as_compose_finds_it() {
    let name = |fixture: Fixture| fixture.load().unwrap().name.to_string();
    let in_directory = |directory: &str| {
        let mut fixture = service("");
        fixture.options.files = vec![fixture.path(directory).join("compose.yaml")];
        let (from, to) = (fixture.path("compose.yaml"), &fixture.options.files[0]);
        std::fs::create_dir(to.parent().unwrap()).unwrap();
        std::fs::copy(from, to).unwrap();
        fixture
    };
    assert_eq!(name(in_directory("blog")), "blog");
    assert_eq!(name(in_directory("_-My Shop.2 (Köln)")), "myshop2kln");
    let nameless = in_directory("...-").problems();
    let message = &nameless[0].message;
    assert!(
        message.contains("set `name:`, COMPOSE_PROJECT_NAME or --project"),
        "{message}"
    );
    assert_eq!(name(service("---\nname: top-${X:-level}\n")), "top-level");
    let with_env = || service("---\nname: top\n").file(".env", "COMPOSE_PROJECT_NAME=variable\n");
    assert_eq!(name(with_env()), "variable");
    let in_process = |value: &str| with_env().env("COMPOSE_PROJECT_NAME", value);
    assert_eq!(name(in_process("process")), "process");
    assert_eq!(name(in_process("")), "top", "empty counts as not set");
    let mut given = with_env();
    given.options.project_name = Some("given".to_owned());
    assert_eq!(name(given), "given");

    let mut bad = service("");
    bad.options.project_name = Some("Bad Name".to_owned());
    assert!(
        bad.problems()[0]
            .message
            .contains("\"Bad Name\" from --project")
    );
}

#[test]
fn the_projects_name_is_a_variable() {
    let fixture = service("hostname: $COMPOSE_PROJECT_NAME\n---\nname: shop\n");
    assert_eq!(fixture.json()["services"]["s"]["hostname"], "shop");
}

#[test]
fn the_home_directory_is_known() {
    let fixture = service("volumes: [~/data:/data]").env("HOME", "/home/me");
    assert_eq!(
        fixture.json()["services"]["s"]["volumes"][0]["source"],
        "/home/me/data"
    );
}

#[test]
fn a_missing_file_is_told() {
    let mut fixture = service("");
    fixture.options.files = vec![fixture.path("nowhere.yaml")];
    let text = fixture.load().unwrap_err().to_string();
    assert!(text.contains("nowhere.yaml: No such file"), "{text}");
}
