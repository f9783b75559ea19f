//! What a page says where there is nothing to show.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use askama::Template;

use super::visible as filters;
use crate::api::RETRY_AFTER;
use crate::replies::Busy;
use crate::requests::filter::BadFilter;
use crate::store::Store;

/// Why there is no such page now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PageError {
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    BadRequest(String),
    #[error(transparent)]
    Busy(#[from] Busy),
    /// MongoDB can't be read.
    #[error("{0}")]
    Away(String),
}

impl PageError {
    pub(crate) fn of_store(store: &Store, error: &mongodb::error::Error) -> Self {
        Self::Away(store.describe(error))
    }
}

impl From<BadFilter> for PageError {
    fn from(error: BadFilter) -> Self {
        Self::BadRequest(error.to_string())
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct Page<'a> {
    heading: &'static str,
    reason: &'a PageError,
    /// Whether it may go better later.
    passes: bool,
}

impl ResponseError for PageError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Away(_) | Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let heading = match self {
            Self::NotFound(_) => "Not found",
            Self::BadRequest(_) => "This can't be answered",
            Self::Busy(_) => "Too much at once",
            Self::Away(_) => "The database can't be read now",
        };
        let page = Page {
            heading,
            reason: self,
            passes: self.status_code() == StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut response = super::render(self.status_code(), &page);
        if page.passes {
            let seconds = HeaderValue::from(RETRY_AFTER);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}
