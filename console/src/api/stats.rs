//! `/api/stats`: how the parts are, and their figures.

use actix_web::{HttpResponse, get, web};

use crate::app::Console;

pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(stats);
}

#[get("/api/stats")]
async fn stats(console: web::Data<Console>) -> HttpResponse {
    HttpResponse::Ok().json(&*console.stack.figures())
}
