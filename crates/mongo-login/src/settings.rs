//! Where the database is, who we are there, and which collection it is about.

use secrecy::SecretString;
use service::secrets;
use service::settings::{Key, SettingsError, Values, key};

use crate::uri::MongoUri;

/// Where MongoDB is.
pub const URI: Key = key(
    "mongo_uri",
    "mongodb://mongo:27017",
    "MongoDB connection string with any driver option; authSource defaults to admin",
);

/// The passwords of `mongo_username`.
pub const PASSWORD_FILE: Key = key(
    "mongo_password_file",
    "",
    "file with the user's password, such as a Docker secret; with several, one a line: \
     the first that MongoDB accepts is used, and the next once it is refused",
);

/// What a service's `mongo_uri`, `mongo_username`, `mongo_password_file`, `database` and `collection`
/// say.
#[derive(Clone, Debug)]
pub struct MongoSettings {
    /// The connection string, without the credentials below.
    pub uri: MongoUri,
    /// The user, and the passwords of which one is accepted.
    credentials: Option<(String, Vec<SecretString>)>,
    /// The database's name.
    pub database: String,
    /// The collection's name.
    pub collection: String,
    /// What the key of the passwords' file is called where it is set.
    pub(crate) password_key: String,
}

impl MongoSettings {
    /// Reads the five keys. A connection string that can't be used is shown without what may be a
    /// password.
    pub fn read(values: &Values) -> Result<Self, SettingsError> {
        let uri = uri(values)?;
        Ok(Self {
            credentials: credentials(values, &uri)?,
            uri,
            database: values.read(
                "database",
                "1 to 63 bytes without any of /\\. \"$*<>:|? or NUL",
                database_name,
            )?,
            collection: values.read(
                "collection",
                "1 to 120 bytes without $ or NUL, not beginning with \"system.\"",
                collection_name,
            )?,
            password_key: values.variable("mongo_password_file"),
        })
    }

    /// The connection string, with each of the passwords if there are any.
    pub fn uris(&self) -> Vec<MongoUri> {
        let Some((username, passwords)) = &self.credentials else {
            return vec![self.uri.clone()];
        };
        let with = |password: &SecretString| self.uri.with_credentials(username, password);
        passwords.iter().map(with).collect()
    }
}

fn uri(values: &Values) -> Result<MongoUri, SettingsError> {
    let expected = "a MongoDB connection string such as mongodb://mongo:27017";
    let uri = values.try_read("mongo_uri", expected, MongoUri::parse);
    uri.map_err(|error| error.redacted(MongoUri::redact))
}

fn credentials(
    values: &Values,
    uri: &MongoUri,
) -> Result<Option<(String, Vec<SecretString>)>, SettingsError> {
    let key = |name| values.variable(name);
    let username = values.parse::<String>("mongo_username", "a user name")?;
    let has_file = values.path("mongo_password_file")?.is_some();
    if username.is_empty() == has_file {
        return Err(SettingsError::conflict(format!(
            "{} and {} only work together: set both or neither",
            key("mongo_username"),
            key("mongo_password_file")
        )));
    }
    if has_file && uri.has_credentials() {
        return Err(SettingsError::conflict(format!(
            "{} holds a user name, and {} is set too: use one",
            key("mongo_uri"),
            key("mongo_username")
        )));
    }
    let passwords = values.file("mongo_password_file", secrets::lines)?;
    Ok(passwords.map(|passwords| (username, passwords)))
}

fn database_name(text: &str) -> Option<String> {
    let ok = (1..=63).contains(&text.len()) && !text.contains(|c| "/\\. \"$*<>:|?\0".contains(c));
    ok.then(|| text.to_owned())
}

fn collection_name(text: &str) -> Option<String> {
    let ok = (1..=120).contains(&text.len())
        && !text.contains(['$', '\0'])
        && !text.starts_with("system.");
    ok.then(|| text.to_owned())
}
