//! Who gets in: from where, under which name, with which log-in; and what a browser may do with what it
//! gets.

pub(crate) mod gateway;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, web};

/// Looks at every request before anything else does.
pub async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    next.call(request).await
}

/// `/login` and `/logout`.
pub fn configure(_app: &mut web::ServiceConfig) {}
