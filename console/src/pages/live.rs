//! `/live`: what is recorded now.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::form::Form;
use super::visible as filters;

pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.route("/live", web::get().to(page));
}

#[derive(Template)]
#[template(path = "live.html")]
struct Live {
    form: Form,
    /// Where the rows come from; none without a filter.
    stream: Option<String>,
}

async fn page(request: HttpRequest) -> HttpResponse {
    let (form, filter) = Form::read("/live", request.query_string());
    let status = match filter {
        Some(_) => StatusCode::OK,
        None => StatusCode::BAD_REQUEST,
    };
    let stream = filter.map(|filter| format!("/live/rows{}", super::rows::question(&filter)));
    super::render(status, &Live { form, stream })
}
