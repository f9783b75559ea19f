//! What is told of a request's span, and of the write within it, by OpenTelemetry's conventions for HTTP
//! servers and for clients of databases
//! (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server>,
//! <https://opentelemetry.io/docs/specs/semconv/database/database-spans/>).

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use actix_web::HttpRequest;
use actix_web::http::Version;
use mongo_login::MongoSettings;
use service::trace::{KeyValue, Span, SpanKind, Told, Tracer, cut};

use crate::observe::metrics::Route;
use crate::record::trace;
use crate::write::fate::{Fate, WriteError};

/// Tells of the spans of all requests.
#[derive(Debug)]
pub(crate) struct Traces {
    pub(crate) tracer: Arc<Tracer>,
    /// Where documents go.
    database: String,
    collection: String,
}

/// A part of the work, since it began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Working {
    span: Span,
    start: SystemTime,
    since: Instant,
}

impl Working {
    fn begin(span: Span) -> Self {
        Self {
            span,
            start: SystemTime::now(),
            since: Instant::now(),
        }
    }

    fn told(self, name: String, kind: SpanKind, attributes: Vec<KeyValue>, failed: bool) -> Told {
        Told {
            name,
            kind,
            start: self.start,
            took: self.since.elapsed(),
            attributes,
            failed,
        }
    }
}

impl Traces {
    pub(crate) fn new(tracer: Arc<Tracer>, mongo: &MongoSettings) -> Self {
        Self {
            tracer,
            database: mongo.database.clone(),
            collection: mongo.collection.clone(),
        }
    }

    /// A request is answered from now on.
    pub(crate) fn begin(&self, request: &HttpRequest) -> Working {
        Working::begin(self.tracer.begin(trace::parent(request.headers())))
    }

    /// It was answered with this `status`.
    pub(crate) fn answered(
        &self,
        working: Working,
        request: &HttpRequest,
        route: Route,
        status: u16,
    ) {
        self.tracer.end(&working.span, || {
            let failed = status >= 500;
            let (method, original) = method(request.method().as_str());
            let mut attributes = vec![
                KeyValue::new("http.request.method", method),
                KeyValue::new("url.path", cut(request.path(), 2048)),
                KeyValue::new("url.scheme", "http"),
                KeyValue::new("http.response.status_code", i64::from(status)),
                KeyValue::new("network.protocol.version", version(request.version())),
            ];
            attributes.extend(original.map(|it| KeyValue::new("http.request.method_original", it)));
            let peer = request.peer_addr().map(|peer| peer.ip().to_string());
            attributes.extend(peer.map(|peer| KeyValue::new("network.peer.address", peer)));
            if failed {
                attributes.push(KeyValue::new("error.type", status.to_string()));
            }
            let verb = if method == "_OTHER" { "HTTP" } else { method };
            let name = match route.path() {
                Some(path) => {
                    attributes.push(KeyValue::new("http.route", path));
                    format!("{verb} {path}")
                }
                None => verb.to_owned(),
            };
            working.told(name, SpanKind::Server, attributes, failed)
        });
    }

    /// Its document is on the way into the database from now on.
    pub(crate) fn writing(&self, request: &Working) -> Working {
        Working::begin(self.tracer.child(&request.span))
    }

    /// This became of it.
    pub(crate) fn written(&self, working: Working, id: &str, fate: &Fate) {
        self.tracer.end(&working.span, || {
            let mut attributes = vec![
                KeyValue::new("db.system.name", "mongodb"),
                KeyValue::new("db.operation.name", "insert"),
                KeyValue::new("db.namespace", self.database.clone()),
                KeyValue::new("db.collection.name", self.collection.clone()),
                KeyValue::new("causeway.document.id", id.to_owned()),
            ];
            let error = fate.as_ref().err().map(WriteError::kind);
            attributes.extend(error.map(|kind| KeyValue::new("error.type", kind)));
            let name = format!("insert {}", self.collection);
            working.told(name, SpanKind::Client, attributes, error.is_some())
        });
    }
}

/// A method as the conventions have it, and what it is where that doesn't tell.
fn method(token: &str) -> (&'static str, Option<String>) {
    const KNOWN: [&str; 9] = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
    ];
    match KNOWN.into_iter().find(|known| *known == token) {
        Some(known) => (known, None),
        None => ("_OTHER", Some(cut(token, 32))),
    }
}

fn version(version: Version) -> &'static str {
    if version == Version::HTTP_10 {
        "1.0"
    } else {
        "1.1"
    }
}
