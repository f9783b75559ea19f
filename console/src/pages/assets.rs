//! The style sheet and the script.

use actix_web::web;

pub(super) fn configure(_app: &mut web::ServiceConfig) {}
