//! The message that a recorded request is sent again as.

use std::borrow::Cow;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Bytes;
use hyper::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::{Method, Uri};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::source::Recorded;
use super::target::Target;

/// What stands in place of a value that the API doesn't record.
const REDACTED: &str = "[redacted]";

/// What no request is taken with as it is, so that it was encoded.
const NOT_SENT: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>');

/// Fields of a connection (RFC 9110 §7.6.1), besides those that `Connection` names, and its framing, which
/// the body gives.
const OF_THE_CONNECTION: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Fields that the proxy writes, and the next one writes anew.
const OF_THE_PROXY: [&str; 8] = [
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-proxy-token",
    "x-real-ip",
    "x-request-id",
];

/// What is sent.
pub(super) struct Message {
    pub(super) id: String,
    pub(super) received_at: SystemTime,
    pub(super) method: Method,
    pub(super) target: Uri,
    /// `Host` among them.
    pub(super) fields: HeaderMap,
    pub(super) body: Bytes,
    /// Names of fields whose values weren't recorded, or are none that can be sent.
    pub(super) left_out: Vec<String>,
}

/// Why a request can't be sent as it was.
#[derive(Debug)]
pub(super) struct Unsendable(pub(super) &'static str);

impl Message {
    pub(super) fn of(
        recorded: &Recorded,
        to: &Target,
        keep_host: bool,
    ) -> Result<Self, Unsendable> {
        let body = body(recorded)?;
        let original = &recorded.original;
        let method = original.method.as_ref().unwrap_or(&recorded.method);
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| Unsendable("its method is none of HTTP's"))?;
        let target = target(recorded, keep_host);
        let target = target
            .parse()
            .map_err(|_| Unsendable("its target is none of HTTP's"))?;
        let (mut fields, left_out) = fields(recorded);
        if !keep_host || !fields.contains_key(HOST) {
            fields.insert(HOST, to.authority.clone());
        }
        if body.is_empty() && is_framed(recorded) {
            fields.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let received_at = humantime::parse_rfc3339_weak(&recorded.received_at);
        Ok(Self {
            id: recorded.id.clone(),
            received_at: received_at.unwrap_or(SystemTime::UNIX_EPOCH),
            method,
            target,
            fields,
            body,
            left_out,
        })
    }
}

fn body(recorded: &Recorded) -> Result<Bytes, Unsendable> {
    if !recorded.body_exact {
        return Err(Unsendable(
            "its body's bytes weren't recorded: it isn't UTF-8, and from before they were kept",
        ));
    }
    match (&recorded.body, &recorded.body_base64) {
        (Some(text), _) => Ok(text.clone().into()),
        (None, Some(base64)) => STANDARD
            .decode(base64)
            .map(Bytes::from)
            .map_err(|_| Unsendable("its body isn't told as base64")),
        (None, None) => Err(Unsendable("its body isn't told")),
    }
}

/// As it was sent, in origin form where the host is another one (RFC 9112 §3.2).
fn target(recorded: &Recorded, keep_host: bool) -> Cow<'_, str> {
    if let Some(sent) = &recorded.original.target {
        let is_absolute = !sent.starts_with('/');
        return match path_of(sent) {
            path if is_absolute && !keep_host => path.into(),
            _ => sent.into(),
        };
    }
    utf8_percent_encode(path_of(&recorded.url), NOT_SENT).into()
}

/// Path and query of a URL.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("/", |at| &rest[at..])
}

/// The fields that are sent, and the names of those that would be and can't.
fn fields(recorded: &Recorded) -> (HeaderMap, Vec<String>) {
    let nominated: Vec<String> = lines(recorded)
        .filter(|(name, _)| name.eq_ignore_ascii_case("connection"))
        .flat_map(|(_, value)| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let (mut fields, mut left_out) = (HeaderMap::new(), Vec::new());
    for (name, value) in lines(recorded) {
        let lower = name.to_ascii_lowercase();
        if OF_THE_CONNECTION.contains(&&*lower)
            || OF_THE_PROXY.contains(&&*lower)
            || nominated.contains(&lower)
        {
            continue;
        }
        let sent = HeaderName::from_bytes(lower.as_bytes())
            .ok()
            .zip(HeaderValue::from_bytes(&bytes(value)).ok());
        match sent {
            Some((name, value)) if value != REDACTED => _ = fields.append(name, value),
            _ => left_out.push(name.to_owned()),
        }
    }
    (fields, left_out)
}

/// The fields as they came, a line each.
fn lines(recorded: &Recorded) -> impl Iterator<Item = (&str, &str)> {
    let in_full = &recorded.original.headers;
    let others = recorded.headers.iter().filter(|(name, _)| {
        let mut in_full = in_full.iter();
        !in_full.any(|(it, _)| it == *name)
    });
    let others = others.map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default()));
    others.chain(in_full.iter().map(|(name, value)| (&**name, &**value)))
}

