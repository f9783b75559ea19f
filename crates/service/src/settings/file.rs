//! The file: TOML, a value a key. A list stands for its items joined by commas.

use std::{collections::BTreeMap, fs, path::Path};

use config::{File, FileFormat, Source as _, Value, ValueKind};

use super::error::SettingsError;

/// Every key of the file with its value as text, or as it was found where it isn't one.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, Result<String, String>>, SettingsError> {
    let fail = |reason: String| SettingsError::file(path.display().to_string(), reason);
    let text = fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
    let values = File::from_str(&text, FileFormat::Toml).collect();
    let values = values.map_err(|error| fail(error.to_string()))?;
    let texts = values.into_iter().map(|(key, value)| {
        let found = value.kind.to_string();
        (key, text_of(value).ok_or(found))
    });
    Ok(texts.collect())
}

/// A scalar, or a list of them.
fn text_of(value: Value) -> Option<String> {
    if let ValueKind::Array(items) = value.kind {
        let items = items.into_iter().map(|item| item.into_string().ok());
        return Some(items.collect::<Option<Vec<_>>>()?.join(","));
    }
    value.into_string().ok()
}
