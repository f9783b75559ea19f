//! `environment` and `env_file`.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use super::forms::host_path;
use crate::cursor::Cursor;
use crate::dotenv;
use crate::fields::Fields;
use crate::interpolate::InterpolationError;
use crate::source;

/// `env_file` in its order, then `environment` over it. The files of a service that isn't enabled need
/// not be there.
pub(super) fn environment(service: &Fields<'_>, enabled: bool) -> BTreeMap<String, String> {
    let mut result = BTreeMap::new();
    if let Some(cursor) = service.get("env_file") {
        for item in cursor.one_or_more().unwrap_or_default() {
            env_file(&item, enabled, &mut result);
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
    if let Some(value) = value {
        to.insert(name, value);
    } else if let Some(value) = cursor.context.variable(&name) {
        if cursor.context.budget.is_spent() {
            return;
        }
        if cursor.context.budget.spend(value.len()) {
            to.insert(name, value.to_owned());
        } else {
            cursor.problem(InterpolationError::TooMuch.to_string());
        }
    } else {
        to.remove(&name);
        no_value(cursor, &name);
    }
}

fn no_value(cursor: &Cursor<'_>, name: &str) {
    let message = format!("{name} has no value here and isn't set outside; it is left out");
    let at = Some(cursor.node.at);
    cursor.context.warn(at, &cursor.path, message);
}

/// One item of `env_file`: a path, or a mapping with `path` and `required`.
fn env_file(item: &Cursor<'_>, enabled: bool, to: &mut BTreeMap<String, String>) {
    if item.is_scalar() {
        if let Some(path) = host_path(item) {
            read(item, &path, enabled.then_some(true), to);
        }
        return;
    }
    let Some(fields) = Fields::of(item) else {
        return;
    };
    let path = fields.required("path").and_then(|c| host_path(&c));
    let required = fields
        .get("required")
        .and_then(|c| c.boolean())
        .unwrap_or(true);
    fields.finish(&[("format", "the only format is the usual one")]);
    if let Some(path) = path {
        read(item, &path, enabled.then_some(required), to);
    }
}

/// Variables in a file are those of the files before it, and then those outside. `required`: whether it has
/// to be there; `None`: nobody wants to know.
fn read(item: &Cursor<'_>, path: &Path, required: Option<bool>, to: &mut BTreeMap<String, String>) {
    let context = item.context;
    context.environment_file(path);
    let Some(required) = required else { return };
    if context.budget.is_spent() {
        return;
    }
    let text = match source::read(path) {
        Ok(text) => text,
        Err(error) if !required && error.kind() == ErrorKind::NotFound => return,
        Err(error) => return item.problem(format!("can't read {}: {error}", path.display())),
    };
    let lookup = |name: &str| {
        let earlier = to.get(name).map(String::as_str);
        earlier.or_else(|| context.variable(name))
    };
    let mut unset = |name: &str| context.warn_unset(Some(item.node.at), &item.path, name);
    match dotenv::parse(&text, &lookup, &mut unset, &context.budget) {
        Ok(assignments) => {
            for (name, value) in assignments {
                match value {
                    Some(value) => _ = to.insert(name, value),
                    None => no_value(item, &name),
                }
            }
        }
        Err(error) => item.problem(format!("{}:{error}", path.display())),
    }
}
