//! `/api/requests/stream`: what is recorded now, as server-sent events.

use actix_web::web;

pub(super) fn configure(_app: &mut web::ServiceConfig) {}
