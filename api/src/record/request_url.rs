//! The `url` field: what Werkzeug's `request.url` gives for a request.
//!
//! Werkzeug writes an IRI: percent-encoded UTF-8 is decoded for reading, except for characters that
//! would change the meaning of the URL or that can't be seen (controls, space, `%`, and the
//! delimiters of the part they stand in), and except for bytes that aren't UTF-8. The host is
//! lower-cased, its Punycode decoded, the scheme's own port left out; a host with characters that host names don't
//! have is left out altogether. Checked against Flask itself in the parity tests.

use std::fmt::Write as _;

/// Characters whose percent-encoding stays in a query (besides controls, which always stay).
const KEPT_IN_QUERY: &[u8] = b" %&=+#\x7f";

/// Bytes that Werkzeug passes through in a query besides ASCII letters, digits and `_.-~`.
const SAFE_IN_QUERY: &[u8] = b"_.-~!$&'()*+,/:;=?@%";

/// The URL of a request for `/`, which came with TLS if it is `secure`.
///
/// `host` is the `Host` field or the authority of an absolute request target; `query` what follows
/// the first `?` of the target, if anything does. Also says where in it the path begins.
pub(crate) fn request_url(secure: bool, host: &str, query: Option<&str>) -> (String, usize) {
    let query = query.filter(|query| !query.is_empty());
    let mut url = String::with_capacity(10 + host.len() + query.map_or(0, |query| query.len() + 1));
    let (scheme, usual_port) = if secure {
        ("https://", ":443")
    } else {
        ("http://", ":80")
    };
    url.push_str(scheme);
    push_host(&mut url, host.strip_suffix(usual_port).unwrap_or(host));
    let path_at = url.len();
    url.push('/');
    if let Some(query) = query {
        url.push('?');
        push_query(&mut url, query.as_bytes());
    }
    (url, path_at)
}

fn push_host(url: &mut String, host: &str) {
    let Some((name, port)) = split_host(host) else {
        return;
    };
    if name.starts_with('[') {
        url.push_str(&name.to_ascii_lowercase());
    } else {
        for (index, label) in name.to_ascii_lowercase().split('.').enumerate() {
            if index > 0 {
                url.push('.');
            }
            push_label(url, label);
        }
    }
    if let Some(port) = port {
        url.push(':');
        url.push_str(port);
    }
}

/// Splits a well-formed host (a name, an IPv4 address or an IPv6 address in brackets) from its port.
fn split_host(host: &str) -> Option<(&str, Option<&str>)> {
    let port_at = match host.rfind(']') {
        Some(end) => host[end..].find(':').map(|offset| end + offset),
        None => host.find(':'),
    };
    let (name, port) = match port_at {
        Some(at) => (&host[..at], Some(&host[at + 1..])),
        None => (host, None),
    };
    let name_ok = match name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
    {
        Some(address) => {
            let (head, tail) = address.split_once(':')?;
            head.bytes().all(|byte| byte.is_ascii_hexdigit())
                && !tail.is_empty()
                && tail
                    .bytes()
                    .all(|byte| byte.is_ascii_hexdigit() || b".:".contains(&byte))
        }
        None => {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
        }
    };
    let port_ok = port.is_none_or(|port| {
        !port.starts_with('0')
            && port.bytes().all(|byte| byte.is_ascii_digit())
            && port.parse::<u16>().is_ok()
    });
    (name_ok && port_ok).then_some((name, port))
}

/// Appends a label of a host name, decoded if it is Punycode that can be decoded.
fn push_label(url: &mut String, label: &str) {
    match label
        .starts_with("xn--")
        .then(|| idna::domain_to_unicode(label))
    {
        Some((decoded, Ok(()))) => url.push_str(&decoded),
        _ => url.push_str(label),
    }
}

