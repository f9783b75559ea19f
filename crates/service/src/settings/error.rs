//! Why settings can't be used.

use std::{error::Error, fmt};

/// Why settings can't be used, in words for whoever has set them.
#[derive(Debug)]
pub struct SettingsError(Problem);

#[derive(Debug)]
enum Problem {
    /// The file is missing, unreadable or not TOML.
    #[cfg(feature = "full")]
    File {
        path: String,
        reason: String,
    },
    /// `place` is the file's name or `environment`.
    UnknownKey {
        place: String,
        key: String,
        known: Vec<String>,
    },
    /// `reason` begins with `expected` where the value's form is wrong.
    BadValue {
        place: String,
        key: String,
        value: String,
        reason: String,
    },
    Conflict(String),
}

impl SettingsError {
    /// Keys that only work together, or not together.
    pub fn conflict(what: impl Into<String>) -> Self {
        Self(Problem::Conflict(what.into()))
    }

    /// The same error with a value that may be shown.
    #[must_use]
    pub fn redacted(mut self, redact: impl FnOnce(&str) -> String) -> Self {
        if let Problem::BadValue { value, .. } = &mut self.0 {
            *value = redact(value);
        }
        self
    }

    #[cfg(feature = "full")]
    pub(super) fn file(path: String, reason: String) -> Self {
        Self(Problem::File { path, reason })
    }

    pub(super) fn unknown_key(place: String, key: String, known: Vec<String>) -> Self {
        Self(Problem::UnknownKey { place, key, known })
    }

    pub(crate) fn bad_value(place: String, key: String, value: String, reason: String) -> Self {
        Self(Problem::BadValue {
            place,
            key,
            value,
            reason,
        })
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            #[cfg(feature = "full")]
            Problem::File { path, reason } => write!(f, "{path}: {reason}"),
            Problem::UnknownKey { place, key, known } => {
                let known = known.join(", ");
                write!(f, "{place}: unknown key {key}; there are: {known}")
            }
            Problem::BadValue {
                place,
                key,
                value,
                reason,
            } => write!(f, "{place}: {key} = {value:?}: {reason}"),
            Problem::Conflict(what) => f.write_str(what),
        }
    }
}

impl Error for SettingsError {}
