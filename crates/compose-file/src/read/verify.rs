//! `x-verify`.

use super::forms::{certificate_names, host_path};
use super::words::command;
use crate::cursor::Cursor;
use crate::fields::Fields;
use crate::model::{Document, EntryPoint, ServiceName, TlsEntry, Verify};

/// Where the marker comes in a request, and the document's id in the answer.
const PLACES: [&str; 2] = ["{marker}", "{id}"];

pub(super) fn verify(cursor: &Cursor<'_>) -> Option<Verify> {
    let fields = Fields::of(cursor)?;
    let entries = fields.get("entry_points").and_then(|c| c.entries());
    let entry_points = entries.into_iter().flatten().filter_map(|(name, cursor)| {
        let entry = entry_point(&cursor)?;
        Some((ServiceName(name.to_owned()), entry))
    });
    let entry_points = entry_points.collect();
    let services = |key| {
        let names = fields.get(key).and_then(|c| c.strings());
        names.into_iter().flatten().map(ServiceName).collect()
    };
    let no_way_out = services("no_way_out");
    let only_published = services("only_published");
    fields.finish(&[]);
    Some(Verify {
        entry_points,
        no_way_out,
        only_published,
    })
}

fn entry_point(cursor: &Cursor<'_>) -> Option<EntryPoint> {
    let fields = Fields::of(cursor)?;
    let [marker, id] = PLACES;
    let port = fields.get("port").and_then(|c| c.integer(1..=65_535));
    let accepted_by = fields.get("accepted_by").and_then(|c| c.filled());
    let request = fields.get("request").and_then(|c| {
        let path = c.filled()?;
        if !path.starts_with('/') || path.contains(char::is_whitespace) {
            c.expected("a path and query that begin with /");
        }
        Some(path)
    });
    let document = fields.get("document").and_then(|c| {
        let fields = Fields::of(&c)?;
        let service = fields.required("service").and_then(|c| c.filled());
        let answer = fields.required("answer").and_then(|c| {
            let answer = c.filled()?;
            if answer.matches(id).count() != 1 {
                c.expected(format!(
                    "a text with {id} in it, where the document's id stands"
                ));
            }
            Some(answer.to_owned())
        });
        let command = fields.required("command").and_then(|c| command(&c));
        fields.finish(&[]);
        if port.is_none() || !request.is_some_and(|path| path.contains(marker)) {
            c.problem(format!(
                "it takes a port, and a request with {marker} in it"
            ));
        }
        Some(Document {
            service: ServiceName(service?.to_owned()),
            answer: answer?,
            command: command?,
        })
    });
    let tls = fields.get("tls").and_then(|c| tls(&c));
    fields.finish(&[]);
    Some(EntryPoint {
        port: port.and_then(|port| u16::try_from(port).ok()),
        accepted_by: accepted_by.map(|name| ServiceName(name.to_owned())),
        request: request.unwrap_or("/").to_owned(),
        document,
        tls,
    })
}

fn tls(cursor: &Cursor<'_>) -> Option<TlsEntry> {
    let fields = Fields::of(cursor)?;
    let port = fields.required("port").and_then(|c| c.integer(1..=65_535));
    let service = fields.required("service").and_then(|c| c.filled());
    let command = fields.required("command").and_then(|c| command(&c));
    let authority = fields.get("authority").and_then(|c| host_path(&c));
    let names = fields.get("names").and_then(|c| certificate_names(&c));
    fields.finish(&[]);
    Some(TlsEntry {
        port: u16::try_from(port?).ok()?,
        service: ServiceName(service?.to_owned()),
        command: command?,
        authority,
        names: names.unwrap_or_default(),
    })
}
