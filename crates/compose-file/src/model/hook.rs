//! Commands that run in a container at its start, or before its end.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::is_false;

/// An item of `post_start` or `pre_stop`. `None` is as the container has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hook {
    /// A program and its arguments.
    pub command: Vec<String>,
    /// `user`, `uid`, `user:group` or `uid:gid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// With all capabilities.
    #[serde(skip_serializing_if = "is_false")]
    pub privileged: bool,
    /// Absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Beside the container's own; `None`: without that variable.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, Option<String>>,
}
