//! What a browser may do with what it gets. Recorded requests are written by strangers: should a piece of
//! one ever get into a page unescaped, it runs nothing, loads nothing and sends nothing anywhere.

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

/// Nothing from elsewhere, no inline script or style, no frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// `Referrer-Policy` isn't `no-referrer`: with that, browsers say `Origin: null` of our own forms
/// (Fetch, "append a request Origin header"). This, too, tells other sites nothing.
const ALWAYS: [(HeaderName, &str); 7] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "same-origin"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

/// Adds them; what is downloaded has a stricter policy of its own. Only assets may be kept by browsers: the rest is what strangers sent to somebody's server.
pub(super) fn add(headers: &mut HeaderMap, is_asset: bool) {
    for (name, text) in ALWAYS {
        if !headers.contains_key(&name) {
            headers.insert(name, value(text));
        }
    }
    if !is_asset || !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, value("no-store"));
    }
}

pub(super) const fn value(text: &'static str) -> HeaderValue {
    HeaderValue::from_static(text)
}
