//! The routes of the public port: one file each.

mod fallback;
mod hello;
mod home;

use std::net::SocketAddr;
use std::sync::Arc;

use actix_http::ConnectionType;
use actix_web::http::Method;
use actix_web::http::header::{ContentType, HeaderName, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, web};

use crate::http::body::hold_unread;
use crate::observe::metrics::{Metrics, RequestLabels, Route};
use crate::observe::trace::{Traces, Working};
use crate::record::proxy_token::ProxyTokens;
use crate::write::coalescer::Coalescer;
use crate::write::store::MongoStore;

/// What every handler may use; one for all workers.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// The way into the database.
    pub(crate) writes: Arc<Coalescer>,
    /// The database, for its state of health.
    pub(crate) store: Arc<MongoStore>,
    /// Where we listen: the host of a request that names none.
    pub(crate) local: SocketAddr,
    pub(crate) max_body: usize,
    /// How the proxy is known, if it is.
    pub(crate) proxy: Option<ProxyTokens>,
    /// Header fields whose values aren't stored.
    pub(crate) redact_headers: Vec<HeaderName>,
    /// What tells of requests, if traces are exported.
    pub(crate) traces: Option<Traces>,
    pub(crate) metrics: Metrics,
}

pub(crate) fn configure(app: &mut web::ServiceConfig) {
    app.service(web::resource("/").to(home::home))
        .service(web::resource("/hello").to(hello::hello))
        .default_service(web::to(fallback::fallback));
}

impl Recorder {
    /// Notes that a request is answered from now on, where that is told.
    fn begin(&self, request: &HttpRequest) -> Option<Working> {
        self.traces.as_ref().map(|traces| traces.begin(request))
    }

    /// Counts an answer on its way out, and ends the connection after it where that has to be.
    fn finish(
        &self,
        route: Route,
        request: &HttpRequest,
        payload: web::Payload,
        mut response: HttpResponse,
        working: Option<Working>,
    ) -> HttpResponse {
        let labels = RequestLabels {
            route,
            code: response.status().as_u16(),
        };
        self.metrics.requests.get_or_create(&labels).inc();
        if let (Some(traces), Some(working)) = (&self.traces, working) {
            traces.answered(working, request, route, labels.code);
        }
        if wants_to_leave_http(request) {
            response
                .head_mut()
                .set_connection_type(ConnectionType::Close);
        }
        hold_unread(response, payload)
    }
}

/// 200 as Flask answers it.
fn ok(text: String) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(ContentType::html())
        .body(text)
}

/// 503 with the advice to come back in a second, which is how soon a recovery is noticed.
fn unavailable(text: &'static str) -> HttpResponse {
    HttpResponse::ServiceUnavailable()
        .insert_header(ContentType::html())
        .insert_header((RETRY_AFTER, "1"))
        .body(text)
}

/// Whether the client wants to leave HTTP/1.1 after this request. We don't follow: the answer is
/// the last on its connection, so that nothing of another protocol is taken for a request.
fn wants_to_leave_http(request: &HttpRequest) -> bool {
    request.method() == Method::CONNECT || request.head().upgrade()
}
