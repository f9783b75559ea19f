//! A recorded request as a message that can be sent again.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::requests::filter::is_token;
use crate::requests::recorded::Recorded;

/// What stands in place of a value that the API doesn't record.
const REDACTED: &str = "[redacted]";

/// What no request is taken with as it is, so that it was encoded: the API's parser refuses it. Other
/// characters stand for themselves, as does `%`.
const NOT_SENT: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>');

/// Fields between two neighbours (RFC 9110 §7.6.1), and the framing, which the body gives.
const OF_THE_CONNECTION: [&str; 10] = [
    "Connection",
    "Content-Length",
    "Expect",
    "Http2-Settings",
    "Keep-Alive",
    "Proxy-Connection",
    "Te",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
];

/// Fields that proxies write, and write anew on the next way.
const OF_THE_WAY: [&str; 7] = [
    "Forwarded",
    "Via",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Real-Ip",
    "X-Request-Id",
];

/// What is sent again.
pub(super) struct Message<'a> {
    pub(super) method: &'a str,
    pub(super) url: String,
    /// Without `Host` where the URL says as much.
    pub(super) headers: Vec<(&'a str, &'a str)>,
    /// Names of fields that can't be sent as they came: their values weren't recorded, or no message may
    /// have them.
    pub(super) left_out: Vec<&'a str>,
    pub(super) body: &'a [u8],
    pub(super) is_exact: bool,
}

impl<'a> Message<'a> {
    pub(super) fn of(recorded: &'a Recorded) -> Self {
        let url = url(recorded);
        let (mut headers, mut left_out) = (Vec::new(), Vec::new());
        for (name, value) in recorded.lines() {
            let named = |names: &[&str]| names.iter().any(|it| it.eq_ignore_ascii_case(name));
            if named(&OF_THE_CONNECTION) || named(&OF_THE_WAY) {
                continue;
            }
            if name.eq_ignore_ascii_case("Host") && authority(&url) == value {
                continue;
            }
            if value == REDACTED || !is_field(name, value) {
                left_out.push(name);
            } else {
                headers.push((name, value));
            }
        }
        Self {
            method: recorded.method(),
            url,
            headers,
            left_out,
            body: &recorded.body,
            is_exact: recorded.is_exact,
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        let mut names = self.headers.iter().map(|(it, _)| it);
        names.any(|it| it.eq_ignore_ascii_case(name))
    }

    /// What of the recorded request isn't sent, for a comment: a line each, of letters, digits and
    /// plain punctuation, in which no shell finds anything to do.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if !self.left_out.is_empty() {
            let names: Vec<_> = self.left_out.iter().map(|name| plain(name)).collect();
            remarks.push(format!(
                "left out, because their values were not recorded or can not be sent: {}",
                names.join(", ")
            ));
        }
        if !self.is_exact {
            remarks.push("the body had bytes that are no text, which were not recorded".to_owned());
        }
        remarks
    }
}

pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The recorded URL is for reading, with what was encoded in it decoded; this is the one that was asked
/// for. Its host is that of `Host` where it has none, or one that was decoded, and it leads to nothing but
/// HTTP.
pub(super) fn url(recorded: &Recorded) -> String {
    let url = &recorded.summary.url;
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) => (scheme, rest),
        _ => ("http", url.as_str()),
    };
    let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let target = match recorded.original.target.as_deref() {
        Some(sent) if sent.starts_with('/') => sent.into(),
        // The absolute form.
        Some(sent) => self::target(sent),
        None => target.into(),
    };
    let sent = recorded
        .field("Host")
        .filter(|_| authority.is_empty() || !authority.is_ascii());
    let authority = utf8_percent_encode(sent.unwrap_or(authority), NOT_SENT);
    format!(
        "{scheme}://{authority}{}",
        utf8_percent_encode(&target, NOT_SENT)
    )
}

pub(super) fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Path and query, as they stand in a request.
pub(super) fn target(url: &str) -> Cow<'_, str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    match rest.find(['/', '?', '#']) {
        Some(at) if rest[at..].starts_with('/') => rest[at..].into(),
        Some(at) => format!("/{}", &rest[at..]).into(),
        None => "/".into(),
    }
}

/// A value's bytes: it was recorded as Latin-1. What no byte stands for is UTF-8, as it came.
pub(super) fn bytes(value: &str) -> Vec<u8> {
    let latin1: Result<Vec<u8>, _> = value.chars().map(u8::try_from).collect();
    latin1.unwrap_or_else(|_| value.as_bytes().to_vec())
}

/// Whether it can stand in a message without being taken for something else (RFC 9110 §5).
pub(super) fn is_field(name: &str, value: &str) -> bool {
    is_token(name) && !value.contains(|c: char| c.is_ascii_control() && c != '\t')
}

fn plain(name: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '_'
        }
    };
    name.chars().map(plain).collect()
}
