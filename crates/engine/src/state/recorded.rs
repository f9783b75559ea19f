//! What an object's labels record of its making.

use std::path::PathBuf;

use compose_file::Files;
use serde_json::Value;

use crate::labels;
use crate::owner::Labels;

/// The Compose files that an object was made from.
pub(super) fn files(labels: &Labels) -> Option<Files> {
    let first = labels
        .get(labels::FILE)
        .or(labels.get(labels::COMPOSE_FILES))?;
    let overrides = labels.get(labels::OVERRIDES);
    let overrides = overrides.and_then(|it| serde_json::from_str(it).ok());
    Some(Files::new(
        PathBuf::from(first),
        overrides.unwrap_or_default(),
    ))
}

/// The settings that it was made from.
pub(super) fn settings(labels: &Labels) -> Option<Value> {
    serde_json::from_str(labels.get(labels::CONFIG)?).ok()
}
