//! Whose page has a browser send a request. A cookie is sent along whoever that is, as far as `SameSite`
//! lets it, and to `SameSite` all ports of `localhost` are one site.
//!
//! Browsers say it (Fetch Metadata, <https://www.w3.org/TR/fetch-metadata/>), and what comes from elsewhere
//! may only be a link that somebody follows. Those that don't say it, as none does to a name that isn't
//! this machine's, at least name the origin of what changes something.

use actix_web::http::Method;
use actix_web::http::header::{HOST, HeaderMap, HeaderValue, ORIGIN};

/// Whether it comes from our own pages, from no page at all, or from following a link.
pub(super) fn is_ours(method: &Method, headers: &HeaderMap) -> bool {
    let reads = method == Method::GET || method == Method::HEAD;
    match fetch(headers, "sec-fetch-site") {
        Some("same-origin" | "none") => true,
        Some(_) => {
            reads
                && fetch(headers, "sec-fetch-mode") == Some("navigate")
                && fetch(headers, "sec-fetch-dest") == Some("document")
        }
        None => {
            reads
                || headers
                    .get(ORIGIN)
                    .is_none_or(|origin| is_host(origin.as_bytes(), headers))
        }
    }
}

/// Whether a link on another site was followed.
pub(super) fn is_followed(headers: &HeaderMap) -> bool {
    matches!(fetch(headers, "sec-fetch-site"), Some(site) if site != "same-origin" && site != "none")
}

/// A field that only the browser itself can set.
pub(super) fn fetch<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Whether the origin is the one that the request goes to.
fn is_host(origin: &[u8], headers: &HeaderMap) -> bool {
    let authority = [&b"http://"[..], b"https://"]
        .iter()
        .find_map(|scheme| origin.strip_prefix(*scheme));
    let host = headers.get(HOST).map(HeaderValue::as_bytes);
    matches!((authority, host), (Some(authority), Some(host)) if authority.eq_ignore_ascii_case(host))
}
