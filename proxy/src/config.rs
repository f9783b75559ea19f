//! Settings: defaults, then the file, then `PROXY_…` in the environment. A variable that is empty
//! counts as unset, so that a Compose file can pass on what may not be there (`${PROXY_WORKERS:-}`).
//!
//! One table ([`KEYS`]) holds each key with its default and its meaning. `--help` prints it,
//! the loader checks names against it, and errors quote it, so that the three can't drift apart.

mod values;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use bytesize::ByteSize;
use config::{Config, Environment, File, FileFormat, Map, Source, Value};
use service::environment::describes_a_service;
use thiserror::Error;

use self::values::Values;
use crate::{
    rewrite::trusted_proxies::TrustedProxies, upstream::name::UpstreamName,
    upstream_token::UpstreamToken,
};

/// What every environment variable of ours starts with.
pub const PREFIX: &str = "PROXY_";

/// A configuration key.
#[derive(Debug)]
pub struct Key {
    /// Its name in the file; the environment has it in upper case after [`PREFIX`].
    pub name: &'static str,
    /// The value where nothing else is said.
    pub default: &'static str,
    /// What it does, for `--help`.
    pub help: &'static str,
}

const fn key(name: &'static str, default: &'static str, help: &'static str) -> Key {
    Key {
        name,
        default,
        help,
    }
}

/// Every key there is.
pub const KEYS: &[Key] = &[
    key("listen", "[::]:80", "address that clients connect to"),
    key(
        "listen_from",
        "",
        "Unix socket of the listener service; its sockets are accepted on then, and listen isn't \
         bound",
    ),
    key(
        "upstream",
        "flask-app:9090",
        "host:port to forward to; every address that /etc/hosts has for the name, else DNS, is a \
         backend",
    ),
    key(
        "upstream_token_file",
        "",
        "file whose first line goes to the upstream as X-Proxy-Token; set it only where the \
         upstream answers a repeated X-Request-Id without acting twice: every method is retried \
         then",
    ),
    key(
        "admin_listen",
        "[::]:9180",
        "address of /healthz, /readyz and /metrics; never publish it",
    ),
    key(
        "workers",
        "auto",
        "worker threads; auto: the CPUs that the cgroup grants",
    ),
    key(
        "resolve_interval",
        "1s",
        "how often the upstream's name is looked up, and /etc/hosts and /etc/resolv.conf are read",
    ),
    key(
        "connect_timeout",
        "2s",
        "longest wait for a connection to a backend",
    ),
    key(
        "read_timeout",
        "60s",
        "longest silence in the middle of a request, response or tunnel",
    ),
    key(
        "header_timeout",
        "10s",
        "longest time a client may take to send a request head",
    ),
    key(
        "idle_timeout",
        "75s",
        "how long an idle client connection is kept",
    ),
    key(
        "upstream_idle_timeout",
        "4s",
        "how long an idle backend connection is kept; keep it below the backend's own limit",
    ),
    key(
        "max_body",
        "1MiB",
        "largest request body; 413 beyond; 0: any size",
    ),
    key(
        "min_body_rate",
        "1KiB",
        "bytes a second that a client has to send of a body, after header_timeout; 0 for no limit",
    ),
    key(
        "linger_timeout",
        "30s",
        "how long a client that is still sending is read from so that it gets to read its answer",
    ),
    key(
        "memory_limit",
        "auto",
        "memory that the budgets add up to three quarters of; auto: what the cgroup grants",
    ),
    key(
        "max_connections",
        "auto",
        "most client connections; beyond, the slowest and oldest give way; auto: 20000, or what the \
         memory limit and the limit on open files allow",
    ),
    key(
        "upstream_connections",
        "1024",
        "most requests to one backend at a time; keep it below what the backend takes. More wait in \
         line",
    ),
    key(
        "upstream_queue_timeout",
        "5s",
        "longest wait in line; 503 beyond",
    ),
    key(
        "trusted_proxies",
        "",
        "CIDRs, comma-separated, of the proxies in front: the client is the right-most \
         X-Forwarded-For entry that isn't theirs; gateway: this network's default gateway",
    ),
    key(
        "early_hints",
        "on",
        "whether 103 responses are passed on: on or off",
    ),
    key(
        "drain_timeout",
        "10s",
        "on SIGTERM, how long requests in flight may take to finish",
    ),
    key("access_log", "on", "one log line per request: on or off"),
];

