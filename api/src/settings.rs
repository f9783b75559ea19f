//! Settings: defaults < `--config FILE` (TOML) < environment (`API_…`). A variable that is empty
//! counts as unset, so that a Compose file can pass on what may not be there (`${API_WORKERS:-}`).
//!
//! [`KEYS`] is the one table of every key, its default and what it accepts; `--help`, the check for
//! unknown keys and all error messages come from it. Values are read as text and parsed here, so
//! that a bad one is named by key, value and what was expected, wherever it came from.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use actix_web::http::header::HeaderName;
use bytesize::ByteSize;
use config::{Config, Environment, File, FileFormat};
use service::environment::describes_a_service;

use crate::budget;
use crate::write::mongo_uri::MongoUri;

/// Prefix of the environment variables.
const PREFIX: &str = "API";

/// The largest body that can be asked for. MongoDB stores documents of up to 16 MiB; what remains
/// is for the header fields.
const LARGEST_BODY: u64 = 15 * 1024 * 1024;

/// The most threads that actix-server runs.
const MOST_WORKERS: usize = 512;

/// One configuration key.
pub struct Key {
    /// Name in a file; upper-cased and prefixed in the environment.
    pub name: &'static str,
    /// Default, as one would write it.
    pub default: &'static str,
    /// What the key is for, for `--help`.
    pub about: &'static str,
    /// What a value must look like, for error messages.
    expected: &'static str,
}

/// Every key there is.
pub const KEYS: &[Key] = &[
    Key {
        name: "listen",
        default: "[::]:9090",
        about: "address that requests are recorded on; [::] is every address of both families",
        expected: "an IP address and a port, such as [::]:9090 or 127.0.0.1:9090",
    },
    Key {
        name: "admin_listen",
        default: "[::]:9190",
        about: "address of /healthz, /readyz and /metrics; keep it private",
        expected: "an IP address and a port, such as [::]:9190 or 127.0.0.1:9190",
    },
    Key {
        name: "mongo_uri",
        default: "mongodb://mongo:27017",
        about: "MongoDB connection string with any driver option; authSource defaults to admin",
        expected: "a MongoDB connection string such as mongodb://mongo:27017",
    },
    Key {
        name: "mongo_username",
        default: "",
        about: "database user; needs mongo_password_file",
        expected: "a user name",
    },
    Key {
        name: "mongo_password_file",
        default: "",
        about: "file with the user's password, such as a Docker secret; with several, one a line: \
                the first that MongoDB accepts is used, and the next once it is refused",
        expected: "the path of a readable text file",
    },
    Key {
        name: "proxy_token_file",
        default: "",
        about: "file with the tokens, one a line, by which the proxy is known: only with one are \
                X-Request-Id (as _id) and X-Real-IP believed; without the file any X-Real-IP is",
        expected: "the path of a readable text file",
    },
    Key {
        name: "database",
        default: "myDatabase",
        about: "database to write to",
        expected: "1 to 63 bytes without any of /\\. \"$*<>:|? or NUL",
    },
    Key {
        name: "collection",
        default: "requests",
        about: "collection to write to",
        expected: "1 to 120 bytes without $ or NUL, not beginning with \"system.\"",
    },
    Key {
        name: "max_body",
        default: "1MiB",
        about: "largest request body; 413 beyond",
        expected: "a size from 1B to 15MiB, such as 512KiB (there is no unlimited)",
    },
    Key {
        name: "write_timeout",
        default: "5s",
        about: "longest wait for MongoDB's acknowledgement; 503 beyond",
        expected: "a duration from 10ms to 10m, such as 250ms or 5s",
    },
    Key {
        name: "workers",
        default: "auto",
        about: "HTTP worker threads; auto: as many CPUs as the cgroup grants",
        expected: "auto, or a number from 1 to 512",
    },
    Key {
        name: "redact_headers",
        default: "Authorization,Proxy-Authorization,Cookie,Set-Cookie",
        about: "header fields whose values are stored as [redacted]; the word none: no field",
        expected: "header field names separated by commas, or none",
    },
];

