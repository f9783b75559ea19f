//! What the engine has already, and what a thing is called there.

use super::forms::is_name;
use crate::fields::Fields;

/// `external`, and the name on the engine: `name`, or for what is the project's own
/// `<project>_<key>`.
pub(super) fn external_and_name(key: &str, fields: &Fields<'_>) -> (bool, String) {
    let external = fields
        .get("external")
        .and_then(|cursor| cursor.boolean())
        .unwrap_or(false);
    let name = fields.get("name").and_then(|cursor| {
        let name = cursor.string()?;
        if !is_name(name) {
            cursor.expected(
                "a name of letters, digits, ., _ and -, beginning with a letter or digit",
            );
        }
        Some(name.to_owned())
    });
    let default = || {
        if external {
            key.to_owned()
        } else {
            format!("{}_{key}", fields.here.context.project)
        }
    };
    (external, name.unwrap_or_else(default))
}

/// Reports settings of something that isn't the project's to set.
pub(super) fn check_external(fields: &Fields<'_>, external: bool) {
    for (key, cursor) in fields.here.entries().unwrap_or_default() {
        if external && !matches!(key, "external" | "name") && !key.starts_with("x-") {
            cursor.problem(format!("{key} can't be set together with external: true"));
        }
    }
}
