//! HAR 1.2 (<http://www.softwareishard.com/blog/har-12-spec/>), which browsers' developer tools and
//! other clients of HTTP import.
//!
//! Only requests are recorded: the part of the response says so, with status 0. A body that isn't text
//! is in base64, with `encoding` as the format has it for responses: it has nothing for requests. A
//! document is [`HEAD`], entries with [`BETWEEN`] them, and [`TAIL`].

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::json;
use super::message::{base64, url};
use crate::requests::recorded::Recorded;

/// How a document begins.
pub const HEAD: &str = concat!(
    r#"{"log":{"version":"1.2","creator":{"name":"Causeway","version":""#,
    env!("CARGO_PKG_VERSION"),
    "\"},\"entries\":[\n"
);
pub const BETWEEN: &str = ",\n";
pub const TAIL: &str = "\n]}}\n";

/// A document of one request.
pub fn document(recorded: &Recorded) -> String {
    format!("{HEAD}{}{TAIL}", entry(recorded))
}

/// One request, in a line without an end.
pub fn entry(recorded: &Recorded) -> String {
    let summary = &recorded.summary;
    let url = url(recorded);
    let query = url.split_once('?').map_or("", |(_, query)| query);
    json::line(&Entry {
        started: summary
            .received_at
            .try_to_rfc3339_string()
            .unwrap_or_default(),
        time: 0,
        request: Request {
            method: recorded.method(),
            http_version: "HTTP/1.1",
            cookies: [],
            headers: recorded.lines().map(named).collect(),
            query_string: Pairs(query.as_bytes()),
            post_data: post_data(recorded),
            headers_size: -1,
            body_size: recorded.body.len(),
            url: &url,
        },
        response: json!({
            "status": 0, "statusText": "", "httpVersion": "HTTP/1.1", "cookies": [], "headers": [],
            "content": {"size": 0, "mimeType": "x-unknown"},
            "redirectURL": "", "headersSize": -1, "bodySize": -1,
            "comment": "responses aren't recorded",
        }),
        cache: json!({}),
        timings: json!({"send": 0, "wait": 0, "receive": 0}),
        id: summary.id.to_hex(),
        remote_addr: &summary.remote_addr,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(rename = "startedDateTime")]
    started: String,
    time: u32,
    request: Request<'a>,
    response: Value,
    cache: Value,
    timings: Value,
    // Names of one's own begin with an underscore.
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_remote_addr")]
    remote_addr: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    method: &'a str,
    url: &'a str,
    http_version: &'static str,
    cookies: [(); 0],
    headers: Vec<Named<'a>>,
    query_string: Pairs<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    post_data: Option<PostData<'a>>,
    headers_size: i32,
    body_size: usize,
}

#[derive(Serialize)]
struct Named<'a> {
    name: Cow<'a, str>,
    value: Cow<'a, str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PostData<'a> {
    mime_type: &'a str,
    params: Pairs<'a>,
    text: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
}

fn named<'a>((name, value): (&'a str, &'a str)) -> Named<'a> {
    Named {
        name: name.into(),
        value: value.into(),
    }
}

/// The fields of a query or a form, one in memory at a time.
struct Pairs<'a>(&'a [u8]);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let pairs = form_urlencoded::parse(self.0);
        serializer.collect_seq(pairs.map(|(name, value)| Named { name, value }))
    }
}

fn post_data(recorded: &Recorded) -> Option<PostData<'_>> {
    if recorded.body.is_empty() {
        return None;
    }
    let mime_type = recorded
        .field("Content-Type")
        .unwrap_or("application/octet-stream");
    let (text, encoding) = match std::str::from_utf8(&recorded.body) {
        Ok(text) => (text.into(), None),
        Err(_) => (base64(&recorded.body).into(), Some("base64")),
    };
    Some(PostData {
        mime_type,
        params: Pairs(if recorded.is_form() {
            &recorded.body
        } else {
            &[]
        }),
        text,
        encoding,
    })
}