/// A setting that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value that isn't of the key's form.
    #[error("{origin} is {value:?}: expected {expected}{}", detail.as_ref().map(|d| format!(" ({d})")).unwrap_or_default())]
    BadValue {
        /// The key as the user wrote it: `API_LISTEN`, or `listen` and the file's name.
        origin: String,
        /// The value, with any password taken out.
        value: String,
        /// What is accepted.
        expected: &'static str,
        /// What exactly is wrong, where that is known.
        detail: Option<String>,
    },
    /// A key that doesn't exist.
    #[error("{origin} is not a setting of the API; there are: {known}")]
    UnknownKey {
        /// The key as the user wrote it.
        origin: String,
        /// Every key there is.
        known: String,
    },
    /// Two keys that only work together, or not together.
    #[error("{0}")]
    Conflict(&'static str),
    /// A file that isn't there or isn't TOML, or an environment that isn't text.
    #[error("can't read the configuration: {0}")]
    Unreadable(#[from] config::ConfigError),
}

/// Everything that can be configured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address that requests are recorded on.
    pub listen: SocketAddr,
    /// Address of the health and metrics endpoints.
    pub admin_listen: SocketAddr,
    /// How to reach and use MongoDB.
    pub mongo: MongoSettings,
    /// The file with the tokens by which the proxy is known.
    pub proxy_token_file: Option<PathBuf>,
    /// Largest request body in bytes.
    pub max_body: usize,
    /// Longest wait for an acknowledgement.
    pub write_timeout: Duration,
    /// HTTP worker threads.
    pub workers: usize,
    /// Header fields whose values aren't stored.
    pub redact_headers: Vec<HeaderName>,
    /// Variables that describe another service, and were passed over.
    pub passed_over: Vec<String>,
}

/// The MongoDB part of the settings.
#[derive(Clone, Debug)]
pub struct MongoSettings {
    /// Connection string.
    pub uri: MongoUri,
    /// Database user and the file with its passwords.
    pub credentials: Option<(String, PathBuf)>,
    /// Database name.
    pub database: String,
    /// Collection name.
    pub collection: String,
}

impl Settings {
    /// Reads the settings from a file, if one is given, and the process's environment.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        Self::from_sources(file, None)
    }

    /// Reads the settings from a file, if one is given, and from `environment` in place of the
    /// process's.
    pub fn from_sources(
        file: Option<&Path>,
        environment: Option<HashMap<String, String>>,
    ) -> Result<Self, ConfigError> {
        let mut builder = Config::builder();
        for key in KEYS {
            builder = builder.set_default(key.name, key.default)?;
        }
        if let Some(path) = file {
            builder = builder.add_source(File::from(path).format(FileFormat::Toml));
        }
        let values = builder
            .add_source(
                Environment::with_prefix(PREFIX)
                    .ignore_empty(true)
                    .source(environment),
            )
            .build()?
            .cache
            .into_table()?;
        Values::check(values)?.settings()
    }
}

/// The list of keys for `--help`.
pub fn help() -> String {
    let mut text = String::from(
        "Settings, by environment variable (in a --config file: the lower-case name without API_):\n",
    );
    for key in KEYS {
        let default = if key.default.is_empty() {
            "none"
        } else {
            key.default
        };
        let _ = write!(
            text,
            "\n  {}\n      {} [default: {default}]",
            variable(key.name),
            key.about
        );
    }
    text + "\n\n" + budget::HELP
}

fn variable(name: &str) -> String {
    format!("{PREFIX}_{}", name.to_uppercase())
}

/// What the sources say.
struct Values {
    /// Text and origin of each key.
    keys: BTreeMap<&'static str, (String, String)>,
    /// Variables that describe a service.
    passed_over: Vec<String>,
}

impl Values {
    fn check(table: config::Map<String, config::Value>) -> Result<Self, ConfigError> {
        let (mut keys, mut passed_over) = (BTreeMap::new(), Vec::new());
        for (name, value) in table {
            let file = value.origin().filter(|origin| *origin != "the environment");
            let origin = match file {
                None => variable(&name),
                Some(file) => format!("{name} in {file}"),
            };
            let Some(key) = KEYS.iter().find(|key| key.name == name) else {
                let text = text_of(&value).unwrap_or_default();
                if file.is_none() && describes_a_service(&name.to_uppercase(), &text) {
                    passed_over.push(origin);
                    continue;
                }
                let known = KEYS
                    .iter()
                    .map(|key| variable(key.name))
                    .collect::<Vec<_>>();
                return Err(ConfigError::UnknownKey {
                    origin,
                    known: known.join(", "),
                });
            };
            let text = text_of(&value).ok_or_else(|| ConfigError::BadValue {
                origin: origin.clone(),
                value: value.kind.to_string(),
                expected: key.expected,
                detail: None,
            })?;
            keys.insert(key.name, (text, origin));
        }
        passed_over.sort_unstable();
        Ok(Self { keys, passed_over })
    }

    fn settings(&self) -> Result<Settings, ConfigError> {
        Ok(Settings {
            listen: self.parse("listen", parsed)?,
            admin_listen: self.parse("admin_listen", parsed)?,
            mongo: MongoSettings {
                uri: self.parse("mongo_uri", MongoUri::parse)?,
                credentials: self.credentials()?,
                database: self.parse("database", database_name)?,
                collection: self.parse("collection", collection_name)?,
            },
            proxy_token_file: Some(self.parse("proxy_token_file", parsed::<PathBuf>)?)
                .filter(|path| !path.as_os_str().is_empty()),
            max_body: self.parse("max_body", body_size)?,
            write_timeout: self.parse("write_timeout", timeout)?,
            workers: self.parse("workers", workers)?,
            redact_headers: self.parse("redact_headers", header_names)?,
            passed_over: self.passed_over.clone(),
        })
    }

