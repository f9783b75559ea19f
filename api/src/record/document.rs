//! The document that records a request, equal to what Flask and Werkzeug would have written.
//!
//! `_id` first, then the five fields of the Flask application in its order, then ours: `received_at` and
//! `remote_addr`, and where Flask's fields can't tell all that came, what is missing:
//!
//! - `body` (Binary, subtype 0): the body's exact bytes, where `data` has U+FFFD in it, in place of bytes
//!   that aren't UTF-8 or because it came so. Elsewhere `data` as UTF-8 is the body, byte for byte.
//! - [`original`](super::original): the method's and the target's spelling, and header fields in full.
//!
//! Last comes [`trace`](super::trace), where the request belongs to one.
//!
//! Written as raw BSON, once; the body is copied once, into it.
//!
//! Where equality is impossible, or would be wrong:
//!
//! | request | Flask (development server) | here |
//! |---|---|---|
//! | `Authorization`, `Cookie`, … | stored | `[redacted]`, see `API_REDACT_HEADERS` |
//! | `X-Proxy-Token` | stored | left out |
//! | order of the fields in `headers` | as received | by name |
//! | spaces after a field's value | stored | not part of the value (RFC 9110 §5.5) |
//! | bytes above 0x7F, `"`, `<`, `>` bare in the request target | stored, misread as Latin-1 | 400 (RFC 3986 §2) |
//! | framing that RFC 9112 forbids: `Host` missing or repeated, two `Content-Length`, … | stored | 400 |
//! | HTTP/1.0 without `Host` | the server's listening address in `url` | the same |
//! | a Punycode host that IDNA 2003 has no text for | an error | the host as it came |
//! | more than 96 fields, or 96 KiB of them | up to 100 fields | 431 |
//!
//! Field names with an underscore are left out of `headers` by both (as nginx does): they can't be told
//! from those with a hyphen.

use std::borrow::Cow;
use std::iter;
use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, Uri};
use mongodb::bson::DateTime;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::{CStr, RawBinaryRef, RawDocumentBuf, cstr};
use mongodb::bson::spec::BinarySubtype;
use service::field_name::title_case;

use crate::record::original::{is_secret, original};
use crate::record::proxy_token;
use crate::record::request_url::request_url;
use crate::record::trace;

/// The largest document that MongoDB stores (`maxBsonObjectSize`).
const LARGEST_DOCUMENT: usize = 16 * 1024 * 1024;

/// The largest body whose document surely has no more than `size` bytes: its text can be three times
/// as long and its bytes stand beside that. So do the header fields, of a head of 96 KiB at most, each
/// byte of which takes two as text, and may be there twice.
pub(crate) fn largest_body(size: u64) -> u64 {
    const FIELDS: u64 = 512 << 10;
    if size >= LARGEST_DOCUMENT as u64 {
        u64::MAX
    } else {
        size.saturating_sub(FIELDS) / 4
    }
}

/// What stands in place of a redacted value.
const REDACTED: &str = "[redacted]";

/// A request as it was received, body included.
#[derive(Debug)]
pub struct Received<'a> {
    pub method: &'a Method,
    pub target: &'a Uri,
    pub headers: &'a HeaderMap,
    /// Body, decoded from its transfer coding.
    pub body: &'a [u8],
    /// Who is at the other end of the connection.
    pub peer: Option<IpAddr>,
    /// Whether `X-Real-IP` is believed: it may be the client's own invention.
    pub believes_real_ip: bool,
    /// Whether it is certain that our proxy sent it: what it says of TLS is believed then.
    pub is_from_proxy: bool,
    /// Where we listen: the host of a request that names none.
    pub local: SocketAddr,
    /// When the request's head was read.
    pub at: DateTime,
}

/// A body that makes the document larger than MongoDB stores: bytes that aren't UTF-8 take four each,
/// three as text and their own.
#[derive(Debug, thiserror::Error)]
#[error("the document would have {0} bytes; MongoDB stores up to {LARGEST_DOCUMENT}")]
pub struct TooLarge(usize);

