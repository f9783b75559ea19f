//! Logging in and out: the page, and links that do it.

use actix_web::dev::ServiceRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{LOCATION, TryIntoHeaderValue as _};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;
use serde_json::json;

use crate::access::{self, Visitor, links, origin, session};
use crate::app::Console;
use crate::pages::render;

/// What is there without a log-in.
pub(super) const PUBLIC: [&str; 2] = [PAGE, LINK];

const PAGE: &str = "/login";
const LINK: &str = "/login/link";
/// Bytes of the form: a token has 256 at most.
const MAX_FORM: usize = 4096;
/// Of a path to come back to.
const MAX_NEXT: usize = 2048;

pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(
        web::resource(PAGE)
            .app_data(web::FormConfig::default().limit(MAX_FORM))
            .get(page)
            .post(log_in),
    )
    .service(web::resource(LINK).get(follow_link))
    .service(web::resource("/logout").post(log_out))
    .service(web::resource("/api/login-links").post(make_link));
}

#[derive(Template)]
#[template(path = "login.html")]
struct Page<'a> {
    /// What to say above the form.
    notice: &'a str,
    is_problem: bool,
    /// Where to go then.
    next: &'a str,
}

#[derive(Template)]
#[template(path = "again.html")]
struct Again<'a> {
    path: &'a str,
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    next: String,
}

/// Not `Debug`: it has the token.
#[derive(Deserialize)]
struct Form {
    token: String,
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
struct Code {
    #[serde(default)]
    code: String,
}

/// To the log-in page, from where somebody wanted to go without a log-in.
///
/// A link from another site is followed without the cookie, which is `SameSite=Strict`. It is followed
/// again from a page of ours, with the cookie: whoever is logged in gets to what was shared with them.
pub(super) fn instead_of(request: &ServiceRequest) -> HttpResponse {
    let wanted = within(access::wanted(request));
    if origin::is_followed(request.headers()) {
        return render(StatusCode::OK, &Again { path: wanted });
    }
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("next", wanted)
        .finish();
    go_to(&format!("{PAGE}?{query}"))
}

async fn page(asked: web::Query<Asked>, visitor: Option<web::ReqData<Visitor>>) -> HttpResponse {
    let next = within(&asked.next);
    if visitor.is_some() {
        return go_to(next);
    }
    page_with(StatusCode::OK, "", next)
}

async fn log_in(console: web::Data<Console>, form: web::Form<Form>) -> HttpResponse {
    let next = within(&form.next);
    if console.access.tokens.include(form.token.trim()) {
        return logged_in(&console, next);
    }
    match console.access.attempts.failed() {
        Ok(()) => {
            let why = "This is not the token.";
            page_with(StatusCode::FORBIDDEN, why, next)
        }
        Err(wait) => access::too_many(PAGE, wait),
    }
}

/// A link that is only looked at, in case somebody might follow it, is still good afterwards.
async fn follow_link(
    console: web::Data<Console>,
    link: web::Query<Code>,
    request: HttpRequest,
) -> HttpResponse {
    let ahead =
        |name| origin::fetch(request.headers(), name).is_some_and(|it| it.contains("prefetch"));
    if ahead("sec-purpose") || ahead("purpose") {
        return access::refusal(LINK, StatusCode::SERVICE_UNAVAILABLE, "not ahead of time");
    }
    if console.access.links.redeem(&link.code) {
        return logged_in(&console, "/");
    }
    let why = "This link has been used, or is over a minute old. `make console` makes another.";
    page_with(StatusCode::FORBIDDEN, why, "/")
}

async fn log_out() -> HttpResponse {
    let mut response = render(
        StatusCode::OK,
        &Page {
            notice: "Logged out. Other browsers stay logged in until the token is replaced.",
            is_problem: false,
            next: "/",
        },
    );
    _ = response.add_cookie(&session::end());
    response
}

/// For programs: a browser that is logged in can't make its log-in last with it.
async fn make_link(console: web::Data<Console>, visitor: web::ReqData<Visitor>) -> HttpResponse {
    if *visitor != Visitor::Program {
        let why = "a link that logs in takes the token: `Authorization: Bearer TOKEN`";
        return access::refusal("/api/login-links", StatusCode::FORBIDDEN, why);
    }
    let code = console.access.links.issue();
    HttpResponse::Created().json(json!({
        "path": format!("{LINK}?code={code}"),
        "expires_in": links::LIFETIME.as_secs(),
    }))
}

fn logged_in(console: &Console, next: &str) -> HttpResponse {
    let mut response = go_to(next);
    match session::begin(&console.access.tokens).map(|cookie| response.add_cookie(&cookie)) {
        Some(Ok(())) => response,
        _ => HttpResponse::InternalServerError().finish(),
    }
}

fn page_with(status: StatusCode, notice: &str, next: &str) -> HttpResponse {
    let is_problem = status != StatusCode::OK;
    render(
        status,
        &Page {
            notice,
            is_problem,
            next,
        },
    )
}

fn go_to(path: &str) -> HttpResponse {
    let mut response = HttpResponse::SeeOther().finish();
    match path.try_into_value() {
        Ok(path) => _ = response.headers_mut().insert(LOCATION, path),
        Err(_) => return HttpResponse::BadRequest().finish(),
    }
    response
}

/// The path where it is one of this site, else the first page. `//name` and `/\name` would lead to
/// another, and browsers take tabs and line breaks out before they look.
fn within(path: &str) -> &str {
    let bytes = path.as_bytes();
    let here = bytes.first() == Some(&b'/') && bytes.get(1) != Some(&b'/');
    let plain = |byte: &u8| byte.is_ascii_graphic() && *byte != b'\\';
    if here && bytes.len() <= MAX_NEXT && bytes.iter().all(plain) {
        path
    } else {
        "/"
    }
}
