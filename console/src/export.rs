//! Recorded requests in formats that other programs read.
//!
//! Whoever sends a request chooses what is in it, and it is pasted into shells and shown on terminals:
//! no format but [`http`], which has the bytes as they are, lets a character through that can't be
//! seen.

pub mod curl;
pub mod fetch;
pub mod har;
pub mod http;
pub mod json;
mod message;
pub mod ndjson;

use std::future::ready;
use std::iter;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};

use crate::replies::CHUNK;
use crate::requests::recorded::Recorded;

/// What one request, or a whole list, can be had as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Ndjson,
    Har,
    Curl,
    Http,
    Fetch,
}

impl Format {
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "json" => Self::Json,
            "ndjson" => Self::Ndjson,
            "har" => Self::Har,
            "curl" => Self::Curl,
            "http" => Self::Http,
            "fetch" => Self::Fetch,
            _ => return None,
        })
    }

    /// Text that a browser might take for a script or a page is plain text to it.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json | Self::Har => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Curl | Self::Fetch => "text/plain; charset=utf-8",
            Self::Http => "message/http",
        }
    }

    /// How a file's name ends.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Har => "har",
            Self::Curl => "sh",
            Self::Http => "http",
            Self::Fetch => "js",
        }
    }
}

/// One request.
pub fn one(recorded: &Recorded, format: Format) -> Vec<u8> {
    let text = match format {
        Format::Json | Format::Ndjson => ndjson::line(recorded),
        Format::Har => har::document(recorded),
        Format::Curl => curl::command(recorded),
        Format::Fetch => fetch::call(recorded),
        Format::Http => return http::text(recorded),
    };
    text.into_bytes()
}

/// A text, a part at a time.
fn chunks<E>(text: Result<Bytes, E>) -> impl Iterator<Item = Result<Bytes, E>> {
    let mut left = Some(text);
    iter::from_fn(move || match left.take()? {
        Ok(mut text) if text.len() > CHUNK => {
            let chunk = text.split_to(CHUNK);
            left = Some(Ok(text));
            Some(Ok(chunk))
        }
        last => Some(last),
    })
}

/// Requests as they come, one in memory at a time. After an error there is nothing more, not even the
/// end of the document: what is incomplete doesn't look whole.
pub fn stream<E>(
    requests: impl Stream<Item = Result<Recorded, E>>,
    format: Format,
) -> impl Stream<Item = Result<Bytes, E>> {
    let (head, between, tail) = match format {
        Format::Har => (har::HEAD, har::BETWEEN, har::TAIL),
        Format::Curl => ("", "\n", ""),
        _ => ("", "", ""),
    };
    let mut is_first = true;
    let entries = requests.map(move |recorded| {
        let recorded = recorded?;
        let before = if is_first { "" } else { between };
        is_first = false;
        let entry = match format {
            Format::Har => har::entry(&recorded).into_bytes(),
            format => one(&recorded, format),
        };
        Ok(Bytes::from([before.as_bytes(), &entry].concat()))
    });
    let entries = entries.flat_map(|entry| stream::iter(chunks(entry)));
    let part = |text: &'static str| stream::iter((!text.is_empty()).then(|| Ok(Bytes::from(text))));
    let mut has_failed = false;
    part(head)
        .chain(entries)
        .chain(part(tail))
        .take_while(move |part| {
            let goes_on = !has_failed;
            has_failed = part.is_err();
            ready(goes_on)
        })
}