impl Received<'_> {
    /// The document under `id`; values of the fields in `redact` are left out.
    pub fn document(
        &self,
        id: ObjectId,
        redact: &[HeaderName],
    ) -> Result<RawDocumentBuf, TooLarge> {
        let mut document = RawDocumentBuf::new();
        document.append(cstr!("_id"), id);
        document.append(cstr!("endpoint"), "home");
        document.append(cstr!("method"), &*upper(self.method.as_str()));
        let (url, path_at) = request_url(self.is_secure(), &self.host(), self.target.query());
        document.append(cstr!("url"), url.as_str());
        let (headers, partial) = self.header_document(redact);
        document.append(cstr!("headers"), headers);
        // Several times as quick as looking for what has to be replaced.
        let data = str::from_utf8(self.body)
            .map_or_else(|_| String::from_utf8_lossy(self.body), Cow::Borrowed);
        document.append(cstr!("data"), &*data);
        document.append(cstr!("received_at"), self.at);
        document.append(cstr!("remote_addr"), &*self.remote_addr());
        if data.contains(char::REPLACEMENT_CHARACTER) {
            let body = RawBinaryRef {
                subtype: BinarySubtype::Generic,
                bytes: self.body,
            };
            document.append(cstr!("body"), body);
        }
        if let Some(original) = original(self, &url, path_at, &partial) {
            document.append(cstr!("original"), original);
        }
        trace::append(self.headers, &mut document);
        match document.as_bytes().len() {
            size if size > LARGEST_DOCUMENT => Err(TooLarge(size)),
            _ => Ok(document),
        }
    }

    /// Whether the client spoke TLS, where the proxy says so and is believed.
    fn is_secure(&self) -> bool {
        let mut claimed = self.headers.get_all("x-forwarded-proto");
        let https = claimed.next().is_some_and(|scheme| scheme == "https");
        self.is_from_proxy && https && claimed.next().is_none()
    }

    /// The authority of an absolute target comes before `Host` (RFC 9112 §3.2.2).
    fn host(&self) -> Cow<'_, str> {
        match (self.target.authority(), self.headers.get(header::HOST)) {
            (Some(authority), _) => authority.as_str().into(),
            (None, Some(host)) => latin1(host.as_bytes()),
            (None, None) => self.local.to_string().into(),
        }
    }

    /// `X-Real-IP` as the proxy sets it where that is believed, else the peer's address.
    fn remote_addr(&self) -> String {
        if !self.believes_real_ip {
            return text_of(self.peer);
        }
        let mut claimed = self.headers.get_all("x-real-ip");
        let real = claimed
            .next()
            .and_then(|value| value.to_str().ok()?.parse::<IpAddr>().ok());
        let real = real.filter(|_| claimed.next().is_none());
        text_of(real.or(self.peer))
    }

    /// The fields, and those of which this tells less than came.
    fn header_document<'h>(
        &'h self,
        redact: &[HeaderName],
    ) -> (RawDocumentBuf, Vec<&'h HeaderName>) {
        let mut names: Vec<&HeaderName> = self.headers.keys().collect();
        names.sort_unstable_by_key(|name| name.as_str());
        let mut document = RawDocumentBuf::new();
        let mut partial = Vec::new();
        let mut title = String::new();
        for name in names {
            if name == proxy_token::FIELD {
                continue;
            }
            if name.as_str().contains('_') {
                partial.extend((!is_secret(name, redact)).then_some(name));
                continue;
            }
            let (value, is_whole) = if redact.contains(name) {
                (REDACTED.into(), true)
            } else {
                self.header_value(name)
            };
            // WSGI has no difference between an empty Content-Type and none.
            let is_empty = value.is_empty() && name == header::CONTENT_TYPE;
            if !is_whole || is_empty {
                partial.push(name);
            }
            if is_empty {
                continue;
            }
            title.clear();
            title.extend(title_case(name.as_str()));
            // A field name has no NUL (RFC 9110 §5.6.2), so this never fails.
            if let Ok(key) = <&CStr>::try_from(title.as_str()) {
                document.append(key, &*value);
            }
        }
        (document, partial)
    }

    /// The value of a field, several values joined by commas, and whether it is all that came. `Host` and
    /// `Content-Type` are single.
    fn header_value(&self, name: &HeaderName) -> (Cow<'_, str>, bool) {
        if *name == header::HOST {
            let is_single = self.headers.get_all(name).nth(1).is_none();
            let is_whole = self.target.authority().is_none() && is_single;
            return (self.host(), is_whole);
        }
        let mut values = self.headers.get_all(name).map(HeaderValue::as_bytes);
        let first = latin1(values.next().unwrap_or_default());
        let Some(second) = values.next() else {
            return (first, true);
        };
        if *name == header::CONTENT_TYPE {
            return (latin1(values.last().unwrap_or(second)), false);
        }
        let joined = iter::once(second).chain(values);
        let joined = joined.fold(first.into_owned(), |joined, value| {
            joined + "," + &latin1(value)
        });
        (joined.into(), false)
    }
}

/// Header fields are bytes; WSGI reads them as Latin-1 (PEP 3333, "Unicode Issues").
pub(super) fn latin1(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => text.into(),
        _ => bytes
            .iter()
            .map(|byte| char::from(*byte))
            .collect::<String>()
            .into(),
    }
}

fn upper(method: &str) -> Cow<'_, str> {
    if method.bytes().any(|byte| byte.is_ascii_lowercase()) {
        method.to_ascii_uppercase().into()
    } else {
        method.into()
    }
}

