//! The token by which the upstream knows that a request comes from this proxy.
//!
//! An upstream that has the same token takes a request's `X-Request-Id` for its own, and answers an
//! id that it has carried out already without carrying it out again. That is what lets the proxy
//! repeat every method: a configured token says that the upstream does so (see [`crate::exchange::retry`]).

use std::{fs, path::Path};

use secrecy::{ExposeSecret, SecretString};

/// Fewer characters could be guessed, more are no token.
const LENGTH: std::ops::RangeInclusive<usize> = 16..=256;

/// The token, as the field line that goes with every request. Never shown: not even by `Debug`.
#[derive(Debug, Clone)]
pub struct UpstreamToken(SecretString);

impl UpstreamToken {
    /// Reads the first line of `file`; the error says what is wrong with it, without showing it.
    ///
    /// The lines after it are tokens that the upstream accepts, too, while one replaces the other.
    pub fn read(file: &Path) -> Result<Self, String> {
        let text = SecretString::from(fs::read_to_string(file).map_err(|error| error.to_string())?);
        let token = text.expose_secret().lines().next().unwrap_or_default();
        if !LENGTH.contains(&token.len()) || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!(
                "its first line has to be {} to {} visible ASCII characters without spaces",
                LENGTH.start(),
                LENGTH.end()
            ));
        }
        Ok(Self(format!("X-Proxy-Token: {token}\r\n").into()))
    }

    /// `X-Proxy-Token` with its value and line end.
    pub fn field_line(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(content: &str) -> Result<UpstreamToken, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        UpstreamToken::read(file.path())
    }

    #[test]
    fn the_first_line_is_sent() {
        for content in [
            "0123456789abcdef",
            "0123456789abcdef\n",
            "0123456789abcdef\r\nanother-valid-token\n",
        ] {
            let token = read(content).unwrap();
            assert_eq!(token.field_line(), b"X-Proxy-Token: 0123456789abcdef\r\n");
            assert!(!format!("{token:?}").contains("0123456789abcdef"));
        }
    }

    #[test]
    fn what_is_no_token_is_refused_unshown() {
        let long = "x".repeat(257);
        for content in [
            "",
            "\n0123456789abcdef",
            "hunter2",
            "0123456789 abcdef",
            "0123456789abcdéf",
            &long,
        ] {
            let error = read(content).unwrap_err();
            assert!(
                error.contains("16 to 256") && !error.contains("hunter2"),
                "{error}"
            );
        }
        assert!(UpstreamToken::read(Path::new("/no/such/file")).is_err());
    }
}
