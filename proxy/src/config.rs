//! Settings: defaults, then the file, then `PROXY_…` in the environment.
//!
//! One table ([`KEYS`]) holds each key with its default and its meaning. `--help` prints it,
//! the loader checks names against it, and errors quote it, so that the three can't drift apart.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use bytesize::ByteSize;
use config::{Config, Environment, File, FileFormat, Map, Source, Value};
use ipnet::IpNet;
use thiserror::Error;

use crate::upstream_token::UpstreamToken;

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
        "host:port to forward to; every A/AAAA record is a backend",
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
        "how often the upstream's name is resolved",
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
    key("max_body", "1MiB", "largest request body; 413 beyond"),
    key(
        "max_connections",
        "20000",
        "most client connections; 503 beyond",
    ),
    key(
        "trusted_proxies",
        "",
        "CIDRs, comma-separated, whose X-Forwarded-* fields are kept",
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
    /// Largest request body in bytes.
    pub max_body: u64,
    /// Most client connections at a time.
    pub max_connections: usize,
    /// Peers that may say who their client is.
    pub trusted_proxies: Vec<IpNet>,
    /// Limit on the time between SIGTERM and exit.
    pub drain_timeout: Duration,
    /// Whether requests are logged.
    pub access_log: bool,
}

/// The upstream as it is configured: a name or an address, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamName {
    /// Host name or literal address, IPv6 without brackets.
    pub host: String,
    /// Port of every backend.
    pub port: u16,
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
    /// A file that a key names and that can't be used.
    #[error("{place}: {key} = {path:?}: {reason}")]
    BadFile {
        /// Where it was given.
        place: String,
        /// The key as it was given.
        key: String,
        /// The file's path.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The parts can't be merged.
    #[error("settings: {0}")]
    Merge(#[from] config::ConfigError),
}

impl Settings {
    /// Loads the settings from `file`, if any, and `environment`.
    ///
    /// Variables that don't start with [`PREFIX`] are ignored.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let environment: Map<String, String> = environment
            .into_iter()
            .filter(|(name, _)| name.starts_with(PREFIX))
            .collect();
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
        Self::from_values(&values)
    }

    fn from_values(values: &Values) -> Result<Self, ConfigError> {
        Ok(Self {
            listen: values.parse("listen", "an address and port such as [::]:80")?,
            listen_from: values.path("listen_from"),
            upstream: values.parse("upstream", "host:port such as flask-app:9090")?,
            upstream_token: values.token("upstream_token_file")?,
            admin_listen: values.parse("admin_listen", "an address and port such as [::]:9180")?,
            workers: values.workers()?,
            resolve_interval: values.duration("resolve_interval")?,
            connect_timeout: values.duration("connect_timeout")?,
            read_timeout: values.duration("read_timeout")?,
            header_timeout: values.duration("header_timeout")?,
            idle_timeout: values.duration("idle_timeout")?,
            upstream_idle_timeout: values.duration("upstream_idle_timeout")?,
            max_body: values
                .parse::<ByteSize>("max_body", "a size such as 512KiB or 1MiB")?
                .0,
            max_connections: values.positive("max_connections")?,
            trusted_proxies: values.networks("trusted_proxies")?,
            drain_timeout: values.duration("drain_timeout")?,
            access_log: values.switch("access_log")?,
        })
    }

    /// Whether what `peer` says about its client is believed.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted_proxies
            .iter()
            .any(|network| network.contains(&peer))
    }
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

/// The merged values, and where they come from.
struct Values {
    texts: BTreeMap<String, String>,
    /// The file's path.
    file: String,
    /// The variables that are ours.
    environment: Map<String, String>,
}

impl Values {
    fn text(&self, name: &str) -> &str {
        self.texts.get(name).map_or("", |value| value.trim())
    }

    /// Where a value comes from, and what its key is called there.
    fn origin(&self, name: &str) -> (String, String) {
        let variable = format!("{PREFIX}{}", name.to_uppercase());
        if self.environment.contains_key(&variable) || self.file.is_empty() {
            ("environment".to_owned(), variable)
        } else {
            (self.file.clone(), name.to_owned())
        }
    }