fn text_of(address: Option<IpAddr>) -> String {
    address
        .map(|address| address.to_canonical().to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mongodb::bson::{Document, bson, doc};

    fn document(headers: &[(&str, &[u8])], body: &[u8], redact: &[HeaderName]) -> Document {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                name.parse().unwrap(),
                HeaderValue::from_bytes(value).unwrap(),
            );
        }
        let received = Received {
            method: &Method::from_bytes(b"Get").unwrap(),
            target: &Uri::from_static("/?a=b"),
            headers: &map,
            body,
            peer: Some("::ffff:192.0.2.7".parse().unwrap()),
            believes_real_ip: true,
            is_from_proxy: true,
            local: "0.0.0.0:9090".parse().unwrap(),
            at: DateTime::from_millis(1_700_000_000_000),
        };
        let raw = received.document(ObjectId::new(), redact).unwrap();
        Document::try_from(raw).unwrap()
    }

    #[test]
    fn fields_come_in_order_with_their_types() {
        let document = document(&[("host", b"localhost:8080")], b"\xff!", &[]);
        let keys: Vec<_> = document.keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "_id",
                "endpoint",
                "method",
                "url",
                "headers",
                "data",
                "received_at",
                "remote_addr",
                "body",
                "original"
            ]
        );
        assert_eq!(
            document.get_binary_generic("body").unwrap().as_slice(),
            b"\xff!"
        );
        assert_eq!(
            document.get_document("original").unwrap(),
            &doc! { "method": "Get" }
        );
        assert!(document.get_object_id("_id").is_ok());
        assert_eq!(document.get_str("method").unwrap(), "GET");
        assert_eq!(
            document.get_str("url").unwrap(),
            "http://localhost:8080/?a=b"
        );
        assert_eq!(document.get_str("data").unwrap(), "\u{fffd}!");
        assert_eq!(
            document
                .get_datetime("received_at")
                .unwrap()
                .timestamp_millis(),
            1_700_000_000_000
        );
        assert_eq!(document.get_str("remote_addr").unwrap(), "192.0.2.7");
    }

    #[test]
    fn the_url_says_whether_the_client_spoke_tls() {
        for (claimed, url) in [
            (&["https"][..], "https://h/?a=b"),
            (&["http"], "http://h/?a=b"),
            (&["https", "https"], "http://h/?a=b"),
            (&["https, http"], "http://h/?a=b"),
        ] {
            let claimed = claimed
                .iter()
                .map(|it| ("x-forwarded-proto", it.as_bytes()));
            let fields: Vec<_> = std::iter::once(("host", &b"h"[..]))
                .chain(claimed)
                .collect();
            let document = document(&fields, b"", &[]);
            assert_eq!(document.get_str("url").unwrap(), url);
        }
    }

    #[test]
    fn header_names_and_values_are_as_wsgi_has_them() {
        let document = document(
            &[
                ("x-foo2bar", b"1"),
                ("x-foo2bar", b"2"),
                ("$set.x", b"\xe9"),
                ("x_real", b"dropped"),
                ("content-type", b""),
                ("x-proxy-token", b"secret"),
            ],
            b"",
            &[],
        );
        let headers = document.get_document("headers").unwrap();
        assert_eq!(headers.get_str("X-Foo2Bar").unwrap(), "1,2");
        assert_eq!(headers.get_str("$Set.X").unwrap(), "é");
        assert_eq!(headers.len(), 2);
        let lines = [
            ["Content-Type", ""],
            ["X-Foo2Bar", "1"],
            ["X-Foo2Bar", "2"],
            ["X_Real", "dropped"],
        ];
        let lines = bson!(lines.map(|line| bson!(line.to_vec())).to_vec());
        let original = document.get_document("original").unwrap();
        assert_eq!(original.get("headers"), Some(&lines));
        assert_eq!(document.get_str("url").unwrap(), "http://0.0.0.0:9090/?a=b");
    }

    #[test]
    fn redacted_values_are_not_there() {
        let redact = [header::AUTHORIZATION, header::SET_COOKIE];
        let fields = ["authorization", "set_cookie", "set-cookie", "x_proxy_token"];
        let fields = fields.map(|name| [(name, &b"secret"[..]); 2]);
        let document = document(fields.as_flattened(), b"", &redact);
        let headers = document.get_document("headers").unwrap();
        assert_eq!(headers.get_str("Authorization").unwrap(), REDACTED);
        assert!(!document.to_string().contains("secret"), "{document}");
    }

    #[test]
    fn the_largest_document_has_room_in_what_is_reckoned() {
        let body = vec![0xff; 1 << 20];
        let value = vec![0xff; 47 << 10];
        let fields = [
            ("x_a", value.as_slice()),
            ("x-b", &value[1..]),
            ("x-b", b""),
        ];
        let document = document(&fields, &body, &[]);
        let size = document.to_vec().unwrap().len() as u64;
        assert!(largest_body(size) < 1 << 20, "{size}");
        assert!(largest_body((4 << 20) + (512 << 10)) >= 1 << 20);
        assert!(size <= (4 << 20) + (512 << 10), "{size}");
    }

    #[test]
    fn only_a_single_valid_address_is_believed() {
        for (values, expected) in [
            (&["203.0.113.9"][..], "203.0.113.9"),
            (&["2001:DB8::1"], "2001:db8::1"),
            (&["nonsense"], "192.0.2.7"),
            (&["203.0.113.9", "203.0.113.10"], "192.0.2.7"),
        ] {
            let headers: Vec<_> = values.iter().map(|v| ("x-real-ip", v.as_bytes())).collect();
            let document = document(&headers, b"", &[]);
            assert_eq!(document.get_str("remote_addr").unwrap(), expected);
        }
    }
}
