//! The MongoDB connection string: checked, joined with credentials, and never shown with a password.

use std::fmt;

use mongodb::options::ConnectionString;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret as _, SecretString};

/// A connection string that the driver understands.
#[derive(Clone)]
pub struct MongoUri(SecretString);

impl MongoUri {
    /// Checks `text`; the error says what the driver didn't like.
    pub fn parse(text: &str) -> Result<Self, Option<String>> {
        match ConnectionString::parse(text) {
            Ok(_) => Ok(Self(text.into())),
            Err(error) => Err(Some(match userinfo(text) {
                // The driver may quote the part that it couldn't read.
                Some(secret) => error.to_string().replace(secret, "…"),
                None => error.to_string(),
            })),
        }
    }

    /// Whether the string names a user.
    pub fn has_credentials(&self) -> bool {
        ConnectionString::parse(self.0.expose_secret()).is_ok_and(|uri| {
            uri.credential
                .is_some_and(|credential| credential.username.is_some())
        })
    }

    /// The same string with a user and password in it, so that the driver's own rules for
    /// everything else about authentication apply (authSource, authMechanism, …: connection string
    /// specification, "Defaults").
    #[must_use]
    pub fn with_credentials(&self, username: &str, password: &SecretString) -> Self {
        let uri = self.0.expose_secret();
        let (scheme, rest) = uri.split_once("://").unwrap_or(("mongodb", uri));
        let username = utf8_percent_encode(username, NON_ALPHANUMERIC);
        let password = utf8_percent_encode(password.expose_secret(), NON_ALPHANUMERIC);
        Self(format!("{scheme}://{username}:{password}@{rest}").into())
    }

    /// The string as the driver wants it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// `text` without its password, for messages.
    pub fn redact(text: &str) -> String {
        match userinfo(text) {
            Some(secret) => text.replacen(&format!("{secret}@"), "…@", 1),
            None => text.to_owned(),
        }
    }
}

impl fmt::Debug for MongoUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Self::redact(self.0.expose_secret()))
    }
}

/// What stands between the scheme and the last `@`: at least the user and the password, even where
/// they aren't encoded as they should be.
fn userinfo(text: &str) -> Option<&str> {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    rest.rsplit_once('@')
        .map(|(userinfo, _)| userinfo)
        .filter(|userinfo| !userinfo.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_percent_encoded_and_everything_else_is_kept() {
        let uri = MongoUri::parse("mongodb://a:1,b:2/?replicaSet=rs0&authSource=x").unwrap();
        let joined = uri.with_credentials("us:er", &"p@ss/w%rd".to_owned().into());
        assert_eq!(
            joined.expose(),
            "mongodb://us%3Aer:p%40ss%2Fw%25rd@a:1,b:2/?replicaSet=rs0&authSource=x"
        );
        let parsed = ConnectionString::parse(joined.expose()).unwrap();
        let credential = parsed.credential.unwrap();
        assert_eq!(credential.password.as_deref(), Some("p@ss/w%rd"));
        assert_eq!(credential.source.as_deref(), Some("x"));
        assert!(joined.has_credentials() && !uri.has_credentials());
    }

    #[test]
    fn nothing_shows_the_password() {
        for text in [
            "mongodb://u:se/cret@h",
            "mongodb://u:se@cret@h/?a",
            "u:secret@h",
        ] {
            assert!(
                !MongoUri::redact(text).contains("cret"),
                "{}",
                MongoUri::redact(text)
            );
            if let Err(detail) = MongoUri::parse(text) {
                assert!(!detail.unwrap_or_default().contains("cret"));
            }
        }
    }
}