/// All settings, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Who holds the sockets for that, if this process doesn't.
    pub listen_from: Option<PathBuf>,
    /// Where requests go.
    pub upstream: UpstreamName,
    /// What tells the upstream that requests are from us, if anything does.
    pub upstream_token: Option<UpstreamToken>,
    /// Where health and metrics are served.
    pub admin_listen: SocketAddr,
    /// Number of worker threads.
    pub workers: usize,
    /// Time between two resolutions of the upstream's name.
    pub resolve_interval: Duration,
    /// Limit on one attempt to connect to a backend.
    pub connect_timeout: Duration,
    /// Limit on silence in the middle of something.
    pub read_timeout: Duration,
    /// Limit on the arrival of a request head.
    pub header_timeout: Duration,
    /// Limit on silence between two requests of a client.
    pub idle_timeout: Duration,
    /// Limit on the age of an idle backend connection.
    pub upstream_idle_timeout: Duration,
    /// Largest request body in bytes; `u64::MAX` where any may pass.
    pub max_body: u64,
    /// Least speed of a request body, in bytes a second; 0 for no limit.
    pub min_body_rate: u64,
    /// Limit on reading from a client that has its answer already.
    pub linger_timeout: Duration,
    /// Memory that may be taken in bytes, where that isn't left to the machine.
    pub memory_limit: Option<u64>,
    /// Most client connections at a time, where that isn't left to the machine.
    pub max_connections: Option<usize>,
    /// Most requests to one backend at a time.
    pub upstream_connections: usize,
    /// Limit on the wait for one of them.
    pub upstream_queue_timeout: Duration,
    /// Peers that may say who their client is.
    pub trusted_proxies: TrustedProxies,
    /// Whether clients get 103 (Early Hints).
    pub early_hints: bool,
    /// Limit on the time between SIGTERM and exit.
    pub drain_timeout: Duration,
    /// Whether requests are logged.
    pub access_log: bool,
    /// Names of variables that look like settings and describe services: passed over.
    pub passed_over: Vec<String>,
}

