//! The document that records a request, equal to what Flask and Werkzeug would have written.
//!
//! `_id` first, then the five fields of the Flask application in its order, then ours:
//! `received_at` and `remote_addr`. Written as raw BSON, once; the body is copied once, into it.
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
//! Field names with an underscore are left out by both (as nginx does): they can't be told from
//! those with a hyphen.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, Uri};
use mongodb::bson::DateTime;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::{CStr, RawDocumentBuf, cstr};
use service::field_name::title_case;

use crate::record::proxy_token;
use crate::record::request_url::request_url;
use crate::record::trace;

/// The largest document that MongoDB stores (`maxBsonObjectSize`).
const LARGEST_DOCUMENT: usize = 16 * 1024 * 1024;

/// The largest body whose document surely has no more than `size` bytes: its text can be three times
/// as long, and the header fields come beside it.
pub(crate) fn largest_body(size: u64) -> u64 {
    const FIELDS: u64 = 256 << 10;
    if size >= LARGEST_DOCUMENT as u64 {
        u64::MAX
    } else {
        size.saturating_sub(FIELDS) / 3
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

/// Text that makes the document larger than MongoDB stores: bytes that aren't UTF-8 take three
/// each.
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
        document.append(
            cstr!("url"),
            &*request_url(self.is_secure(), &self.host(), self.target.query()),
        );
        document.append(cstr!("headers"), self.header_document(redact));
        document.append(cstr!("data"), &*String::from_utf8_lossy(self.body));
        document.append(cstr!("received_at"), self.at);
        document.append(cstr!("remote_addr"), &*self.remote_addr());
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

    fn header_document(&self, redact: &[HeaderName]) -> RawDocumentBuf {
        let mut names: Vec<&HeaderName> = self.headers.keys().collect();
        names.sort_unstable_by_key(|name| name.as_str());
        let mut document = RawDocumentBuf::new();
        let mut title = String::new();
        for name in names {
            if name.as_str().contains('_') || name == proxy_token::FIELD {
                continue;
            }
            let value = if redact.contains(name) {
                REDACTED.into()
            } else {
                self.header_value(name)
            };
            // WSGI has no difference between an empty Content-Type and none.
            if value.is_empty() && name == header::CONTENT_TYPE {
                continue;
            }
            title.clear();
            title.extend(title_case(name.as_str()));
            // A field name has no NUL (RFC 9110 §5.6.2), so this never fails.
            if let Ok(key) = <&CStr>::try_from(title.as_str()) {
                document.append(key, &*value);
            }
        }
        document
    }

    /// The value of a field, several values joined by commas. `Host` and `Content-Type` are single.
    fn header_value(&self, name: &HeaderName) -> Cow<'_, str> {
        if *name == header::HOST {
            return self.host();
        }
        let mut values = self.headers.get_all(name).map(HeaderValue::as_bytes);
        let first = latin1(values.next().unwrap_or_default());
        if *name == header::CONTENT_TYPE {
            return values.last().map_or(first, latin1);
        }
        values.fold(first, |joined, value| {
            (joined.into_owned() + "," + &latin1(value)).into()
        })
    }
}

/// Header fields are bytes; WSGI reads them as Latin-1 (PEP 3333, "Unicode Issues").
fn latin1(bytes: &[u8]) -> Cow<'_, str> {
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
    use mongodb::bson::Document;

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
                "remote_addr"
            ]
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
        assert_eq!(document.get_str("url").unwrap(), "http://0.0.0.0:9090/?a=b");
    }

    #[test]
    fn redacted_values_are_not_there() {
        let redact = [header::AUTHORIZATION];
        let document = document(&[("authorization", b"Basic c2VjcmV0")], b"", &redact);
        let headers = document.get_document("headers").unwrap();
        assert_eq!(headers.get_str("Authorization").unwrap(), REDACTED);
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