fn push_query(url: &mut String, query: &[u8]) {
    // Bytes of the percent-encoded run being decoded: UTF-8 may spread over several escapes.
    let mut run = Vec::new();
    let mut rest = query;
    while let [byte, tail @ ..] = rest {
        let escaped = escape(rest);
        let (byte, after) = escaped.unwrap_or((*byte, tail));
        let written = &rest[..rest.len() - after.len()];
        let stays_escaped = byte < 0x20 || KEPT_IN_QUERY.contains(&byte);
        let safe = byte.is_ascii_alphanumeric() || SAFE_IN_QUERY.contains(&byte);
        if escaped.is_some() && stays_escaped {
            push_utf8(url, &mut run);
            // As it was written: %2b and %2B both stay what they are.
            url.extend(written.iter().map(|byte| char::from(*byte)));
        } else if escaped.is_none() && (safe || stays_escaped) {
            push_utf8(url, &mut run);
            if safe {
                url.push(char::from(byte));
            } else {
                push_escape(url, byte);
            }
        } else {
            // Decoded, or bare where it should have been escaped, which Werkzeug does and undoes.
            run.push(byte);
        }
        rest = after;
    }
    push_utf8(url, &mut run);
}

/// The byte that `text` begins with an escape of, and what follows.
fn escape(text: &[u8]) -> Option<(u8, &[u8])> {
    let [b'%', high, low, after @ ..] = text else {
        return None;
    };
    let digit = |byte: &u8| {
        char::from(*byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    Some((digit(high)? << 4 | digit(low)?, after))
}

/// Appends `run` as text, escaping again what isn't UTF-8.
fn push_utf8(url: &mut String, run: &mut Vec<u8>) {
    for chunk in run.utf8_chunks() {
        url.push_str(chunk.valid());
        for byte in chunk.invalid() {
            push_escape(url, *byte);
        }
    }
    run.clear();
}

fn push_escape(url: &mut String, byte: u8) {
    // Writing to a string can't fail.
    let _ = write!(url, "%{byte:02X}");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    fn request_url(secure: bool, host: &str, query: Option<&str>) -> String {
        super::request_url(secure, host, query).0
    }

    #[test]
    fn hosts() {
        for (host, expected) in [
            ("localhost:8080", "http://localhost:8080/"),
            ("LocalHost:80", "http://localhost/"),
            ("[::1]:9090", "http://[::1]:9090/"),
            ("xn--n3h.net", "http://☃.net/"),
            ("my_app", "http:///"),
            ("a:0", "http:///"),
            ("a:65536", "http:///"),
            ("a:", "http:///"),
            ("", "http:///"),
            ("[::1", "http:///"),
            ("[1]", "http:///"),
        ] {
            assert_eq!(request_url(false, host, None), expected, "{host}");
        }
        for (host, expected) in [
            ("a.test:8443", "https://a.test:8443/"),
            ("a.test:443", "https://a.test/"),
            ("a.test:80", "https://a.test:80/"),
        ] {
            assert_eq!(request_url(true, host, None), expected, "{host}");
        }
    }

    #[test]
    fn queries() {
        for (query, expected) in [
            ("", ""),
            ("a=b", "?a=b"),
            ("a=%20%2f%2B%3d%26%23", "?a=%20/%2B%3d%26%23"),
            ("%C3%A9%ff%41", "?é%FFA"),
            ("%C3", "?%C3"),
            ("%zz%%41%", "?%zz%A%"),
            ("a|b^`{}\\", "?a|b^`{}\\"),
            ("%00%1f%7F%25", "?%00%1f%7F%25"),
        ] {
            assert_eq!(
                request_url(false, "h", Some(query)),
                format!("http://h/{expected}"),
                "{query}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_host_and_query_give_a_url(host in ".*", query in ".*") {
            let url = request_url(false, &host, Some(&query));
            prop_assert!(url.starts_with("http://"));
            prop_assert!(!url.chars().any(|c| c.is_ascii_control()));
        }
    }
}
