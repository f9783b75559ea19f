//! `/api`: the same as the pages, as JSON, for programs.

mod fields;
mod problem;
mod requests;
mod stats;
mod stream;

use actix_web::http::{Method, header};
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, guard, web};

pub(crate) use self::fields::Fields;
pub(crate) use self::problem::{Problem, RETRY_AFTER};

/// What describes it to programs.
const DESCRIPTION: &str = include_str!("../assets/openapi.json");
const JSON: &str = "application/json";
const READS: &str = "GET, HEAD, OPTIONS";

pub fn configure(app: &mut web::ServiceConfig) {
    // Before `requests`, whose `/api/requests/{id}` would take it for an id.
    stream::configure(app);
    requests::configure(app);
    stats::configure(app);
    app.service(reads("/api/openapi.json", async || {
        HttpResponse::Ok().content_type(JSON).body(DESCRIPTION)
    }));
    app.service(
        web::scope("/api").default_service(web::to(async |request: HttpRequest| {
            Err::<HttpResponse, _>(Problem::NoPath(request.path().to_owned()))
        })),
    );
}

/// A resource that is only read; other methods are told so.
fn reads<F, Args>(path: &str, read: F) -> Resource
where
    F: Handler<Args, Output: Responder + 'static>,
    Args: FromRequest + 'static,
{
    web::resource(path)
        .route(
            web::route()
                .guard(guard::Any(guard::Get()).or(guard::Head()))
                .to(read),
        )
        .route(web::method(Method::OPTIONS).to(async || {
            HttpResponse::NoContent()
                .insert_header((header::ALLOW, READS))
                .finish()
        }))
        .default_service(web::to(async |request: HttpRequest| {
            let method = request.method().to_string();
            Err::<HttpResponse, _>(Problem::Method {
                method,
                allowed: READS,
            })
        }))
}
