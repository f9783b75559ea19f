//! Which settings differ between two configurations, for people to read.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// Settings under this key are fingerprints of secrets: that they changed may be
/// shown, what they are may not.
pub(crate) const SECRETS: &str = "secret_contents";

/// One changed setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    /// Its path, `environment.API_WORKERS`.
    pub(crate) setting: String,
    /// Before; `None` where there was none.
    pub(crate) old: Option<String>,
    /// After; `None` where there is none any more.
    pub(crate) new: Option<String>,
}

impl Change {
    /// A change that isn't between two values of one setting.
    pub(crate) fn new(setting: impl Into<String>, old: &str, new: &str) -> Self {
        Self {
            setting: setting.into(),
            old: Some(old.to_owned()),
            new: Some(new.to_owned()),
        }
    }
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let side = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
        write!(
            f,
            "{}: {} → {}",
            self.setting,
            side(&self.old),
            side(&self.new)
        )
    }
}

/// The settings in which `new` differs from `old`, by path.
pub(crate) fn changes(old: &Value, new: &Value) -> Vec<Change> {
    let (old, new) = (flatten(old), flatten(new));
    let mut paths: Vec<&String> = old.keys().chain(new.keys()).collect();
    paths.sort();
    paths.dedup();
    paths
        .into_iter()
        .filter(|path| old.get(*path) != new.get(*path))
        .map(|path| Change {
            setting: path.clone(),
            old: old.get(path).map(|value| show(path, value, "old")),
            new: new.get(path).map(|value| show(path, value, "new")),
        })
        .collect()
}

fn show(path: &str, value: &Value, side: &str) -> String {
    if is_secret(path) {
        return format!("({side} value, hidden)");
    }
    match value {
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}

/// Environment variables hold credentials more often than they should.
fn is_secret(path: &str) -> bool {
    if path.starts_with(SECRETS) {
        return true;
    }
    let name = path
        .strip_prefix("environment.")
        .unwrap_or_default()
        .to_ascii_uppercase();
    let names_a_file = name.ends_with("_FILE");
    !names_a_file
        && [
            "PASSWORD",
            "PASSWD",
            "SECRET",
            "TOKEN",
            "KEY",
            "CREDENTIAL",
            "URI",
            "DSN",
        ]
        .iter()
        .any(|word| name.contains(word))
}

/// Path → leaf. Lists stay whole: an index says little to a reader.
fn flatten(value: &Value) -> BTreeMap<String, Value> {
    fn walk(prefix: &str, value: &Value, leaves: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    let path = if prefix.is_empty() {
                        key.clone()
                    } else {
                        format!("{prefix}.{key}")
                    };
                    walk(&path, value, leaves);
                }
            }
            Value::Null => {}
            leaf => {
                leaves.insert(prefix.to_owned(), leaf.clone());
            }
        }
    }
    let mut leaves = BTreeMap::new();
    walk("", value, &mut leaves);
    leaves
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_each_setting_with_both_values() {
        let old = json!({"environment": {"A": "1", "B": "2"}, "read_only": true});
        let new = json!({"environment": {"A": "1", "B": "3", "C": "4"}});
        let shown: Vec<String> = changes(&old, &new)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            shown,
            [
                r#"environment.B: "2" → "3""#,
                r#"environment.C: (none) → "4""#,
                "read_only: true → (none)",
            ]
        );
    }

    #[test]
    fn never_shows_a_secret() {
        let old = json!({"environment": {"DB_PASSWORD": "hunter1"}, SECRETS: {"root": "aa"}});
        let new = json!({"environment": {"DB_PASSWORD": "hunter2"}, SECRETS: {"root": "bb"}});
        let shown = changes(&old, &new);
        assert_eq!(shown.len(), 2);
        for change in shown {
            let text = change.to_string();
            assert!(
                !text.contains("hunter") && !text.contains("aa") && !text.contains("bb"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_path_of_a_secret_file_is_no_secret() {
        let changes = changes(
            &json!({"environment": {"MONGO_PASSWORD_FILE": "/a"}}),
            &json!({"environment": {"MONGO_PASSWORD_FILE": "/b"}}),
        );
        assert_eq!(changes[0].new.as_deref(), Some("\"/b\""));
    }
}
