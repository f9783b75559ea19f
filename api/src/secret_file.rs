//! Secrets come in files, so that a Docker secret serves, and are never shown.

use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};

use crate::settings::ConfigError;

/// Reads the secret in `file`, which the setting `key` names.
pub fn read(key: &str, file: &Path) -> Result<SecretString, ConfigError> {
    let text = std::fs::read_to_string(file)
        .map(SecretString::from)
        .map_err(|error| unusable(key, file, error.to_string()))?;
    // Editors and `echo` end a file with a line break that isn't part of the secret.
    let secret = text.expose_secret().trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(unusable(key, file, "the file is empty".to_owned()));
    }
    Ok(secret.into())
}

/// Reads the secrets in `file`, one a line; there is at least one.
pub fn read_lines(key: &str, file: &Path) -> Result<Vec<SecretString>, ConfigError> {
    let text = read(key, file)?;
    let lines = text.expose_secret().lines().filter(|line| !line.is_empty());
    Ok(lines.map(SecretString::from).collect())
}

/// What is said of a file that can't be used.
pub fn unusable(key: &str, file: &Path, detail: String) -> ConfigError {
    ConfigError::BadValue {
        origin: key.to_owned(),
        value: file.display().to_string(),
        expected: "the path of a readable text file",
        detail: Some(detail),
    }
}
