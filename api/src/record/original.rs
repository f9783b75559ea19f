//! What of a request can't be had back from the fields that Flask writes: the document's `original`.
//!
//! A sub-document with those of these that there is something to say of; mostly there is nothing, and no
//! `original`.
//!
//! | field | type | present where |
//! |---|---|---|
//! | `method` | string | it isn't in capitals, as the document's `method` is |
//! | `target` | string | it isn't the path and query of `url` byte for byte: something in it was decoded for reading, or it had the absolute form (RFC 9112 §3.2) |
//! | `headers` | array of arrays of two strings | `headers` tells less of a field than came: all its lines, as name and value, in their order |
//!
//! The latter are fields that came on several lines, which `headers` joins by commas; those with an
//! underscore in their names and an empty `Content-Type`, which it leaves out; and a `Host` beside an
//! absolute target, whose authority it has. Values are text as there: a character for each byte
//! (Latin-1). What is redacted there isn't here at all, nor under a name that differs by underscores
//! alone.
//!
//! So the method is `original.method` or `method`, the target `original.target` or what follows the
//! authority in `url`, and a field's lines those in `original.headers` or the one in `headers`. What has
//! no meaning isn't kept: capitals in names, the order of fields of different names (RFC 9110 §5.3),
//! spaces around a value, chunks, and trailers.

use actix_web::http::header::HeaderName;
use mongodb::bson::raw::{RawArrayBuf, RawDocumentBuf, cstr};
use service::field_name::title_case;

use crate::record::document::{Received, latin1};
use crate::record::proxy_token;

/// `url` is the document's, in which the path begins at `path_at`; `partial` are the fields of which its
/// `headers` tells less than came.
pub(super) fn original(
    received: &Received<'_>,
    url: &str,
    path_at: usize,
    partial: &[&HeaderName],
) -> Option<RawDocumentBuf> {
    let mut original = RawDocumentBuf::new();
    let method = received.method.as_str();
    if method.bytes().any(|byte| byte.is_ascii_lowercase()) {
        original.append(cstr!("method"), method);
    }
    let target = received.target;
    if target.authority().is_some() {
        original.append(cstr!("target"), target.to_string());
    } else if let Some(sent) = target.path_and_query()
        && url.get(path_at..) != Some(sent.as_str())
    {
        original.append(cstr!("target"), sent.as_str());
    }
    if !partial.is_empty() {
        original.append(cstr!("headers"), lines(received, partial));
    }
    (!original.is_empty()).then_some(original)
}

/// All lines of these fields.
fn lines(received: &Received<'_>, names: &[&HeaderName]) -> RawArrayBuf {
    let mut lines = RawArrayBuf::new();
    for name in names {
        let title: String = title_case(name.as_str()).collect();
        for value in received.headers.get_all(*name) {
            let mut line = RawArrayBuf::new();
            line.push(title.as_str());
            line.push(&*latin1(value.as_bytes()));
            lines.push(line);
        }
    }
    lines
}

/// Whether the value of a field with an underscore in its name isn't recorded: a gateway may take it for a
/// hyphen, and so may whoever sends a secret.
pub(super) fn is_secret(name: &HeaderName, redact: &[HeaderName]) -> bool {
    let hyphened = name.as_str().replace('_', "-");
    hyphened == proxy_token::FIELD
        || redact
            .iter()
            .any(|it| it == name || it.as_str().replace('_', "-") == hyphened)
}