    fn credentials(&self) -> Result<Option<(String, PathBuf)>, ConfigError> {
        let username = self.parse("mongo_username", parsed::<String>)?;
        let file = self.parse("mongo_password_file", parsed::<PathBuf>)?;
        let uri = self.parse("mongo_uri", MongoUri::parse)?;
        match (username.is_empty(), file.as_os_str().is_empty()) {
            (true, true) => Ok(None),
            (false, false) if uri.has_credentials() => Err(ConfigError::Conflict(
                "API_MONGO_URI holds a user name, and API_MONGO_USERNAME is set too: use one",
            )),
            (false, false) => Ok(Some((username, file))),
            _ => Err(ConfigError::Conflict(
                "API_MONGO_USERNAME and API_MONGO_PASSWORD_FILE only work together: set both or \
                 neither",
            )),
        }
    }

    /// The value of a key that [`KEYS`] has, read by `read`, which says what is wrong if it can.
    fn parse<T>(
        &self,
        name: &'static str,
        read: fn(&str) -> Result<T, Option<String>>,
    ) -> Result<T, ConfigError> {
        let missing = (String::new(), variable(name));
        let (text, origin) = self.keys.get(name).unwrap_or(&missing);
        read(text).map_err(|detail| ConfigError::BadValue {
            origin: origin.clone(),
            value: if name == "mongo_uri" {
                MongoUri::redact(text)
            } else {
                text.clone()
            },
            expected: KEYS
                .iter()
                .find(|key| key.name == name)
                .map_or("", |key| key.expected),
            detail,
        })
    }
}

/// A scalar as text, a list as its items joined by commas; nothing for a table.
fn text_of(value: &config::Value) -> Option<String> {
    if let config::ValueKind::Array(items) = &value.kind {
        let items: Option<Vec<_>> = items
            .iter()
            .map(|item| item.clone().into_string().ok())
            .collect();
        return items.map(|items| items.join(","));
    }
    value.clone().into_string().ok()
}

fn parsed<T: FromStr>(text: &str) -> Result<T, Option<String>> {
    text.parse().map_err(|_| None)
}

fn database_name(text: &str) -> Result<String, Option<String>> {
    let ok = (1..=63).contains(&text.len()) && !text.contains(|c| "/\\. \"$*<>:|?\0".contains(c));
    ok.then(|| text.to_owned()).ok_or(None)
}

fn collection_name(text: &str) -> Result<String, Option<String>> {
    let ok = (1..=120).contains(&text.len())
        && !text.contains(['$', '\0'])
        && !text.starts_with("system.");
    ok.then(|| text.to_owned()).ok_or(None)
}

fn body_size(text: &str) -> Result<usize, Option<String>> {
    let size: ByteSize = parsed(text)?;
    if !(1..=LARGEST_BODY).contains(&size.as_u64()) {
        return Err(None);
    }
    usize::try_from(size.as_u64()).map_err(|_| None)
}

fn timeout(text: &str) -> Result<Duration, Option<String>> {
    let duration = humantime::parse_duration(text).map_err(|error| Some(error.to_string()))?;
    let allowed = Duration::from_millis(10)..=Duration::from_secs(600);
    allowed.contains(&duration).then_some(duration).ok_or(None)
}

fn workers(text: &str) -> Result<usize, Option<String>> {
    if text == "auto" {
        // On Linux this is the least of the machine's CPUs, the affinity mask and the cgroup quota.
        return std::thread::available_parallelism()
            .map(|cpus| cpus.get().min(MOST_WORKERS))
            .map_err(|error| Some(format!("the number of CPUs is unknown here: {error}")));
    }
    let count = parsed(text)?;
    (1..=MOST_WORKERS)
        .contains(&count)
        .then_some(count)
        .ok_or(None)
}

