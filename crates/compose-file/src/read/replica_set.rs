//! `x-replica-set`.

use super::words::command;
use crate::cursor::Cursor;
use crate::fields::Fields;
use crate::model::{ReplicaSet, ServiceName};

pub(super) fn replica_set(cursor: &Cursor<'_>) -> Option<ReplicaSet> {
    let fields = Fields::of(cursor)?;
    let name = fields.required("name").and_then(|c| c.filled());
    let members = fields.required("members").and_then(|c| {
        let members = c.strings()?;
        if members.is_empty() {
            c.expected("a service or several");
        }
        Some(members)
    });
    let settings = fields.get("settings").and_then(|c| c.entries());
    let settings = settings.into_iter().flatten();
    let settings =
        settings.filter_map(|(name, c)| Some((name.to_owned(), c.integer(0..=i64::MAX)?)));
    let settings = settings.collect();
    let command = fields.required("command").and_then(|c| command(&c));
    fields.finish(&[]);
    Some(ReplicaSet {
        name: name?.to_owned(),
        members: members?.into_iter().map(ServiceName).collect(),
        settings,
        command: command?,
    })
}
