//! Writes a project back as a Compose file, for `deploy config`.

use super::Project;

impl Project {
    /// The project as a Compose file with everything resolved: no variables, no short syntax, no
    /// relative paths. Loading it again gives the same project. Secrets appear as file names only.
    pub fn to_yaml(&self) -> String {
        serde_saphyr::to_string(self).unwrap_or_default()
    }
}
