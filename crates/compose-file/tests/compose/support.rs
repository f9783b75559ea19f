//! Files in a directory of their own, loaded.

use std::path::PathBuf;

use compose_file::{Error, LoadOptions, Problem, Project, load};
use serde_json::Value;
use tempfile::TempDir;

/// A directory with files, a Compose file among them, and an environment.
pub(crate) struct Fixture {
    pub(crate) directory: TempDir,
    pub(crate) options: LoadOptions,
}

impl Fixture {
    /// A Compose file with this text, alone in its directory.
    pub(crate) fn new(compose: impl AsRef<[u8]>) -> Self {
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("compose.yaml");
        std::fs::write(&file, compose).unwrap();
        let options = LoadOptions {
            files: vec![file],
            ..LoadOptions::default()
        };
        Self { directory, options }
    }

    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.path(name), text).unwrap();
        self
    }

    /// A Compose file that is merged over those before it.
    pub(crate) fn over(mut self, name: &str, text: &str) -> Self {
        self.options.files.push(self.path(name));
        self.file(name, text)
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.options.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The absolute path of a file of the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn load(&self) -> Result<Project, Error> {
        load(&self.options)
    }

    /// The project as JSON.
    pub(crate) fn json(&self) -> Value {
        let project = self.load().unwrap_or_else(|error| panic!("{error}"));
        serde_json::to_value(project).unwrap()
    }

    /// What is wrong with the file.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        match self.load() {
            Err(Error::Invalid { problems, .. }) => problems,
            other => panic!("expected problems: {other:?}"),
        }
    }
}

/// A file with one service `s` of the image `i` and these further keys; then, from `---` on,
/// further top-level sections.
pub(crate) fn service(keys: &str) -> Fixture {
    let (keys, top) = keys.split_once("---\n").unwrap_or((keys, ""));
    let indented: Vec<String> = keys.lines().map(|line| format!("    {line}\n")).collect();
    let indented = indented.concat();
    Fixture::new(format!("services:\n  s:\n    image: i\n{indented}{top}"))
}
