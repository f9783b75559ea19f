//! `/api/stats`: how the parts are, and their figures.

use actix_web::{HttpResponse, web};

use super::reads;
use crate::app::Console;

pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(reads("/api/stats", stats));
}

async fn stats(console: web::Data<Console>) -> HttpResponse {
    HttpResponse::Ok().json(&*console.stack.figures())
}
