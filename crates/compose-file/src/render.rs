//! Writes a project back as a Compose file, for `deploy config`.

use serde_saphyr::ser_options;

use super::Project;

/// A project couldn't be written as YAML.
#[derive(Debug, thiserror::Error)]
#[error("can't write the project as YAML: {0}")]
pub struct RenderError(String);

impl Project {
    /// The project as a Compose file with everything resolved: no variables, no short syntax, no
    /// relative paths. Loading it again gives the same project. Secrets appear as file names only.
    ///
    /// # Errors
    /// When a value has no YAML form; none that [`load`](super::load) makes is known to.
    pub fn to_yaml(&self) -> Result<String, RenderError> {
        let options = ser_options! { prefer_block_scalars: false };
        let yaml = serde_saphyr::to_string_with_options(self, options)
            .map_err(|error| RenderError(error.to_string()))?;
        // Every `$` is within a value, since the loader refuses it in keys.
        Ok(yaml.replace('$', "$$"))
    }
}
