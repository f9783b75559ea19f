//! The token by which the upstream knows that a request comes from this proxy.
//!
//! An upstream that has the same token takes a request's `X-Request-Id` for its own, and answers an
//! id that it has carried out already without carrying it out again. That is what lets the proxy
//! repeat every method: a configured token says that the upstream does so (see `exchange::attempt`).

use secrecy::{ExposeSecret, SecretString};

/// The token, as the field line that goes with every request. Never shown: not even by `Debug`.
#[derive(Debug, Clone)]
pub struct UpstreamToken(SecretString);

impl UpstreamToken {
    /// The first of `tokens`: the upstream accepts the others, too, while one replaces another.
    pub fn first(tokens: &[SecretString]) -> Option<Self> {
        let token = tokens.first()?.expose_secret();
        Some(Self(format!("X-Proxy-Token: {token}\r\n").into()))
    }

    /// `X-Proxy-Token` with its value and line end.
    pub fn field_line(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_sent_and_never_shown() {
        let tokens = ["0123456789abcdef", "another-valid-token"].map(SecretString::from);
        let token = UpstreamToken::first(&tokens).unwrap();
        assert_eq!(token.field_line(), b"X-Proxy-Token: 0123456789abcdef\r\n");
        assert!(!format!("{token:?}").contains("0123456789abcdef"));
    }
}