/// Whether a body was announced, which may have been an empty one.
fn is_framed(recorded: &Recorded) -> bool {
    lines(recorded).any(|(name, _)| {
        [CONTENT_LENGTH, TRANSFER_ENCODING]
            .iter()
            .any(|it| name.eq_ignore_ascii_case(it.as_str()))
    })
}

/// A value's bytes: it was recorded as Latin-1. What no byte stands for is UTF-8, as it came.
fn bytes(value: &str) -> Vec<u8> {
    let latin1: Result<Vec<u8>, _> = value.chars().map(u8::try_from).collect();
    latin1.unwrap_or_else(|_| value.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn message(told: Value, keep_host: bool) -> Result<Message, Unsendable> {
        let to = super::super::target::target("http://to.test:81").unwrap();
        Message::of(&serde_json::from_value(told).unwrap(), &to, keep_host)
    }

    fn fields_of(message: &Message) -> Vec<(&str, &[u8])> {
        let fields = message.fields.iter();
        let mut fields: Vec<_> = fields
            .map(|(name, it)| (name.as_str(), it.as_bytes()))
            .collect();
        fields.sort_unstable();
        fields
    }

    #[test]
    fn it_has_what_was_sent_less_what_is_the_connections_and_the_proxys() {
        let told = json!({
            "id": "1", "method": "POST", "url": "http://h:8080/?é", "body_base64": "/wA=",
            "body_exact": true,
            "headers": {
                "Authorization": "[redacted]", "Connection": "X-Hop, close", "Content-Length": "2",
                "Host": "h:8080", "Via": "1.1 causeway", "X-A": "1,2", "X-Hop": "1", "X-Latin": "\u{e9}",
                "X-Request-Id": "1", "X-Forwarded-For": "192.0.2.1", "Expect": "100-continue",
            },
            "original": {
                "method": "Post", "target": "/?%C3%A9",
                "headers": [["X-A", "1"], ["X-A", "2"], ["X_B", "b"]],
            },
        });
        let sent = message(told.clone(), false).unwrap();
        assert_eq!(
            (sent.method.as_str(), sent.target.to_string()),
            ("Post", "/?%C3%A9".to_owned())
        );
        assert_eq!(*sent.body, [0xff, 0]);
        assert_eq!(sent.left_out, ["Authorization"]);
        let expected: [(&str, &[u8]); 5] = [
            ("host", b"to.test:81"),
            ("x-a", b"1"),
            ("x-a", b"2"),
            ("x-latin", b"\xe9"),
            ("x_b", b"b"),
        ];
        assert_eq!(fields_of(&sent), expected);
        assert_eq!(message(told, true).unwrap().fields[HOST], "h:8080");
    }

    #[test]
    fn targets_are_as_they_were() {
        for (url, original, kept, other) in [
            ("http://h/?a|b%zz", None, "/?a|b%zz", "/?a|b%zz"),
            (
                "http://h/?\"é <>",
                None,
                "/?%22%C3%A9%20%3C%3E",
                "/?%22%C3%A9%20%3C%3E",
            ),
            ("http:///", Some("//"), "//", "//"),
            (
                "http://h/?u=http://x/y",
                None,
                "/?u=http://x/y",
                "/?u=http://x/y",
            ),
            (
                "http://h/",
                Some("/?u=http://x/%41"),
                "/?u=http://x/%41",
                "/?u=http://x/%41",
            ),
            (
                "http://h:1/?a",
                Some("http://H:1/?a"),
                "http://H:1/?a",
                "/?a",
            ),
        ] {
            let told = json!({
                "method": "GET", "url": url, "body": "", "body_exact": true,
                "original": original.map_or(json!({}), |it| json!({ "target": it })),
            });
            for (keep_host, expected) in [(true, kept), (false, other)] {
                let sent = message(told.clone(), keep_host).unwrap();
                assert_eq!(sent.target.to_string(), expected, "{url}");
            }
        }
    }

    #[test]
    fn an_empty_body_that_was_announced_is_announced() {
        for (field, length) in [
            ("Content-Length", Some("0")),
            ("Transfer-Encoding", Some("0")),
            ("X-A", None),
        ] {
            let told = json!({
                "method": "POST", "url": "http://h/", "body": "", "body_exact": true,
                "headers": { field: "chunked" },
            });
            let sent = message(told, false).unwrap();
            let announced = sent
                .fields
                .get(CONTENT_LENGTH)
                .map(|it| it.to_str().unwrap());
            assert_eq!(announced, length);
        }
    }

    #[test]
    fn what_was_not_recorded_whole_is_not_sent() {
        let told = |method: &str, exact| json!({ "method": method, "url": "http://h/", "body": "\u{fffd}", "body_exact": exact });
        assert!(message(told("GET", true), false).is_ok());
        for told in [
            told("GET", false),
            told("", true),
            told("G T", true),
            json!({"body_exact": true}),
        ] {
            assert!(message(told.clone(), false).is_err(), "{told}");
        }
    }
}
