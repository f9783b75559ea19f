//! What is told of a request's span, by OpenTelemetry's conventions for HTTP servers
//! (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server>).
//!
//! No more than the access log has, and less: no query, no fields. What clients choose is cut to the
//! same lengths.

use std::time::{Duration, SystemTime};

use service::trace::{self, KeyValue, SpanKind, Told};

use super::access_log::limit_of;
use crate::{
    exchange::{Summary, error_page::Failure},
    http1::Method,
    rewrite::{hop::Hop, request::RequestFacts, request_id::RequestId},
};

/// Stands for the status where a client was gone before there was one.
const CLIENT_GONE: u16 = 499;

/// What the span of a request tells that began then and took so long.
pub(crate) fn told(
    peer: &str,
    hop: Hop,
    id: &RequestId,
    facts: &RequestFacts<'_>,
    summary: &Summary,
    (start, took): (SystemTime, Duration),
) -> Told {
    let error = error(summary);
    let failed = error.is_some();
    let mut attributes = Vec::with_capacity(18);
    let mut tell = |name: &'static str, text: String| attributes.push(KeyValue::new(name, text));
    let method = match facts.method {
        Method::Other => {
            tell(
                "http.request.method_original",
                cut("method", facts.method_token),
            );
            "_OTHER"
        }
        known => known.name(),
    };
    tell("http.request.method", method.to_owned());
    let path = facts.path.split('?').next().unwrap_or_default();
    tell("url.path", cut("path", path));
    tell(
        "url.scheme",
        if facts.secure { "https" } else { "http" }.to_owned(),
    );
    let client = facts.client.map(|client| client.to_string());
    tell("client.address", client.unwrap_or_else(|| peer.to_owned()));
    tell("network.peer.address", peer.to_owned());
    let version = hop.received(facts.version);
    let version = if version == "2.0" { "2" } else { version };
    tell("network.protocol.version", version.to_owned());
    if !facts.user_agent.is_empty() {
        let text = String::from_utf8_lossy(facts.user_agent);
        tell("user_agent.original", cut("user_agent", &text));
    }
    if let Some(error) = error {
        tell("error.type", error);
    }
    tell("causeway.request.id", id.as_str().to_owned());
    if let Some(backend) = &summary.backend {
        tell("causeway.upstream.address", backend.label.clone());
    }
    let (address, port) = facts.host.map(server).unwrap_or_default();
    if !address.is_empty() {
        tell("server.address", cut("host", address));
    }
    attributes.extend(port.map(|port| KeyValue::new("server.port", i64::from(port))));
    // Of a client that is gone there was none.
    if summary.status != CLIENT_GONE {
        let status = i64::from(summary.status);
        attributes.push(KeyValue::new("http.response.status_code", status));
    }
    if summary.retries > 0 {
        let retries = i64::from(summary.retries);
        attributes.push(KeyValue::new("http.request.resend_count", retries));
    }
    Told {
        name: if method == "_OTHER" { "HTTP" } else { method }.to_owned(),
        kind: SpanKind::Server,
        start,
        took,
        attributes,
        failed,
    }
}

/// The kind of failure, of few values, where it isn't the client's: what it did wrong is a status only.
fn error(summary: &Summary) -> Option<String> {
    if (400..CLIENT_GONE).contains(&summary.status) {
        return None;
    }
    let failure = summary.failure.map(Failure::kind).map(str::to_owned);
    failure.or_else(|| (summary.status >= 500).then(|| summary.status.to_string()))
}

/// A `Host` that was looked at, in its parts. Addresses of IPv6 are in brackets there.
fn server(host: &[u8]) -> (&str, Option<u16>) {
    let host = str::from_utf8(host).unwrap_or_default();
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()),
        _ => (host, None),
    };
    (name.trim_start_matches('[').trim_end_matches(']'), port)
}

fn cut(field: &str, text: &str) -> String {
    trace::cut(text, limit_of(field))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_address_and_may_have_a_port() {
        for (host, expected) in [
            ("a.example", ("a.example", None)),
            ("a.example:8080", ("a.example", Some(8080))),
            ("a.example:", ("a.example", None)),
            ("[::1]:443", ("::1", Some(443))),
            ("[::1]", ("::1", None)),
            ("", ("", None)),
        ] {
            assert_eq!(server(host.as_bytes()), expected);
        }
    }
}
