//! What [`load`](super::load) is told from outside the file.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Which files to load, and the surroundings they are resolved in.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// The Compose files, each merged over those before it. Relative paths in all of them are relative
    /// to the first one's directory, where `.env` is looked for too. None: those that `COMPOSE_FILE`
    /// names, else `compose.yaml` and `compose.override.yaml`, as Docker Compose 2 finds them.
    pub files: Vec<PathBuf>,
    /// The project's name; overrides `COMPOSE_PROJECT_NAME` and the files' own `name:`.
    pub project_name: Option<String>,
    /// The process environment. For interpolation it wins over `.env`.
    pub env: BTreeMap<String, String>,
    /// The profiles whose services are enabled, `*` for all; none: those that `COMPOSE_PROFILES` names.
    pub profiles: Vec<String>,
    /// Services that are enabled by themselves, with those of their profiles that they depend on.
    pub targets: Vec<String>,
}

impl LoadOptions {
    /// Options for `files` with the environment of this process. Variables that aren't UTF-8 can't be
    /// written in a Compose file and are left out.
    pub fn from_process(files: impl Into<Vec<PathBuf>>) -> Self {
        let env = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self {
            files: files.into(),
            env,
            ..Self::default()
        }
    }
}