/// Why the settings can't be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file is missing, unreadable or not TOML.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        error: String,
    },
    /// A key that doesn't exist.
    #[error("{place}: unknown key {key}; --help lists the keys there are")]
    UnknownKey {
        /// Where it was given.
        place: String,
        /// The key as it was given.
        key: String,
    },
    /// A value that can't be used.
    #[error("{place}: {key} = {value:?}: expected {expected}")]
    BadValue {
        /// Where it was given.
        place: String,
        /// The key as it was given.
        key: String,
        /// The value as it was given.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// A value that is well-formed and names what can't be used.
    #[error("{place}: {key} = {value:?}: {reason}")]
    Unusable {
        /// Where it was given.
        place: String,
        /// The key as it was given.
        key: String,
        /// The value as it was given.
        value: String,
        /// What is wrong with what it names.
        reason: String,
    },
    /// The parts can't be merged.
    #[error("settings: {0}")]
    Merge(#[from] config::ConfigError),
}

impl Settings {
    /// Loads the settings from `file`, if any, and `environment`.
    ///
    /// Variables that don't start with [`PREFIX`] are ignored, and so are those that Kubernetes and
    /// Docker's links set for a service called `proxy`, which [`Settings::passed_over`] names.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let (environment, passed_over) = ours(environment)?;
        let mut builder = Config::builder();
        for key in KEYS {
            builder = builder.set_default(key.name, key.default)?;
        }
        let mut values = Values {
            texts: BTreeMap::new(),
            file: String::new(),
            environment,
        };
        if let Some(path) = file {
            values.file = path.display().to_string();
            let fail = |error: String| ConfigError::File {
                path: values.file.clone(),
                error,
            };
            let text = fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
            let source = File::from_str(&text, FileFormat::Toml);
            source.collect().map_err(|error| fail(error.to_string()))?;
            builder = builder.add_source(source);
        }
        let environment =
            Environment::with_prefix("PROXY").source(Some(values.environment.clone()));
        for (name, value) in builder.add_source(environment).build()?.collect()? {
            if !KEYS.iter().any(|key| key.name == name) {
                let (place, key) = values.origin(&name);
                return Err(ConfigError::UnknownKey { place, key });
            }
            values.texts.insert(name, text(value)?);
        }
        Self::from_values(&values, passed_over)
    }

    fn from_values(values: &Values, passed_over: Vec<String>) -> Result<Self, ConfigError> {
        Ok(Self {
            listen: values.parse("listen", "an address and port such as [::]:80")?,
            listen_from: values.path("listen_from"),
            upstream: values.parse("upstream", UPSTREAM)?,
            upstream_token: values.token("upstream_token_file")?,
            admin_listen: values.parse("admin_listen", "an address and port such as [::]:9180")?,
            workers: values.workers()?,
            resolve_interval: values.duration("resolve_interval")?,
            connect_timeout: values.duration("connect_timeout")?,
            read_timeout: values.duration("read_timeout")?,
            header_timeout: values.duration("header_timeout")?,
            idle_timeout: values.duration("idle_timeout")?,
            upstream_idle_timeout: values.duration("upstream_idle_timeout")?,
            max_body: values.size_or_unlimited("max_body")?,
            min_body_rate: values
                .parse::<ByteSize>("min_body_rate", "a size such as 1KiB, or 0")?
                .0,
            linger_timeout: values.duration("linger_timeout")?,
            memory_limit: values
                .automatic::<ByteSize>("memory_limit", "auto or a size such as 256MiB")?
                .map(|size| size.0),
            max_connections: values
                .automatic::<NonZeroUsize>("max_connections", "auto or a number of at least 1")?
                .map(NonZeroUsize::get),
            upstream_connections: values.positive("upstream_connections")?,
            upstream_queue_timeout: values.duration("upstream_queue_timeout")?,
            trusted_proxies: values.proxies("trusted_proxies")?,
            early_hints: values.switch("early_hints")?,
            drain_timeout: values.duration("drain_timeout")?,
            access_log: values.switch("access_log")?,
            passed_over,
        })
    }
}

