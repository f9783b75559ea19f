//! What [`load`](super::load) is told from outside the file.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Which file to load, and the surroundings it is resolved in.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// The Compose file. Relative paths in it are relative to its directory, where `.env` is
    /// looked for too.
    pub file: PathBuf,
    /// The project's name; overrides `COMPOSE_PROJECT_NAME` and the file's own `name:`.
    pub project_name: Option<String>,
    /// The process environment. For interpolation it wins over `.env`.
    pub env: BTreeMap<String, String>,
}

impl LoadOptions {
    /// Options for `file` with the environment of this process. Variables that aren't UTF-8 can't
    /// be written in a Compose file and are left out.
    pub fn from_process(file: impl Into<PathBuf>) -> Self {
        let env = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self {
            file: file.into(),
            project_name: None,
            env,
        }
    }
}
