//! HTTP/2 for clients, with prior knowledge on the plain port: RFC 9113 and RFC 8441.

mod attacks;
mod conformance;
mod fields;
mod lifetime;
mod messages;
mod websocket;

use crate::support::{Backend, TestProxy};

/// A proxy that speaks it, with these settings.
fn speaking(backend: &Backend, settings: &[(&str, &str)]) -> TestProxy {
    let mut all = vec![("HTTP2", "prior-knowledge")];
    all.extend(settings);
    TestProxy::with(backend, &all)
}