    fn bad(&self, name: &str, expected: &'static str) -> ConfigError {
        let (place, key) = self.origin(name);
        ConfigError::BadValue {
            place,
            key,
            value: self.text(name).to_owned(),
            expected,
        }
    }

    fn parse<T: FromStr>(&self, name: &str, expected: &'static str) -> Result<T, ConfigError> {
        self.text(name)
            .parse()
            .map_err(|_| self.bad(name, expected))
    }

    fn duration(&self, name: &str) -> Result<Duration, ConfigError> {
        match humantime::parse_duration(self.text(name)) {
            Ok(duration) if !duration.is_zero() && duration <= MAX_DURATION => Ok(duration),
            _ => Err(self.bad(
                name,
                "a duration above 0s and up to 1day such as 250ms or 1s",
            )),
        }
    }

    fn positive(&self, name: &str) -> Result<usize, ConfigError> {
        match self.text(name).parse() {
            Ok(number @ 1..) => Ok(number),
            _ => Err(self.bad(name, "a number of at least 1")),
        }
    }

    fn workers(&self) -> Result<usize, ConfigError> {
        match self.text("workers") {
            // Looks at the CPU affinity mask and at the quota of cgroups v1 and v2.
            "auto" => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
            number => match number.parse() {
                Ok(number @ 1..=1024) => Ok(number),
                _ => Err(self.bad("workers", "auto or a number from 1 to 1024")),
            },
        }
    }

    fn networks(&self, name: &str) -> Result<Vec<IpNet>, ConfigError> {
        self.text(name)
            .split(',')
            .map(str::trim)
            .filter(|network| !network.is_empty())
            .map(|network| {
                network
                    .parse()
                    .or_else(|_| network.parse::<IpAddr>().map(IpNet::from))
                    .map_err(|_| {
                        self.bad(
                            name,
                            "CIDRs separated by commas such as 10.0.0.0/8,fd00::/8",
                        )
                    })
            })
            .collect()
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        Some(self.text(name))
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    }

    fn token(&self, name: &str) -> Result<Option<UpstreamToken>, ConfigError> {
        let Some(path) = self.path(name) else {
            return Ok(None);
        };
        UpstreamToken::read(&path).map(Some).map_err(|reason| {
            let (place, key) = self.origin(name);
            ConfigError::BadFile {
                place,
                key,
                path: path.display().to_string(),
                reason,
            }
        })
    }

    fn switch(&self, name: &str) -> Result<bool, ConfigError> {
        match self.text(name) {
            "on" => Ok(true),
            "off" => Ok(false),
            _ => Err(self.bad(name, "on or off")),
        }
    }
}

/// Longer timeouts are typing errors.
const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);

impl FromStr for UpstreamName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (host, port) = text.rsplit_once(':').ok_or(())?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(())?;
        let bracketed = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let valid = match bracketed {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !host.is_empty()
                    && host.len() <= 253
                    && host
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
            }
        };
        let host = bracketed.unwrap_or(host).to_owned();
        valid.then_some(Self { host, port }).ok_or(())
    }
}

impl std::fmt::Display for UpstreamName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn load(environment: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
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
        let environment = [("PROXY_READ_TIMEOUT".to_owned(), "250ms".to_owned())];
        let settings = Settings::load(Some(file.path()), environment).unwrap();
        assert_eq!(settings.read_timeout, Duration::from_millis(250));
        assert_eq!(settings.max_body, 1024);
        assert!(settings.trusts("10.1.2.3".parse().unwrap()));
        assert!(!settings.trusts("11.1.2.3".parse().unwrap()));
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
            ("PROXY_MAX_CONNECTIONS", "", "a number"),
            ("PROXY_UPSTREAM_TOKEN_FILE", "/no/such/file", "No such file"),
        ] {
            let error = load(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
            assert!(error.contains(&format!("{value:?}")), "{error}");
            assert!(error.contains(expected), "{error}");
        }
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

    #[test]
    fn upstreams_may_be_addresses() {
        let upstream = UpstreamName::from_str("[::1]:9090").unwrap();
        assert_eq!((upstream.host.as_str(), upstream.port), ("::1", 9090));
        assert_eq!(upstream.to_string(), "[::1]:9090");
        assert!(UpstreamName::from_str("::1:9090").is_err());
        assert!(UpstreamName::from_str("a:0").is_err());
    }
}