fn header_names(text: &str) -> Result<Vec<HeaderName>, Option<String>> {
    if text == "none" {
        return Ok(Vec::new());
    }
    text.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| {
            name.parse()
                .map_err(|_| Some(format!("{name:?} isn't a field name")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let environment = variables
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect();
        Settings::from_sources(None, Some(environment))
    }

    fn error(variables: &[(&str, &str)]) -> String {
        load(variables)
            .expect_err("the setting should be refused")
            .to_string()
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let settings = load(&[]).unwrap();
        assert_eq!(settings.listen.to_string(), "[::]:9090");
        assert_eq!(settings.admin_listen.to_string(), "[::]:9190");
        assert_eq!(settings.mongo.database, "myDatabase");
        assert_eq!(settings.mongo.collection, "requests");
        assert_eq!(settings.max_body, 1 << 20);
        assert_eq!(settings.write_timeout, Duration::from_secs(5));
        assert_eq!(settings.redact_headers.len(), 4);
        assert!(settings.workers >= 1);
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        std::fs::write(
            file.path(),
            "max_body = \"2MiB\"\nworkers = 3\nredact_headers = [\"X-Key\", \"cookie\"]\n",
        )
        .unwrap();
        let environment = HashMap::from([("API_WORKERS".to_owned(), "5".to_owned())]);
        let settings = Settings::from_sources(Some(file.path()), Some(environment)).unwrap();
        assert_eq!(settings.max_body, 2 << 20);
        assert_eq!(settings.workers, 5);
        assert_eq!(settings.redact_headers, ["x-key", "cookie"]);
    }

    #[test]
    fn errors_name_key_value_and_what_is_allowed() {
        for (key, value, expected) in [
            ("API_LISTEN", "localhost", "an IP address and a port"),
            ("API_MAX_BODY", "16MiB", "from 1B to 15MiB"),
            ("API_MAX_BODY", "0", "from 1B to 15MiB"),
            ("API_MAX_BODY", "-1", "such as 512KiB"),
            ("API_WRITE_TIMEOUT", "5", "such as 250ms or 5s"),
            ("API_WRITE_TIMEOUT", "0s", "from 10ms to 10m"),
            ("API_WORKERS", "0", "from 1 to 512"),
            ("API_DATABASE", "a.b", "without any of"),
            ("API_COLLECTION", "system.users", "not beginning"),
            ("API_REDACT_HEADERS", "a b", "field names"),
        ] {
            let message = error(&[(key, value)]);
            assert!(message.contains(key), "{message}");
            assert!(message.contains(&format!("{value:?}")), "{message}");
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn unknown_keys_are_refused_wherever_they_are() {
        assert!(error(&[("API_WRITE_TIMOUT", "5s")]).contains("API_WRITE_TIMOUT"));
        let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        std::fs::write(file.path(), "lisen = \"0.0.0.0:1\"\n").unwrap();
        let message = Settings::from_sources(Some(file.path()), Some(HashMap::new()))
            .expect_err("an unknown key")
            .to_string();
        assert!(
            message.contains("lisen in ") && message.contains(".toml"),
            "{message}"
        );
    }

    #[test]
    fn variables_that_describe_a_service_are_passed_over_with_a_note() {
        let settings = load(&[
            ("API_SERVICE_HOST", "10.0.0.1"),
            ("API_PORT", "tcp://10.0.0.1:9090"),
            ("API_WORKERS", "3"),
        ]);
        let settings = settings.unwrap();
        assert_eq!(settings.passed_over, ["API_PORT", "API_SERVICE_HOST"]);
        assert_eq!(settings.workers, 3);
        assert!(error(&[("API_PORT", "9090")]).contains("API_PORT is not a setting"));
        let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        std::fs::write(file.path(), "service_host = \"a\"\n").unwrap();
        assert!(Settings::from_sources(Some(file.path()), Some(HashMap::new())).is_err());
    }

    #[test]
    fn credentials_come_in_pairs_and_from_one_place() {
        assert!(error(&[("API_MONGO_USERNAME", "api")]).contains("API_MONGO_PASSWORD_FILE"));
        let message = error(&[
            ("API_MONGO_URI", "mongodb://u:p@mongo"),
            ("API_MONGO_USERNAME", "api"),
            ("API_MONGO_PASSWORD_FILE", "/run/secrets/api"),
        ]);
        assert!(message.contains("use one"), "{message}");
    }

    #[test]
    fn a_password_in_the_uri_is_never_shown() {
        let message = error(&[("API_MONGO_URI", "mongodb://u:hunter2@mongo/?nope=1")]);
        assert!(message.contains("API_MONGO_URI"), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
        let settings = load(&[("API_MONGO_URI", "mongodb://u:hunter2@mongo")]).unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn none_redacts_nothing() {
        let settings = load(&[("API_REDACT_HEADERS", "none")]).unwrap();
        assert!(settings.redact_headers.is_empty());
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let names: Vec<String> = KEYS.iter().map(|key| variable(key.name)).collect();
        let empty: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
        let settings = load(&empty).unwrap();
        assert_eq!(format!("{settings:?}"), format!("{:?}", load(&[]).unwrap()));
        let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        std::fs::write(file.path(), "workers = 3\n").unwrap();
        let environment = HashMap::from([("API_WORKERS".to_owned(), String::new())]);
        let settings = Settings::from_sources(Some(file.path()), Some(environment)).unwrap();
        assert_eq!(settings.workers, 3, "the file's");
    }

    #[test]
    fn help_lists_every_key() {
        for key in KEYS {
            assert!(help().contains(&variable(key.name)));
        }
    }
}
