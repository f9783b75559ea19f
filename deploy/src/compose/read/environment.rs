//! `environment` and `env_file`.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use super::forms::host_path;
use crate::compose::cursor::Cursor;
use crate::compose::dotenv;
use crate::compose::fields::Fields;
use crate::compose::source;

/// `env_file` in its order, then `environment` over it.
pub(super) fn environment(service: &Fields<'_>) -> BTreeMap<String, String> {
    let mut result = BTreeMap::new();
    if let Some(cursor) = service.get("env_file") {
        for item in cursor.one_or_more().unwrap_or_default() {
            env_file(&item, &mut result);
        }
    }
    if let Some(cursor) = service.get("environment") {
        for (name, value) in cursor.pairs().unwrap_or_default() {
            assign(&cursor, &mut result, name, value);
        }
    }
    result
}

/// `args` of a build: as `environment`.
pub(super) fn arguments(cursor: &Cursor<'_>) -> BTreeMap<String, String> {
    let mut result = BTreeMap::new();
    for (name, value) in cursor.pairs().unwrap_or_default() {
        assign(cursor, &mut result, name, value);
    }
    result
}

/// A name without a value takes the variable of that name from the surroundings.
fn assign(
    cursor: &Cursor<'_>,
    to: &mut BTreeMap<String, String>,
    name: String,
    value: Option<String>,
) {
    if let Some(value) = value.or_else(|| cursor.context.variable(&name)) {
        to.insert(name, value);
    } else {
        to.remove(&name);
        let message = format!("{name} has no value here and isn't set outside; it is left out");
        cursor
            .context
            .warn(Some(cursor.node.at), &cursor.path, message);
    }
}

/// One item of `env_file`: a path, or a mapping with `path` and `required`.
fn env_file(item: &Cursor<'_>, to: &mut BTreeMap<String, String>) {
    if item.is_scalar() {
        if let Some(path) = host_path(item) {
            read(item, &path, true, to);
        }
        return;
    }
    let Some(fields) = item.fields() else { return };
    let path = fields.required("path").and_then(|c| host_path(&c));
    let required = fields
        .get("required")
        .and_then(|c| c.boolean())
        .unwrap_or(true);
    fields.finish(&[("format", "the only format is the usual one")]);
    if let Some(path) = path {
        read(item, &path, required, to);
    }
}

fn read(item: &Cursor<'_>, path: &Path, required: bool, to: &mut BTreeMap<String, String>) {
    let text = match source::read(path) {
        Ok(text) => text,
        Err(error) if !required && error.kind() == ErrorKind::NotFound => return,
        Err(error) => return item.problem(format!("can't read {}: {error}", path.display())),
    };
    let lookup = |name: &str| item.context.variable(name);
    let at = Some(item.node.at);
    let mut unset = |name: &str| item.context.warn_unset(at, &item.path, name);
    match dotenv::parse(&text, &lookup, &mut unset) {
        Ok(assignments) => {
            for (name, value) in assignments {
                assign(item, to, name, value);
            }
        }
        Err(error) => item.problem(format!("{}:{error}", path.display())),
    }
}
