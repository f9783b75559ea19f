//! The pages, rendered here as HTML, all of it: the script only asks for more of it, and moves it.
//!
//! [`rows`] are a list's, on every page that has one; [`visible`] is how recorded text gets into HTML.

mod assets;
mod body;
mod error;
mod figures;
mod form;
mod live;
mod requests;
mod rows;
mod stack;
pub(crate) mod visible;

use actix_web::http::StatusCode;
use actix_web::http::header::ContentType;
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, web};
use askama::Template;

pub(crate) use error::PageError;

pub fn configure(app: &mut web::ServiceConfig) {
    assets::configure(app);
    live::configure(app);
    requests::configure(app);
    stack::configure(app);
    app.default_service(web::to(no_such_page));
}

async fn no_such_page(request: HttpRequest) -> HttpResponse {
    PageError::NotFound(format!("There is no page {}.", request.path())).error_response()
}

/// A page, or a part of one.
pub(crate) fn render(status: StatusCode, template: &impl Template) -> HttpResponse {
    match template.render() {
        Ok(html) => HttpResponse::build(status)
            .insert_header(ContentType::html())
            .body(html),
        Err(error) => {
            tracing::error!(%error, "a page can't be rendered");
            HttpResponse::InternalServerError().finish()
        }
    }
}
