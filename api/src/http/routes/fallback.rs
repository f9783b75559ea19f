//! Every other path: 404, except for further spellings of `/`.

use actix_web::http::header::ContentType;
use actix_web::{HttpRequest, HttpResponse, web};

use super::{Recorder, home};
use crate::observe::metrics::Route;

/// Answers a request that no route is for.
pub(super) async fn fallback(
    request: HttpRequest,
    payload: web::Payload,
    recorder: web::Data<Recorder>,
) -> HttpResponse {
    let path = request.path();
    // Python's HTTP server takes several slashes at the start of a target for one.
    if !path.is_empty() && path.bytes().all(|byte| byte == b'/') {
        return home::home(request, payload, recorder).await;
    }
    let working = recorder.begin(&request);
    let response = HttpResponse::NotFound()
        .insert_header(ContentType::plaintext())
        .body("Not found\n");
    recorder.finish(Route::Other, &request, payload, response, working)
}
