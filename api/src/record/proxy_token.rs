//! How the API knows its proxy: by a secret that both have, in `X-Proxy-Token`.
//!
//! Anybody who reaches the port can send `X-Request-Id` and `X-Real-IP`. They are believed only of
//! a request that bears one of the tokens in `API_PROXY_TOKEN_FILE`. Several are accepted, one a
//! line, so that one can replace another without a moment at which proxy and API disagree.

use actix_web::http::header::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::{Choice, ConstantTimeEq as _};

/// The field that carries the token. It isn't part of what is recorded, whoever sent it.
pub(crate) const FIELD: &str = "x-proxy-token";

/// The tokens that are accepted. Never shown: not even by `Debug`.
#[derive(Debug)]
pub(crate) struct ProxyTokens(Vec<SecretString>);

impl ProxyTokens {
    pub(crate) fn new(tokens: Vec<SecretString>) -> Self {
        Self(tokens)
    }

    /// Whether a request with these header fields is the proxy's: exactly one token, and one of
    /// ours. How long that takes doesn't tell how much of a token is right.
    pub(crate) fn recognise(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(FIELD);
        let (Some(theirs), None) = (values.next(), values.next()) else {
            return false;
        };
        let same = self.0.iter().fold(Choice::from(0), |same, ours| {
            same | ours.expose_secret().as_bytes().ct_eq(theirs.as_bytes())
        });
        same.into()
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    const OLD: &str = "old-token-0123456789";
    const NEW: &str = "new-token-0123456789";

    fn recognises(values: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(
                HeaderName::from_static(FIELD),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        ProxyTokens::new(vec![NEW.into(), OLD.into()]).recognise(&headers)
    }

    #[test]
    fn any_of_the_tokens_is_the_proxys() {
        assert!(recognises(&[NEW]) && recognises(&[OLD]));
        for none in [
            &[][..],
            &[""],
            &["new-token"],
            &["new-token-0123456789x"],
            &[NEW, NEW],
            &[NEW, "other"],
        ] {
            assert!(!recognises(none), "{none:?}");
        }
    }
}
