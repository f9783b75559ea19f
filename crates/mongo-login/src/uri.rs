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
    pub(crate) fn parse(text: &str) -> Result<Self, Option<String>> {
        match ConnectionString::parse(text) {
            Ok(_) => Ok(Self(text.into())),
            Err(error) => Err(Some(without_addresses(&error.to_string(), text))),
        }
    }

    pub(crate) fn has_credentials(&self) -> bool {
        ConnectionString::parse(self.0.expose_secret()).is_ok_and(|uri| {
            uri.credential
                .is_some_and(|credential| credential.username.is_some())
        })
    }

    /// Whom it logs in as, and in which database that user is looked up.
    pub(crate) fn whom(&self) -> String {
        let uri = ConnectionString::parse(self.0.expose_secret()).ok();
        let credential = uri.and_then(|uri| uri.credential).unwrap_or_default();
        format!(
            "user {:?} of authSource {:?}",
            credential.username.unwrap_or_default(),
            credential.source.unwrap_or_else(|| "admin".to_owned())
        )
    }

    /// The same string with a user and password in it, so that the driver's own rules for
    /// everything else about authentication apply (authSource, authMechanism, …: connection string
    /// specification, "Defaults").
    #[must_use]
    pub(crate) fn with_credentials(&self, username: &str, password: &SecretString) -> Self {
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

    /// What may be shown of a string that can't be parsed. Nobody can tell what in it is a password:
    /// where the `@` is missing, it stands in the place of a port.
    pub(crate) fn redact(text: &str) -> String {
        let (scheme, _, options) = split(text);
        format!("{scheme}…{options}")
    }
}

impl fmt::Debug for MongoUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, authority, options) = split(self.0.expose_secret());
        match authority.rsplit_once('@') {
            Some((_, hosts)) => write!(f, "{scheme}…@{hosts}{options}"),
            None => write!(f, "{scheme}{authority}{options}"),
        }
    }
}

/// Splits a connection string into its scheme, what names users, passwords and hosts, and its options,
/// even where these aren't encoded as they should be.
fn split(text: &str) -> (&str, &str, &str) {
    let (scheme, rest) = text.split_at(text.find("://").map_or(0, |at| at + "://".len()));
    let hosts = rest.rfind('@').unwrap_or_default();
    let options = rest[hosts..].find('?').map_or(rest.len(), |at| hosts + at);
    let (authority, options) = rest.split_at(options);
    (scheme, authority, options)
}

/// What the driver says of `text`, without the address that it quotes and the port, which it repeats.
fn without_addresses(said: &str, text: &str) -> String {
    let said = said.split(", got ").next().unwrap_or_default();
    let (_, authority, _) = split(text);
    let addresses = authority.split(['@', ',', '/']);
    addresses
        .filter(|address| address.contains([':', '[']))
        .fold(said.to_owned(), |said, address| said.replace(address, "…"))
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
        assert_eq!(joined.whom(), "user \"us:er\" of authSource \"x\"");
    }

    #[test]
    fn nothing_shows_the_password() {
        for text in [
            "mongodb://u:se/cret@h",
            "mongodb://u:se@cret@h/?a",
            "u:secret@h",
            "mongodb://u:secret",
            "mongodb://u:se/cret",
            "mongodb://u:se@cret/",
            "mongodb://u:secret?w=1",
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
        let uri = MongoUri::parse("mongodb://u:secret@h/?w=1").unwrap();
        assert_eq!(format!("{uri:?}"), "mongodb://…@h/?w=1");
        let uri = MongoUri::parse("mongodb://h/?w=1").unwrap();
        assert_eq!(format!("{uri:?}"), "mongodb://h/?w=1");
    }

    #[test]
    fn what_is_wrong_is_said_all_the_same() {
        let detail = MongoUri::parse("mongodb://h:x/?w=1").unwrap_err().unwrap();
        assert!(detail.contains("the port must be an integer"), "{detail}");
        assert_eq!(MongoUri::redact("mongodb://h:x/?w=1"), "mongodb://…?w=1");
    }
}
