//! Where a request goes: its target, and its host.

use crate::http1::{Method, SyntaxError, head::RequestLine};

/// A request target, in the parts that are forwarded (RFC 9112 §3.2).
pub(super) struct Target<'b> {
    /// Of the absolute form.
    pub(super) authority: Option<&'b str>,
    /// Path and query in origin form, or `*`; without its `/` where the query follows the authority.
    pub(super) path: &'b str,
}

impl<'b> Target<'b> {
    /// The target of a request line, if it has one of the forms that are served.
    pub(super) fn of(line: &RequestLine<'b>) -> Result<Self, SyntaxError> {
        let target = line.target;
        if line.method_token == "CONNECT" || line.method == Method::Trace {
            return Err(SyntaxError::Method);
        }
        // A fragment never goes over the wire; recipients disagree on where the path ends then.
        if target.contains('#') {
            return Err(SyntaxError::Target);
        }
        if target.starts_with('/') || (target == "*" && line.method == Method::Options) {
            return Ok(Self {
                authority: None,
                path: target,
            });
        }
        let rest = ["http://", "https://"]
            .iter()
            .find_map(|scheme| {
                let (start, rest) = target.split_at_checked(scheme.len())?;
                start.eq_ignore_ascii_case(scheme).then_some(rest)
            })
            .ok_or(SyntaxError::Target)?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let path = match path {
            // RFC 9112 §3.2.4: OPTIONS for the server as a whole.
            "" if line.method == Method::Options => "*",
            "" => "/",
            path => path,
        };
        Ok(Self {
            authority: Some(authority),
            path,
        })
    }
}

/// `uri-host [":" port]` (RFC 9110 §7.2, RFC 3986 §3.2.2), without the comma: it is also what joins
/// two fields to one (RFC 9110 §5.3), and of two hosts each recipient takes another.
pub(super) fn is_host(value: &[u8]) -> bool {
    let Ok(value) = str::from_utf8(value) else {
        return false;
    };
    let (host, port) = match value.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else {
                return false;
            };
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            ("v6", port)
        }
        None => value
            .find(':')
            .map_or((value, ""), |colon| value.split_at(colon)),
    };
    let is_name = !host.is_empty()
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(&byte))
        && host.split('%').skip(1).all(|after| {
            matches!(after.as_bytes(), [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
        });
    let is_port = match port.strip_prefix(':') {
        Some(digits) => digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit()),
        None => port.is_empty(),
    };
    is_name && is_port
}
