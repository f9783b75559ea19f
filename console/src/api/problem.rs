//! What the API answers where it can't do what was asked.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use mongodb::error::Error;
use serde_json::json;

use super::JSON;
use crate::export;
use crate::live::Refused;
use crate::replies::Busy;
use crate::requests::filter::BadFilter;
use crate::store::Store;

/// Seconds after which one may try again.
pub(crate) const RETRY_AFTER: u64 = 5;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error(transparent)]
    Field(#[from] BadFilter),
    #[error("{name:?} is not a field here: expected {expected}")]
    UnknownField {
        name: String,
        expected: &'static str,
    },
    #[error("there is no request {0:?}")]
    NoRequest(String),
    #[error("there is no {0:?}: see /api/openapi.json")]
    NoPath(String),
    #[error("{method:?} is not possible here: expected {allowed}")]
    Method {
        method: String,
        allowed: &'static str,
    },
    /// MongoDB can't be read, for this reason.
    #[error("{0}")]
    Away(String),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Busy(#[from] Busy),
}

impl Problem {
    pub(crate) fn of_store(store: &Store, error: &Error) -> Self {
        Self::Away(store.describe(error))
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Field(_) | Self::UnknownField { .. } => StatusCode::BAD_REQUEST,
            Self::NoRequest(_) | Self::NoPath(_) => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Away(_) | Self::Refused(_) | Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let mut answer = HttpResponseBuilder::new(status);
        answer.content_type(JSON);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            answer.insert_header((header::RETRY_AFTER, RETRY_AFTER));
        }
        if let Self::Method { allowed, .. } = self {
            answer.insert_header((header::ALLOW, *allowed));
        }
        answer.body(export::json::line(&json!({"error": self.to_string()})))
    }
}
