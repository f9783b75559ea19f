//! How the API knows its proxy: by a secret that both have, in `X-Proxy-Token`.
//!
//! Anybody who reaches the port can send `X-Request-Id` and `X-Real-IP`. They are believed only of
//! a request that bears one of the tokens in `API_PROXY_TOKEN_FILE`. Several are accepted, one a
//! line, so that one can replace another without a moment at which proxy and API disagree.

use std::path::Path;

use actix_web::http::header::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::{Choice, ConstantTimeEq as _};

use crate::secret_file;
use crate::settings::ConfigError;

/// The field that carries the token. It isn't part of what is recorded, whoever sent it.
pub const FIELD: &str = "x-proxy-token";

/// A shorter token could be guessed.
const SHORTEST: usize = 16;

/// The tokens that are accepted. Never shown: not even by `Debug`.
#[derive(Debug)]
pub struct ProxyTokens(Vec<SecretString>);

impl ProxyTokens {
    /// Reads the tokens in `file`, one a line.
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        const KEY: &str = "API_PROXY_TOKEN_FILE";
        let tokens = secret_file::read_lines(KEY, file)?;
        let valid = |token: &SecretString| {
            let token = token.expose_secret();
            token.len() >= SHORTEST && token.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !tokens.iter().all(valid) {
            let detail = format!(
                "each line has to be a token of at least {SHORTEST} visible ASCII characters \
                 without spaces"
            );
            return Err(secret_file::unusable(KEY, file, detail));
        }
        Ok(Self(tokens))
    }

    /// Whether a request with these header fields is the proxy's: exactly one token, and one of
    /// ours. How long that takes doesn't tell how much of a token is right.
    pub fn recognise(&self, headers: &HeaderMap) -> bool {
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

    fn tokens(content: &str) -> Result<ProxyTokens, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        ProxyTokens::read(file.path())
    }

    fn recognises(values: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(
                HeaderName::from_static(FIELD),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        tokens(&format!("{NEW}\r\n{OLD}\n"))
            .unwrap()
            .recognise(&headers)
    }

    #[test]
    fn every_line_is_a_token() {
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

    #[test]
    fn a_bad_file_is_named_and_not_shown() {
        for content in [
            "",
            "\n\n",
            "hunter2",
            "hunter2 with a few spaces",
            "0123456789abcdef\nhunter2",
        ] {
            let message = tokens(content).unwrap_err().to_string();
            assert!(message.contains("API_PROXY_TOKEN_FILE"), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
        assert!(!format!("{:?}", tokens(NEW).unwrap()).contains(NEW));
    }
}
