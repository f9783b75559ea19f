//! Who gets in: from where, under which name, with which log-in; and what a browser may do with what it
//! gets.
//!
//! Each request passes [`guard`], in this order: it is for a name of ours (`host`), no other site sent it
//! through somebody's browser (`origin`), and it comes with the token or with a cookie that was had for it
//! (`session`). Only the log-in page and the assets are there for everybody.

mod attempts;
pub mod gateway;
mod headers;
mod host;
mod links;
mod login;
mod origin;
mod session;
mod tokens;

use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{ACCEPT, HeaderMap, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpResponse, web};
use serde_json::json;

use crate::access::attempts::Attempts;
use crate::access::links::Links;
use crate::access::tokens::Tokens;
use crate::app::Console;
use crate::settings::Settings;

/// Where the style sheet and the script are.
const ASSETS: &str = "/assets/";

/// What is remembered of who wants in.
#[derive(Debug)]
pub struct Access {
    clients: gateway::Clients,
    hosts: Vec<String>,
    tokens: Tokens,
    attempts: Attempts,
    links: Links,
}

/// Who is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Visitor {
    /// Has the token.
    Program,
    /// Has a cookie.
    Browser,
}

/// Why somebody isn't.
enum Stranger {
    /// Brings nothing, or what has ended.
    Unknown,
    /// Brings a token that is none of ours.
    WrongToken,
}

impl Access {
    pub fn new(settings: &Settings, clients: gateway::Clients) -> Self {
        Self {
            clients,
            hosts: settings.hosts.clone(),
            tokens: Tokens::new(settings.tokens.clone()),
            attempts: Attempts::default(),
            links: Links::default(),
        }
    }

    fn visitor(&self, headers: &HeaderMap) -> Result<Visitor, Stranger> {
        if let Some(token) = tokens::bearer(headers) {
            let ours = self.tokens.include(token);
            return ours.then_some(Visitor::Program).ok_or(Stranger::WrongToken);
        }
        let known = session::of(headers).any(|session| self.tokens.have_signed(session));
        known.then_some(Visitor::Browser).ok_or(Stranger::Unknown)
    }

    /// What is answered to a request that isn't let in.
    fn refuse(&self, request: &ServiceRequest) -> Option<HttpResponse> {
        let path = request.path();
        if let Some(peer) = request.peer_addr()
            && !self.clients.include(peer.ip())
        {
            tracing::debug!(refused = "address", %peer, path, "neither this machine nor its gateway");
            let why = "for this machine and its gateway alone (CONSOLE_CLIENTS)";
            return Some(refusal(path, StatusCode::FORBIDDEN, why));
        }
        if let Err(wrong) = host::check(request, &self.hosts) {
            let host = host::shown(request);
            tracing::debug!(refused = "host", ?host, path, "for another name");
            return Some(refusal(path, wrong.status(), &wrong.describe(&self.hosts)));
        }
        if !origin::is_ours(request.method(), request.headers()) {
            tracing::debug!(
                refused = "origin",
                path,
                "sent by another site, through a browser"
            );
            let why = "sent by a page of another site";
            return Some(refusal(path, StatusCode::FORBIDDEN, why));
        }
        let stranger = match self.visitor(request.headers()) {
            Ok(visitor) => {
                request.extensions_mut().insert(visitor);
                return None;
            }
            Err(Stranger::Unknown) if is_public(path) => return None,
            Err(stranger) => stranger,
        };
        tracing::debug!(refused = "log-in", path, "without a log-in");
        Some(match stranger {
            Stranger::WrongToken => match self.attempts.failed() {
                Ok(()) => unauthorized(path, "this token isn't one of the console's"),
                Err(wait) => too_many(path, wait),
            },
            Stranger::Unknown if wants_page(request.headers()) => login::instead_of(request),
            Stranger::Unknown => unauthorized(
                path,
                "not logged in: send `Authorization: Bearer TOKEN`, the token in secrets/console_token",
            ),
        })
    }
}

/// Looks at every request before anything else does, and at every answer after everything else.
pub async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let is_asset = request.path().starts_with(ASSETS);
    let console = request.app_data::<web::Data<Console>>().cloned();
    let refused = match console {
        Some(console) => console.access.refuse(&request),
        None => Some(HttpResponse::InternalServerError().finish()),
    };
    let mut response = match refused {
        None => next.call(request).await?.map_into_boxed_body(),
        Some(refusal) => request.into_response(refusal),
    };
    headers::add(response.headers_mut(), is_asset);
    Ok(response)
}

/// `/login`, `/logout`, and links that log in.
pub fn configure(app: &mut web::ServiceConfig) {
    login::configure(app);
}

fn is_public(path: &str) -> bool {
    login::PUBLIC.contains(&path) || path.starts_with(ASSETS)
}

/// Whether a person waits for a page, not a script for a part of one or a program.
fn wants_page(headers: &HeaderMap) -> bool {
    if let Some(mode) = origin::fetch(headers, "sec-fetch-mode") {
        return mode == "navigate";
    }
    let accepted = headers.get(ACCEPT).and_then(|it| it.to_str().ok());
    accepted.is_some_and(|it| it.contains("text/html"))
}

fn refusal(path: &str, status: StatusCode, why: &str) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    if path.starts_with("/api/") {
        response.json(json!({"error": why}))
    } else {
        response
            .content_type("text/plain; charset=utf-8")
            .body(format!("{why}\n"))
    }
}

fn unauthorized(path: &str, why: &str) -> HttpResponse {
    let mut response = refusal(path, StatusCode::UNAUTHORIZED, why);
    let how = headers::value("Bearer realm=\"causeway console\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, how);
    response
}

fn too_many(path: &str, wait: Duration) -> HttpResponse {
    let why = "too many wrong tokens: the right one is still taken, others after a while";
    let mut response = refusal(path, StatusCode::TOO_MANY_REQUESTS, why);
    response
        .headers_mut()
        .insert(RETRY_AFTER, (wait.as_secs() + 1).into());
    response
}

/// What to come back to after the log-in.
fn wanted(request: &ServiceRequest) -> &str {
    let path = request.uri().path_and_query().map_or("/", |it| it.as_str());
    if request.method() == Method::GET {
        path
    } else {
        "/"
    }
}
