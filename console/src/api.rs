//! `/api`: the same as the pages, as JSON, for programs.

mod requests;
mod stats;
mod stream;

use actix_web::web;

pub fn configure(app: &mut web::ServiceConfig) {
    // Before `requests`, whose `/api/requests/{id}` would take it for an id.
    stream::configure(app);
    requests::configure(app);
    stats::configure(app);
}
