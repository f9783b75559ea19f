//! What is recorded of a request: [`document`], under its [`document_id`], with the URL that
//! [`request_url`] finds and the [`original`] of what that can't tell; and whether the proxy sent it
//! ([`proxy_token`]).

pub mod document;
pub mod document_id;
mod original;
pub(crate) mod proxy_token;
mod request_url;
pub(crate) mod trace;
