//! A browser's log-in: a cookie with the time at which it ends, signed with the token. The token can't be
//! had from it, nothing is kept of it here, and it ends when the token is replaced.

use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header::{COOKIE, HeaderMap};

use crate::access::tokens::Tokens;

const NAME: &str = "causeway_console";
const LIFETIME: Duration = Duration::days(30);

/// What a cookie says: not yet that it is true.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session<'a> {
    /// Seconds since 1970.
    pub(super) expires: &'a str,
    /// In hexadecimal.
    pub(super) mac: &'a str,
}

/// Those that a request has. Other programs on this machine set cookies for `localhost`, too, also under
/// this name, and such as no parser of cookies takes, so each is looked at by itself.
pub(super) fn of(headers: &HeaderMap) -> impl Iterator<Item = Session<'_>> {
    let fields = headers
        .get_all(COOKIE)
        .filter_map(|field| field.to_str().ok());
    let values = fields
        .flat_map(|field| field.split(';'))
        .filter_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == NAME).then_some(value)
        });
    values.filter_map(|value| {
        let (expires, mac) = value.split_once('.')?;
        Some(Session { expires, mac })
    })
}

/// The cookie of a new one.
///
/// It isn't `Secure`: the console speaks HTTP to `localhost`, and not every browser takes that for safe.
pub(super) fn begin(tokens: &Tokens) -> Option<Cookie<'static>> {
    let expires = (unix_now() + LIFETIME.whole_seconds().unsigned_abs()).to_string();
    let mac = tokens.sign(&expires)?;
    Some(cookie(format!("{expires}.{mac}"), LIFETIME))
}

/// The cookie that takes its place.
pub(super) fn end() -> Cookie<'static> {
    cookie(String::new(), Duration::ZERO)
}

pub(super) fn unix_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |it| it.as_secs())
}

fn cookie(value: String, age: Duration) -> Cookie<'static> {
    Cookie::build(NAME, value)
        .http_only(true)
        .same_site(SameSite::Strict)
        .path("/")
        .max_age(age)
        .finish()
}
