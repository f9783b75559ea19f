//! The tokens that let in: the first line of their file is in use, and those after it still are while one
//! replaces another. How long a look takes doesn't tell how much was right.

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq as _};

use crate::access::session::{Session, unix_now};

/// Never shown: not even by `Debug`.
#[derive(Debug)]
pub(super) struct Tokens(Vec<SecretString>);

impl Tokens {
    /// There is at least one.
    pub(super) fn new(tokens: Vec<SecretString>) -> Self {
        Self(tokens)
    }

    /// Whether it is one of them.
    pub(super) fn include(&self, token: &str) -> bool {
        self.any(|ours| ours.ct_eq(token.as_bytes()))
    }

    /// Whether the session is signed with one of them, and goes on.
    pub(super) fn have_signed(&self, session: Session<'_>) -> bool {
        let signed = self.any(|token| {
            mac(token, session.expires).map_or(Choice::from(0), |ours| {
                hex::encode(ours).as_bytes().ct_eq(session.mac.as_bytes())
            })
        });
        signed
            && session
                .expires
                .parse()
                .is_ok_and(|end: u64| unix_now() < end)
    }

    /// What signs a session that ends then: with the token that is in use.
    pub(super) fn sign(&self, expires: &str) -> Option<String> {
        let token = self.0.first()?;
        mac(token.expose_secret().as_bytes(), expires).map(hex::encode)
    }

    fn any(&self, is_it: impl Fn(&[u8]) -> Choice) -> bool {
        let one = self.0.iter().fold(Choice::from(0), |one, ours| {
            one | is_it(ours.expose_secret().as_bytes())
        });
        one.into()
    }
}

/// The token of a program, where there is one.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Keyed with the token, so that a session outlives the process, and not the token.
fn mac(token: &[u8], expires: &str) -> Option<[u8; 32]> {
    // A key of any length will do.
    let mut mac = Hmac::<Sha256>::new_from_slice(token).ok()?;
    mac.update(b"causeway console session\n");
    mac.update(expires.as_bytes());
    Some(mac.finalize().into_bytes().into())
}
