//! `/`, any method: records the request and answers with the document's id.

use actix_web::http::StatusCode;
use actix_web::http::header::ContentType;
use actix_web::{HttpRequest, HttpResponse, web};
use mongodb::bson::DateTime;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::RawDocumentBuf;

use super::{Recorder, ok, unavailable};
use crate::http::body::{self, BodyError};
use crate::observe::metrics::Route;
use crate::observe::trace::Working;
use crate::record::document::Received;
use crate::record::document_id::DocumentId;
use crate::write::fate::{Acknowledged, Fate, WriteError};

/// What Flask's application answers while MongoDB is away.
const UNAVAILABLE: &str = "Mongo is not available";

/// Records a request.
pub(super) async fn home(
    request: HttpRequest,
    mut payload: web::Payload,
    recorder: web::Data<Recorder>,
) -> HttpResponse {
    let working = recorder.begin(&request);
    let response = match record(&request, &mut payload, &recorder, working).await {
        Ok(id) => ok(format!("Request information stored successfully: {id}\n")),
        Err(refusal) => refusal,
    };
    recorder.finish(Route::Home, &request, payload, response, working)
}

/// Returns the id under which MongoDB has the request, or the answer that says why it hasn't.
async fn record(
    request: &HttpRequest,
    payload: &mut web::Payload,
    recorder: &Recorder,
    working: Option<Working>,
) -> Result<ObjectId, HttpResponse> {
    let at = DateTime::now();
    let body = body::read(request, payload, recorder.max_body)
        .await
        .map_err(|error| refuse_body(&error))?;
    if recorder.store.is_known_down() {
        return Err(unavailable(UNAVAILABLE));
    }
    let from_proxy = recorder
        .proxy
        .as_ref()
        .map(|tokens| tokens.recognise(request.headers()));
    let id = DocumentId::of(request.headers(), from_proxy == Some(true));
    let received = Received {
        method: request.method(),
        target: request.uri(),
        headers: request.headers(),
        body: &body.bytes,
        peer: request.peer_addr().map(|peer| peer.ip()),
        // Where nothing tells the proxy from others, everybody is taken for the proxy.
        believes_real_ip: from_proxy.unwrap_or(true),
        is_from_proxy: from_proxy == Some(true),
        local: recorder.local,
        at,
    };
    let document = received
        .document(id.object_id(), &recorder.redact_headers)
        .map_err(|error| plain(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()))?;
    // Nothing needs the body any more; its share of the budget is for others.
    drop(body);
    match write(id, document, recorder, working).await {
        Ok(Acknowledged::Written | Acknowledged::AlreadyStored) => Ok(id.object_id()),
        Err(WriteError::Rejected(reason)) => Err(plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("MongoDB refuses this request: {reason}"),
        )),
        Err(
            WriteError::QueueFull
            | WriteError::TimedOut
            | WriteError::Failed(_)
            | WriteError::ShuttingDown,
        ) => Err(unavailable(UNAVAILABLE)),
    }
}

/// Writes the document, and tells how long that took where that is told.
async fn write(
    id: DocumentId,
    document: RawDocumentBuf,
    recorder: &Recorder,
    working: Option<Working>,
) -> Fate {
    let Some((traces, working)) = recorder.traces.as_ref().zip(working) else {
        return recorder.writes.write(id, document).await;
    };
    let writing = traces.writing(&working);
    let fate = recorder.writes.write(id, document).await;
    traces.written(writing, &id.object_id().to_hex(), &fate);
    fate
}

fn refuse_body(error: &BodyError) -> HttpResponse {
    let status = match error {
        BodyError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        BodyError::TooSlow => StatusCode::REQUEST_TIMEOUT,
        BodyError::Broken(_) => StatusCode::BAD_REQUEST,
        BodyError::NoRoom => return unavailable("Too many requests at once"),
    };
    plain(status, error.to_string())
}

fn plain(status: StatusCode, text: String) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header(ContentType::plaintext())
        .body(text + "\n")
}
