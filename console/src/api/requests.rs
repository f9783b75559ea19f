//! `/api/requests`, `/api/requests/{id}`, and what describes the API.

use actix_web::web;

pub(super) fn configure(_app: &mut web::ServiceConfig) {}
