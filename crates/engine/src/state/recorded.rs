//! What an object's labels record of its making.

use std::path::PathBuf;

use serde_json::Value;

use crate::labels;
use crate::owner::Labels;

/// The Compose file that an object was made from.
pub(super) fn file(labels: &Labels) -> Option<PathBuf> {
    let file = labels
        .get(labels::FILE)
        .or(labels.get(labels::COMPOSE_FILES))?;
    Some(PathBuf::from(file))
}

/// The settings that it was made from.
pub(super) fn settings(labels: &Labels) -> Option<Value> {
    serde_json::from_str(labels.get(labels::CONFIG)?).ok()
}
