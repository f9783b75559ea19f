//! `x-backup`.

use super::words::command;
use crate::cursor::Cursor;
use crate::fields::Fields;
use crate::model::{Backup, ServiceName};

pub(super) fn backup(cursor: &Cursor<'_>) -> Option<Backup> {
    let fields = Fields::of(cursor)?;
    let service = fields.required("service").and_then(|c| c.filled());
    let dump = fields.required("dump").and_then(|c| command(&c));
    let restore = fields.required("restore").and_then(|c| command(&c));
    fields.finish(&[]);
    Some(Backup {
        service: ServiceName(service?.to_owned()),
        dump: dump.unwrap_or_default(),
        restore: restore.unwrap_or_default(),
    })
}