/// The variables that are settings, and the names of those that only look like some.
fn ours(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<(Map<String, String>, Vec<String>), ConfigError> {
    let (mut settings, mut passed_over) = (Map::new(), Vec::new());
    for (name, value) in environment {
        // A name that isn't UTF-8 is nobody's key, and is an error as any such.
        let name = name.to_string_lossy().into_owned();
        let Some(key) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if describes_a_service(key, &value.to_string_lossy()) {
            passed_over.push(name);
            continue;
        }
        if value.is_empty() {
            continue;
        }
        let value = value.into_string().map_err(|value| ConfigError::BadValue {
            place: "environment".to_owned(),
            key: name.clone(),
            value: value.to_string_lossy().into_owned(),
            expected: "UTF-8",
        })?;
        settings.insert(name, value);
    }
    Ok((settings, passed_over))
}

/// A value as text; in a file, `trusted_proxies` may also be an array.
fn text(value: Value) -> Result<String, ConfigError> {
    if let Ok(text) = value.clone().into_string() {
        return Ok(text);
    }
    let elements: Result<Vec<_>, _> = value
        .into_array()?
        .into_iter()
        .map(Value::into_string)
        .collect();
    Ok(elements?.join(","))
}

/// What an upstream may be.
const UPSTREAM: &str = "host:port such as flask-app:9090 or [::1]:9090, the host an address or a \
                        name whose labels are 1 to 63 letters, digits, hyphens and underscores, \
                        no hyphen first or last";

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn load(environment: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let own = |(name, value): &(&str, &str)| (OsString::from(name), OsString::from(value));
        Settings::load(None, environment.iter().map(own))
    }

    #[test]
    fn defaults_are_valid() {
        let settings = load(&[("HOME", "/root")]).unwrap();
        assert_eq!(settings.listen.to_string(), "[::]:80");
        assert_eq!(settings.upstream.to_string(), "flask-app:9090");
        assert_eq!(settings.max_body, 1024 * 1024);
        assert!(settings.workers >= 1 && settings.access_log);
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(
            file,
            "read_timeout = '5s'\nmax_body = 1024\ntrusted_proxies = ['10.0.0.0/8']"
        )
        .unwrap();
        let environment = [("PROXY_READ_TIMEOUT".into(), "250ms".into())];
        let settings = Settings::load(Some(file.path()), environment).unwrap();
        assert_eq!(settings.read_timeout, Duration::from_millis(250));
        assert_eq!(settings.max_body, 1024);
        let trusted = |peer: &str| settings.trusted_proxies.contains(peer.parse().unwrap());
        assert!(trusted("10.1.2.3") && !trusted("11.1.2.3"));
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let names: Vec<String> = KEYS
            .iter()
            .map(|key| format!("{PREFIX}{}", key.name.to_uppercase()))
            .collect();
        let empty: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
        let settings = load(&empty).unwrap();
        assert_eq!(format!("{settings:?}"), format!("{:?}", load(&[]).unwrap()));
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "max_body = 1024").unwrap();
        let environment = [("PROXY_MAX_BODY".into(), "".into())];
        let settings = Settings::load(Some(file.path()), environment).unwrap();
        assert_eq!(settings.max_body, 1024, "the file's");
    }

    #[test]
    fn errors_name_the_key_the_value_and_what_is_allowed() {
        for (name, value, expected) in [
            ("PROXY_LISTEN", "localhost", "an address and port"),
            ("PROXY_READ_TIMEOUT", "soon", "a duration"),
            ("PROXY_READ_TIMEOUT", "0s", "a duration"),
            ("PROXY_MAX_BODY", "big", "a size"),
            ("PROXY_WORKERS", "0", "auto or a number"),
            ("PROXY_ACCESS_LOG", "yes", "on or off"),
            ("PROXY_UPSTREAM", "flask-app", "host:port"),
            ("PROXY_UPSTREAM", "http://a:80", "host:port"),
            ("PROXY_TRUSTED_PROXIES", "10.0.0.0/8,x", "CIDRs"),
            ("PROXY_MAX_CONNECTIONS", "0", "auto or a number"),
            ("PROXY_UPSTREAM_CONNECTIONS", "0", "a number"),
            ("PROXY_MIN_BODY_RATE", "slow", "a size"),
            ("PROXY_UPSTREAM_TOKEN_FILE", "/no/such/file", "No such file"),
        ] {
            let error = load(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
            assert!(error.contains(&format!("{value:?}")), "{error}");
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn no_limit_is_written_as_0() {
        let limit = |text| load(&[("PROXY_MAX_BODY", text)]).unwrap().max_body;
        assert_eq!(
            (limit("0"), limit("0B"), limit("1")),
            (u64::MAX, u64::MAX, 1)
        );
    }

    #[test]
    fn variables_about_a_service_called_proxy_are_passed_over() {
        let settings = load(&[
            ("PROXY_PORT", "tcp://10.0.0.11:80"),
            ("PROXY_SERVICE_HOST", "10.0.0.11"),
            ("PROXY_WORKERS", "3"),
        ])
        .unwrap();
        assert_eq!(settings.workers, 3);
        assert_eq!(settings.passed_over, ["PROXY_PORT", "PROXY_SERVICE_HOST"]);
        assert!(load(&[("PROXY_PORT", "80")]).is_err());
    }

    #[test]
    fn unknown_keys_are_errors() {
        let error = load(&[("PROXY_MAXBODY", "1")]).unwrap_err().to_string();
        assert!(
            error.contains("PROXY_MAXBODY") && error.contains("environment"),
            "{error}"
        );
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "max_bodies = '1MiB'").unwrap();
        let error = Settings::load(Some(file.path()), [])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("max_bodies") && error.contains("tmp"),
            "{error}"
        );
    }
}
