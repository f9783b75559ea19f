//! What is recorded of a request: [`document`], under its [`document_id`], with the URL that
//! [`request_url`] finds; and whether the proxy sent it ([`proxy_token`]).

pub mod document;
pub mod document_id;
pub mod proxy_token;
pub mod request_url;
