//! What can be configured: `API_…` in the environment, or `--config FILE`.

use std::{ffi::OsString, net::SocketAddr, path::Path, time::Duration};

use actix_web::http::header::HeaderName;
use mongo_login::MongoSettings;
use secrecy::SecretString;
use service::secrets;
use service::settings::{SettingsError, Table, Values, key};
use service::trace::{self, TraceSettings};

/// The largest body that can be asked for. MongoDB stores documents of up to 16 MiB; what remains
/// is for the header fields.
const LARGEST_BODY: u64 = 15 * 1024 * 1024;

/// The most threads that actix-server runs.
const MOST_WORKERS: usize = 512;

/// Every key there is.
pub static TABLE: Table = Table {
    prefix: "API_",
    keys: &[
        key(
            "listen",
            "[::]:9090",
            "address that requests are recorded on; [::] is every address of both families",
        ),
        key(
            "admin_listen",
            "[::]:9190",
            "address of /healthz, /readyz and /metrics; keep it private",
        ),
        mongo_login::URI,
        key(
            "mongo_username",
            "",
            "database user; needs mongo_password_file",
        ),
        mongo_login::PASSWORD_FILE,
        key(
            "proxy_token_file",
            "",
            "file with the tokens, one a line, by which the proxy is known: only with one are \
             X-Request-Id (as _id) and X-Real-IP believed; without the file any X-Real-IP is",
        ),
        key("database", "myDatabase", "database to write to"),
        key("collection", "requests", "collection to write to"),
        key("max_body", "1MiB", "largest request body; 413 beyond"),
        key(
            "write_timeout",
            "5s",
            "longest wait for MongoDB's acknowledgement; 503 beyond",
        ),
        key(
            "workers",
            "auto",
            "HTTP worker threads; auto: as many CPUs as the cgroup grants",
        ),
        key(
            "redact_headers",
            "Authorization,Proxy-Authorization,Cookie,Set-Cookie",
            "header fields whose values are stored as [redacted]; the word none: no field",
        ),
        trace::ENDPOINT,
        trace::PROTOCOL,
        trace::service_name("causeway-api"),
        trace::SAMPLER,
        trace::SAMPLER_ARG,
    ],
};

#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) admin_listen: SocketAddr,
    pub mongo: MongoSettings,
    /// The tokens by which the proxy is known, if it is.
    pub(crate) proxy_tokens: Option<Vec<SecretString>>,
    /// In bytes.
    pub(crate) max_body: usize,
    pub write_timeout: Duration,
    pub(crate) workers: usize,
    pub(crate) redact_headers: Vec<HeaderName>,
    /// How traces are exported, if they are.
    pub(crate) traces: Option<TraceSettings>,
    /// Variables that describe another service.
    pub(crate) passed_over: Vec<String>,
}

impl Settings {
    /// Reads them from a file, if one is given, and from `environment`.
    pub fn load<N: Into<OsString>, V: Into<OsString>>(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, SettingsError> {
        let values = Values::load(&TABLE, file, environment)?;
        Ok(Self {
            listen: values.address("listen")?,
            admin_listen: values.address("admin_listen")?,
            mongo: MongoSettings::read(&values)?,
            proxy_tokens: values.file("proxy_token_file", secrets::tokens)?,
            max_body: max_body(&values)?,
            write_timeout: values.duration(
                "write_timeout",
                Duration::from_millis(10)..=Duration::from_secs(600),
                "a duration from 10ms to 10m, such as 250ms or 5s",
            )?,
            workers: values.one_per_cpu("workers", MOST_WORKERS)?,
            redact_headers: values.try_read(
                "redact_headers",
                "header field names separated by commas, or none",
                header_names,
            )?,
            traces: TraceSettings::read(&values)?,
            passed_over: values.passed_over().to_vec(),
        })
    }
}

fn max_body(values: &Values) -> Result<usize, SettingsError> {
    let expected = "a size from 1B to 15MiB, such as 512KiB (there is no unlimited)";
    let size = values.size("max_body", 1..=LARGEST_BODY, expected)?;
    Ok(usize::try_from(size).unwrap_or(usize::MAX))
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

    fn load(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::load(None, variables.iter().copied())
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
    fn errors_name_key_value_and_what_is_allowed() {
        for (key, value, expected) in [
            ("API_LISTEN", "localhost", "an address and port"),
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
}
