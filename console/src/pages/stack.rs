//! `/stack`: how the parts are.

use actix_web::web;

pub(super) fn configure(_app: &mut web::ServiceConfig) {}
