//! The network's documentation says what the product's `compose.yaml` says.

use std::path::Path;

use compose_file::{LoadOptions, Project};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn project() -> Project {
    let mut options = LoadOptions::from_process([repository().join("compose.yaml")]);
    // The documents show the defaults.
    options.env.retain(|name, _| !name.starts_with("CAUSEWAY_"));
    compose_file::load(&options).unwrap()
}

/// What a reader of either must find: networks, services with their aliases and ports.
fn facts(project: &Project) -> Vec<String> {
    let mut facts: Vec<String> = project
        .networks
        .values()
        .map(|it| it.name.clone())
        .collect();
    for (name, service) in &project.services {
        facts.push(name.to_string());
        facts.extend(service.networks.values().flat_map(|it| it.aliases.clone()));
        facts.extend(
            service
                .ports
                .iter()
                .filter_map(|it| Some(it.published?.to_string())),
        );
    }
    facts
}

#[test]
fn the_story_of_a_packet_names_what_the_file_names() {
    let text = std::fs::read_to_string(repository().join("docs/networking.md")).unwrap();
    let project = project();
    for fact in facts(&project) {
        assert!(
            text.contains(&fact),
            "docs/networking.md doesn't mention {fact}"
        );
    }
    // One row for each service: the networks it is on, and no other.
    for (name, service) in &project.services {
        let row = text
            .lines()
            .find(|line| line.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("no row for {name}"));
        for (key, network) in &project.networks {
            let on = service.networks.contains_key(key);
            assert_eq!(
                row.contains(&network.name),
                on,
                "{name} on {}: {row}",
                network.name
            );
        }
    }
}

#[test]
fn the_picture_shows_what_the_file_names() {
    let svg = std::fs::read_to_string(repository().join("docs/network.svg")).unwrap();
    let project = project();
    for fact in facts(&project) {
        assert!(svg.contains(&fact), "docs/network.svg doesn't show {fact}");
    }
    let internal = project
        .networks
        .values()
        .filter(|network| network.internal)
        .count();
    assert_eq!(svg.matches(">internal</text>").count(), internal);
}
