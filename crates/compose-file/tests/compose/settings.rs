//! The settings that README.md lists reach the containers through the stack's own `compose.yaml`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use compose_file::{LoadOptions, load};

/// The repository's folder.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The rows of README's table of a prefix: each variable, and whether it is marked as set by
/// `compose.yaml` itself.
fn documented(prefix: &str) -> BTreeMap<String, bool> {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let heading = format!("| `{prefix}…` | default | |");
    let (_, table) = readme.split_once(&heading).unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|row| row.starts_with("| `"));
    let rows = rows.map(|row| {
        let cell = row.split('|').nth(1).unwrap().trim();
        let name = cell.split('`').nth(1).unwrap();
        (format!("{prefix}{name}"), cell.ends_with('∙'))
    });
    rows.collect()
}

/// What `compose.yaml` gives a service under these variables.
fn environment(service: &str, variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let options = LoadOptions {
        files: vec![root().join("compose.yaml")],
        env: variables.iter().map(own).collect(),
        ..LoadOptions::default()
    };
    let project = load(&options).unwrap_or_else(|error| panic!("{error}"));
    project.services.get(service).unwrap().environment.clone()
}

const SERVICES: [(&str, &str); 2] = [("proxy", "PROXY_"), ("api", "API_")];

#[test]
fn every_setting_of_the_tables_reaches_its_container_or_is_marked() {
    for (service, prefix) in SERVICES {
        let documented = documented(prefix);
        assert!(documented.len() > 10, "{documented:?}");
        for (name, fixed) in &documented {
            let given = environment(service, &[(name, "given")]);
            let reaches = given.get(name).is_some_and(|value| value == "given");
            assert_eq!(reaches, !fixed, "{name}");
        }
        let ours = environment(service, &[]);
        let ours: BTreeSet<&String> = ours.keys().filter(|it| it.starts_with(prefix)).collect();
        let undocumented: Vec<_> = ours
            .into_iter()
            .filter(|it| !documented.contains_key(*it))
            .collect();
        assert!(undocumented.is_empty(), "{undocumented:?}");
    }
}

#[test]
fn what_is_not_given_is_left_to_the_defaults() {
    for (service, prefix) in SERVICES {
        let ours = environment(service, &[]);
        for (name, _) in documented(prefix).iter().filter(|(_, fixed)| !**fixed) {
            assert_eq!(ours[name], "", "{name}");
        }
    }
}

#[test]
fn one_variable_raises_the_body_limit_of_proxy_and_api() {
    let both = [("CAUSEWAY_MAX_BODY", "2MiB")];
    let apart = [both[0], ("PROXY_MAX_BODY", "3MiB")];
    assert_eq!(environment("proxy", &both)["PROXY_MAX_BODY"], "2MiB");
    assert_eq!(environment("api", &both)["API_MAX_BODY"], "2MiB");
    assert_eq!(environment("proxy", &apart)["PROXY_MAX_BODY"], "3MiB");
    assert_eq!(environment("api", &apart)["API_MAX_BODY"], "2MiB");
}
