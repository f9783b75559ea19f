//! Which trace a request belongs to, where it says so: W3C Trace Context's `traceparent`.

use actix_web::http::header::{HeaderMap, HeaderValue};
use mongodb::bson::raw::{RawDocumentBuf, cstr};
use service::trace::TraceContext;

/// The span that made the request: where traces are exported the proxy's, else the client's.
pub(crate) fn parent(headers: &HeaderMap) -> Option<TraceContext> {
    TraceContext::of(headers.get_all("traceparent").map(HeaderValue::as_bytes))
}

/// Appends it as `trace: {trace_id, span_id}`, in lower-case hex, if the request has a valid one.
pub(crate) fn append(headers: &HeaderMap, document: &mut RawDocumentBuf) {
    if let Some(parent) = parent(headers) {
        let mut trace = RawDocumentBuf::new();
        trace.append(cstr!("trace_id"), parent.trace_id.to_string());
        trace.append(cstr!("span_id"), parent.span_id.to_string());
        document.append(cstr!("trace"), trace);
    }
}
