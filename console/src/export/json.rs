//! JSON that is harmless wherever it is shown.

use std::io::{self, Write};

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::ser::Formatter;

use crate::pages::visible::is_invisible;
use crate::requests::recorded::{Original, Recorded, Summary};

/// A value in one line, in whose strings every character can be seen; the others are escaped.
pub fn line(value: &impl Serialize) -> String {
    let mut text = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, Inert);
    // None of what is written can fail to be JSON: no map has keys that aren't strings.
    if value.serialize(&mut serializer).is_err() {
        text.clear();
    }
    String::from_utf8(text).unwrap_or_default()
}

/// A request whole.
pub fn whole(recorded: &Recorded) -> impl Serialize {
    let text = std::str::from_utf8(&recorded.body).ok();
    Whole {
        summary: &recorded.summary,
        headers: Headers(&recorded.headers),
        body: text,
        body_base64: text
            .is_none()
            .then(|| super::message::base64(&recorded.body)),
        body_exact: recorded.is_exact,
        original: &recorded.original,
    }
}

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    headers: Headers<'a>,
    /// Where it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    /// Where it isn't.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    /// Whether the body is what came, byte for byte.
    body_exact: bool,
    #[serde(skip_serializing_if = "Original::is_empty")]
    original: &'a Original,
}

/// An object: a document has each name once.
struct Headers<'a>(&'a [(String, String)]);

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Compact, and with an escape for each character that can't be seen.
struct Inert;

impl Formatter for Inert {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut plain = 0;
        for (at, character) in fragment.char_indices() {
            if !is_invisible(character) {
                continue;
            }
            writer.write_all(&fragment.as_bytes()[plain..at])?;
            plain = at + character.len_utf8();
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        writer.write_all(&fragment.as_bytes()[plain..])
    }
}
