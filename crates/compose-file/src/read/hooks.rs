//! `post_start` and `pre_stop`.

use super::forms::container_path;
use super::words::words;
use crate::cursor::Cursor;
use crate::fields::Fields;
use crate::model::Hook;

/// The commands, in the order in which they run.
pub(super) fn hooks(cursor: &Cursor<'_>) -> Vec<Hook> {
    let items = cursor.items().unwrap_or_default();
    items.iter().filter_map(hook).collect()
}

fn hook(cursor: &Cursor<'_>) -> Option<Hook> {
    let fields = Fields::of(cursor)?;
    let command = fields.required("command").and_then(|c| {
        let command = words(&c)?;
        if command.first().is_none_or(String::is_empty) {
            c.problem("expected a program and its arguments");
        }
        Some(command)
    });
    let user = fields.get("user").and_then(|c| c.filled());
    let privileged = fields.get("privileged").and_then(|c| c.boolean());
    let working_dir = fields.get("working_dir").and_then(|c| container_path(&c));
    let environment = fields.get("environment").and_then(|c| c.pairs());
    fields.finish(&[]);
    Some(Hook {
        command: command?,
        user: user.map(str::to_owned),
        privileged: privileged.unwrap_or(false),
        working_dir,
        environment: environment.unwrap_or_default(),
    })
}
