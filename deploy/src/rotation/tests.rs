//! Which secrets are chosen, and where an old value may still be known.

use std::fs;
use std::path::PathBuf;

use compose_file::{self, LoadOptions};
use engine::state::{Resource, State};
use tempfile::TempDir;

use super::machine::may_be_known;
use super::*;

const FILE: &str = "
services:
  db:
    image: i
    volumes: ['data:/data', './files:/files']
    secrets: [told, own]
  app:
    image: i
    secrets: [told, read]
secrets:
  told: {file: ./secrets/told, x-generate: password, x-rotate: {service: db, command: [tell]}}
  read: {file: ./secrets/read, x-generate: password}
  own: {file: ./secrets/own}
  unused: {file: ./secrets/unused, x-generate: password}
volumes: {data: }
";

/// A file in a directory of its own.
struct Scene {
    directory: TempDir,
    project: Project,
}

impl Scene {
    fn new(file: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("compose.yaml");
        fs::write(&path, file).unwrap();
        let options = LoadOptions {
            files: vec![path],
            project_name: Some("test".to_owned()),
            ..LoadOptions::default()
        };
        let project = compose_file::load(&options).unwrap();
        Self { directory, project }
    }

    fn files(&self) -> PathBuf {
        self.directory.path().join("files")
    }

    fn may_be_known(&self, state: &State, secret: &str) -> bool {
        let (name, secret) = self.project.secrets.get_key_value(secret).unwrap();
        may_be_known(&self.project, state, name, secret)
    }
}

#[test]
fn without_names_all_that_are_generated_and_used() {
    let scene = Scene::new(FILE);
    let chosen = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let chosen = chosen(&scene.project, &names).map_err(|err| err.message)?;
        Ok::<_, String>(chosen.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(chosen(&[]).unwrap(), ["told", "read"]);
    assert_eq!(chosen(&["read", "read"]).unwrap(), ["read"]);
    for other in ["own", "unused", "none"] {
        assert!(chosen(&["read", other]).unwrap_err().contains(other));
    }
    let none = Scene::new("services: {a: {image: i}}");
    assert!(super::chosen(&none.project, &[]).is_err());
}

#[test]
fn data_is_where_the_old_value_is_known() {
    let scene = Scene::new(FILE);
    let nothing = State::default();
    assert!(!scene.may_be_known(&nothing, "told"));
    let with_volume = State {
        volumes: vec![Resource {
            name: "test_data".to_owned(),
            config: None,
            ..Resource::default()
        }],
        ..State::default()
    };
    assert!(scene.may_be_known(&with_volume, "told"));
    assert!(
        !scene.may_be_known(&with_volume, "read"),
        "its readers have no data"
    );
    fs::create_dir(scene.files()).unwrap();
    assert!(!scene.may_be_known(&nothing, "told"));
    fs::write(scene.files().join("table"), "").unwrap();
    assert!(scene.may_be_known(&nothing, "told"));
}
