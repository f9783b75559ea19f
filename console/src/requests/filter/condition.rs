//! A filter as a query of the collection.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, Regex, cstr, doc};

use crate::requests::filter::Filter;
use crate::requests::filter::path::{Pattern, escape};

/// How long before it was received a request's id may have been made: the proxy makes it with the
/// head, takes in a body of up to 64 KiB at 1 KiB/s or more, and may wait for a place at a backend.
const ID_BEFORE_S: i64 = 120;
/// How long after: ids have whole seconds, and two machines' clocks may differ.
const ID_AFTER_S: i64 = 10;

pub(super) fn condition(filter: &Filter) -> Document {
    let mut all = Vec::new();
    all.extend(filter.id.map(|id| doc! { "_id": id }));
    received(filter, &mut all);
    match &*filter.methods {
        [] => {}
        [method] => all.push(doc! { "method": method }),
        several => all.push(doc! { "method": { "$in": several } }),
    }
    if let Some(path) = &filter.path {
        all.push(doc! { "url": regex(Pattern::new(path).regex(), "s") });
    }
    for (name, text) in &filter.headers {
        all.push(header(name, text.as_deref()));
    }
    if let Some(address) = &filter.address {
        all.push(doc! { "remote_addr": address });
    }
    if let Some(text) = &filter.body {
        all.push(doc! { "data": regex(escape(text), "i") });
    }
    match all.len() {
        0 | 1 => all.pop().unwrap_or_default(),
        _ => doc! { "$and": all },
    }
}

/// Between which ids the requests are: from, and before.
pub(super) fn ids(filter: &Filter) -> (ObjectId, Option<ObjectId>) {
    let since = filter.since.map(|since| seconds(since) - ID_BEFORE_S);
    let until = filter.until.map(|until| seconds(until) + ID_AFTER_S);
    (id_at(since.unwrap_or(0)), until.map(id_at))
}

/// By the ids' time roughly, which is quick, and exactly by `received_at`, where there is one.
fn received(filter: &Filter, all: &mut Vec<Document>) {
    let mut exactly = Document::new();
    let mut by_id = Document::new();
    for (operator, at) in [("$gte", filter.since), ("$lt", filter.until)] {
        if let Some(at) = at {
            exactly.insert(operator, at);
            by_id.insert(operator, id_at(seconds(at)));
        }
    }
    if exactly.is_empty() {
        return;
    }
    let (from, before) = ids(filter);
    let mut roughly = doc! { "$gte": from };
    roughly.extend(before.map(|before| ("$lt".to_owned(), before.into())));
    all.push(doc! { "_id": roughly });
    all.push(doc! { "$or": [
        { "received_at": exactly },
        { "received_at": { "$not": { "$type": "date" } }, "_id": by_id },
    ] });
}

/// The first whole second that isn't before `at`.
fn seconds(at: DateTime) -> i64 {
    let millis = at.timestamp_millis();
    millis.div_euclid(1000) + i64::from(millis.rem_euclid(1000) > 0)
}

/// The smallest id of a second.
fn id_at(seconds: i64) -> ObjectId {
    let seconds = u32::try_from(seconds.max(0)).unwrap_or(u32::MAX);
    ObjectId::from_parts(seconds, [0; 5], [0; 3])
}

fn header(name: &str, text: Option<&str>) -> Document {
    let pattern = text.map(|text| regex(escape(text), "i"));
    if !name.contains(['.', '$']) {
        let is = pattern.map_or_else(|| doc! { "$exists": true }.into(), Bson::from);
        return doc! { format!("headers.{name}"): is };
    }
    // Such a name would be taken for a path.
    let value = doc! { "$getField": { "field": { "$literal": name }, "input": "$headers" } };
    let is = doc! { "$type": value.clone() };
    let condition = if let Some(pattern) = pattern {
        // It fails with what is no text.
        doc! { "$and": [
            { "$eq": [is, "string"] },
            { "$regexMatch": { "input": value, "regex": pattern } },
        ] }
    } else {
        // It is null where there are no fields at all.
        doc! { "$and": [
            { "$eq": [{ "$type": "$headers" }, "object"] },
            { "$ne": [is, "missing"] },
        ] }
    };
    doc! { "$expr": condition }
}

/// Patterns have no NUL: [`escape`].
fn regex(pattern: String, options: &str) -> Regex {
    let empty = || cstr!("").to_owned();
    Regex {
        pattern: pattern.try_into().unwrap_or_else(|_| empty()),
        options: options.try_into().unwrap_or_else(|_| empty()),
    }
}
