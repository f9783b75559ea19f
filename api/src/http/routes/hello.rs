//! `/hello`: the older version of the application; pings MongoDB.

use actix_web::http::Method;
use actix_web::http::header::ALLOW;
use actix_web::{HttpRequest, HttpResponse, web};

use super::{Recorder, ok, unavailable};
use crate::observe::metrics::Route;

/// The methods that Flask gives a route by default.
const METHODS: &str = "GET, HEAD, OPTIONS";

/// Says hello from MongoDB.
pub(super) async fn hello(
    request: HttpRequest,
    payload: web::Payload,
    recorder: web::Data<Recorder>,
) -> HttpResponse {
    let working = recorder.begin(&request);
    let response = match *request.method() {
        Method::GET | Method::HEAD => greet(&recorder).await,
        Method::OPTIONS => HttpResponse::Ok().insert_header((ALLOW, METHODS)).finish(),
        _ => HttpResponse::MethodNotAllowed()
            .insert_header((ALLOW, METHODS))
            .finish(),
    };
    recorder.finish(Route::Hello, &request, payload, response, working)
}

async fn greet(recorder: &Recorder) -> HttpResponse {
    if recorder.store.is_known_down() {
        return unavailable("Server not available");
    }
    match recorder.store.ping().await {
        Ok(()) => ok("Hello from the MongoDB client!\n".to_owned()),
        Err(error) => {
            tracing::warn!(%error, "ping failed");
            unavailable("Server not available")
        }
    }
}
