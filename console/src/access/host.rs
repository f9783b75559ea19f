//! For which name a request is. A page of another site can give its own name this machine's address after
//! it was loaded (DNS rebinding), and then reads what is served there as its own. Its requests bear that
//! name, though, not one of ours.

use actix_web::dev::ServiceRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{HOST, HeaderValue};

/// What is wrong with the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WrongHost {
    /// There is none, or more than one.
    Unclear,
    /// It isn't ours.
    Other,
}

impl WrongHost {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Unclear => StatusCode::BAD_REQUEST,
            Self::Other => StatusCode::MISDIRECTED_REQUEST,
        }
    }

    pub(super) fn describe(self, hosts: &[String]) -> String {
        match self {
            Self::Unclear => "a request has one Host".to_owned(),
            Self::Other => format!(
                "the console only answers as {}, not as the name that this request is for: \
                 CONSOLE_HOSTS says so",
                hosts.join(", ")
            ),
        }
    }
}

/// The port doesn't matter: it may be published under another, or forwarded.
pub(super) fn check(request: &ServiceRequest, hosts: &[String]) -> Result<(), WrongHost> {
    let mut fields = request.headers().get_all(HOST);
    let (Some(host), None) = (fields.next(), fields.next()) else {
        return Err(WrongHost::Unclear);
    };
    let is_ours = |authority: &str| {
        let name = without_port(authority);
        name.is_some_and(|name| hosts.iter().any(|host| host.eq_ignore_ascii_case(name)))
    };
    // A target with a name in it (`GET http://name/ HTTP/1.1`) goes before the field.
    let target = request
        .uri()
        .authority()
        .is_none_or(|it| is_ours(it.as_str()));
    let field = host.to_str().is_ok_and(is_ours);
    if target && field {
        Ok(())
    } else {
        Err(WrongHost::Other)
    }
}

/// For the log.
pub(super) fn shown(request: &ServiceRequest) -> Option<&HeaderValue> {
    request.headers().get(HOST)
}

fn without_port(authority: &str) -> Option<&str> {
    match authority.rsplit_once(':') {
        Some((name, port)) if !authority.ends_with(']') => port
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then_some(name),
        _ => Some(authority),
    }
}
