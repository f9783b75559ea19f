//! What can be configured: `PROXY_…` in the environment, or `--config FILE`.

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::SecretString;
use service::{
    secrets,
    settings::{SettingsError, Table, Values, key},
    trace::{self, TraceSettings},
};

use crate::{
    edge::acme::AcmeSettings,
    rewrite::{
        trusted_proxies::{TrustError, TrustedProxies},
        upstream_token::UpstreamToken,
    },
    upstream::name::UpstreamName,
};

/// Every key there is.
pub static TABLE: Table = Table {
    prefix: "PROXY_",
    keys: &[
        key("listen", "[::]:80", "address that clients connect to"),
        key(
            "tls_listen",
            "",
            "address that clients connect to with TLS, such as [::]:443",
        ),
        key(
            "listen_from",
            "",
            "Unix socket of the listener service; its sockets are accepted on then, and neither listen \
             nor tls_listen is bound",
        ),
        key(
            "tls_certificates",
            "",
            "directories, comma-separated, of NAME.crt, PEM chains, and NAME.key, watched; the client's \
             server name decides, and the first one serves clients without",
        ),
        key(
            "tls_ticket_key_file",
            "",
            "file of secrets, one a line, that session tickets are sealed with: the first seals, all \
             open; without, tickets end with the process",
        ),
        key(
            "acme_domains",
            "",
            "names, comma-separated, to get certificates for by ACME",
        ),
        key(
            "acme_contact",
            "",
            "e-mail addresses, comma-separated, for the ACME account",
        ),
        key(
            "acme_directory",
            "https://acme-v02.api.letsencrypt.org/directory",
            "the ACME server's directory; using it agrees to its terms of service",
        ),
        key(
            "acme_directory_ca_file",
            "",
            "PEM certificate that the directory's own is checked against, in place of the public ones",
        ),
        key(
            "acme_eab_key_id",
            "",
            "key id of an external account binding, where the directory wants one",
        ),
        key(
            "acme_eab_key_file",
            "",
            "file with its MAC key, in base64url",
        ),
        key(
            "acme_state",
            "/var/lib/acme",
            "directory for the account, keys, certificates and answers to challenges; all proxies share it",
        ),
        key(
            "redirect_https",
            "off",
            "whether plain requests are redirected to https: off, on, or the port that clients know",
        ),
        key(
            "hsts",
            "off",
            "Strict-Transport-Security on answers over TLS: off, or its value such as max-age=31536000",
        ),
        key(
            "http2",
            "on",
            "HTTP/2: off, on with TLS, or prior-knowledge, on the plain port as well",
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
            "tcp_user_timeout",
            "3s",
            "how long a backend may acknowledge nothing, neither what is sent to it nor a keep-alive probe, \
             before it has vanished; one that is alive always does, however long its answer takes",
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
        trace::ENDPOINT,
        trace::PROTOCOL,
        trace::service_name("causeway-proxy"),
        trace::SAMPLER,
        trace::SAMPLER_ARG,
    ],
};

/// What an upstream may be.
const UPSTREAM: &str = "host:port such as flask-app:9090 or [::1]:9090, the host an address or a \
                        name whose labels are 1 to 63 letters, digits, hyphens and underscores, \
                        no hyphen first or last";

/// Where clients may speak HTTP/2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Http2 {
    Off,
    /// Over TLS, where they ask for it (ALPN).
    On,
    /// There, and on the plain port, where they begin with its preface.
    PriorKnowledge,
}

#[derive(Debug, Clone)]
pub struct Settings {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where clients connect with TLS, if they can.
    pub tls_listen: Option<SocketAddr>,
    /// Directories of certificates and their keys, the first one first.
    pub tls_certificates: Vec<PathBuf>,
    /// What session tickets are sealed with, the first one; the others open them, too. Without any,
    /// tickets end with the process.
    pub tls_ticket_keys: Vec<SecretString>,
    /// The port that clients reach TLS at, if plain requests are redirected there.
    pub redirect_https: Option<u16>,
    /// `Strict-Transport-Security`, if it is sent.
    pub hsts: Option<String>,
    /// Who holds the sockets for that, if this process doesn't.
    pub listen_from: Option<PathBuf>,
    /// Certificates to get, if any.
    pub(crate) acme: Option<AcmeSettings>,
    /// Where HTTP/2 is spoken.
    pub http2: Http2,
    /// Where requests go.
    pub upstream: UpstreamName,
    /// What tells the upstream that requests are from us, if anything does.
    pub upstream_token: Option<UpstreamToken>,
    pub admin_listen: SocketAddr,
    pub workers: usize,
    /// Time between two resolutions of the upstream's name.
    pub resolve_interval: Duration,
    /// Limit on one attempt to connect to a backend.
    pub connect_timeout: Duration,
    /// Limit on a backend's kernel acknowledging nothing.
    pub tcp_user_timeout: Duration,
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
    pub access_log: bool,
    /// How traces are exported, if they are.
    pub(crate) traces: Option<TraceSettings>,
    /// Variables that describe another service.
    pub passed_over: Vec<String>,
}

impl Settings {
    /// Reads them from a file, if one is given, and from `environment`.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, SettingsError> {
        let values = Values::load(&TABLE, file, environment)?;
        Ok(Self {
            listen: values.address("listen")?,
            tls_listen: tls_listen(&values)?,
            tls_certificates: tls_certificates(&values)?,
            tls_ticket_keys: values
                .file("tls_ticket_key_file", secrets::tokens)?
                .unwrap_or_default(),
            redirect_https: redirect_https(&values)?,
            hsts: hsts(&values)?,
            listen_from: values.path("listen_from")?,
            acme: AcmeSettings::read(&values)?,
            http2: values.read("http2", "off, on or prior-knowledge", |text| match text {
                "off" => Some(Http2::Off),
                "on" => Some(Http2::On),
                "prior-knowledge" => Some(Http2::PriorKnowledge),
                _ => None,
            })?,
            upstream: values.parse("upstream", UPSTREAM)?,
            upstream_token: values
                .file("upstream_token_file", secrets::tokens)?
                .and_then(|tokens| UpstreamToken::first(&tokens)),
            admin_listen: values.address("admin_listen")?,
            workers: values.one_per_cpu("workers", 1024)?,
            resolve_interval: duration(&values, "resolve_interval")?,
            connect_timeout: duration(&values, "connect_timeout")?,
            tcp_user_timeout: values.duration(
                "tcp_user_timeout",
                // What the kernel counts probes in.
                Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60),
                "a duration from 1s to 1day such as 3s",
            )?,
            read_timeout: duration(&values, "read_timeout")?,
            header_timeout: duration(&values, "header_timeout")?,
            idle_timeout: duration(&values, "idle_timeout")?,
            upstream_idle_timeout: duration(&values, "upstream_idle_timeout")?,
            max_body: max_body(&values)?,
            min_body_rate: values.size(
                "min_body_rate",
                0..=u64::MAX,
                "a size such as 1KiB, or 0",
            )?,
            linger_timeout: duration(&values, "linger_timeout")?,
            memory_limit: match values.text("memory_limit") {
                "auto" => None,
                _ => Some(values.size(
                    "memory_limit",
                    0..=u64::MAX,
                    "auto or a size such as 256MiB",
                )?),
            },
            max_connections: values.read(
                "max_connections",
                "auto or a number of at least 1",
                |text| match text {
                    "auto" => Some(None),
                    number => number.parse().ok().filter(|n| *n > 0).map(Some),
                },
            )?,
            upstream_connections: values.positive("upstream_connections")?,
            upstream_queue_timeout: duration(&values, "upstream_queue_timeout")?,
            trusted_proxies: trusted_proxies(&values)?,
            early_hints: values.switch("early_hints")?,
            drain_timeout: duration(&values, "drain_timeout")?,
            access_log: values.switch("access_log")?,
            traces: TraceSettings::read(&values)?,
            passed_over: values.passed_over().to_vec(),
        })
    }
}

fn duration(values: &Values, name: &str) -> Result<Duration, SettingsError> {
    // Longer ones are typing errors.
    let range = Duration::from_nanos(1)..=Duration::from_secs(24 * 60 * 60);
    let expected = "a duration above 0s and up to 1day such as 250ms or 1s";
    values.duration(name, range, expected)
}

/// Where 0 stands for any size.
fn max_body(values: &Values) -> Result<u64, SettingsError> {
    let expected = "a size such as 512KiB or 1MiB, or 0 for any";
    let size = values.size("max_body", 0..=u64::MAX, expected)?;
    Ok(if size == 0 { u64::MAX } else { size })
}

/// Connections that come from a listener are told apart by their port.
fn tls_listen(values: &Values) -> Result<Option<SocketAddr>, SettingsError> {
    let plain = values.address("listen")?;
    let expected = "an address such as [::]:443, with another port than that of listen";
    values.read("tls_listen", expected, |text| match text {
        "" => Some(None),
        text => text
            .parse()
            .ok()
            .filter(|tls: &SocketAddr| tls.port() != plain.port())
            .map(Some),
    })
}

fn tls_certificates(values: &Values) -> Result<Vec<PathBuf>, SettingsError> {
    let needed = !values.text("tls_listen").is_empty() && values.text("acme_domains").is_empty();
    let expected = "directories separated by commas such as /certificates, since tls_listen is set";
    values.read("tls_certificates", expected, |text| {
        let paths = text
            .split(',')
            .map(str::trim)
            .filter(|path| !path.is_empty());
        let paths: Vec<_> = paths.map(PathBuf::from).collect();
        Some(paths).filter(|paths| !paths.is_empty() || !needed)
    })
}

fn redirect_https(values: &Values) -> Result<Option<u16>, SettingsError> {
    let expected = "off, on, or a port such as 8443";
    values.read("redirect_https", expected, |text| match text {
        "off" => Some(None),
        "on" => Some(Some(443)),
        port => port.parse().ok().filter(|port| *port > 0).map(Some),
    })
}

/// RFC 6797 §6.1: directives, of which `max-age` has to be there.
fn hsts(values: &Values) -> Result<Option<String>, SettingsError> {
    let expected = "off, or max-age=SECONDS, and after a semicolon includeSubDomains or preload";
    values.read("hsts", expected, |text| {
        if text == "off" {
            return Some(None);
        }
        let (ages, others): (Vec<_>, Vec<_>) = text
            .split(';')
            .map(|directive| directive.trim().to_ascii_lowercase())
            .partition(|directive| directive.starts_with("max-age="));
        let [age] = &ages[..] else {
            return None;
        };
        age.strip_prefix("max-age=")?.parse::<u64>().ok()?;
        let known = |other: &String| matches!(other.as_str(), "includesubdomains" | "preload");
        others.iter().all(known).then(|| Some(text.to_owned()))
    })
}

fn trusted_proxies(values: &Values) -> Result<TrustedProxies, SettingsError> {
    let key = "trusted_proxies";
    let expected = "CIDRs separated by commas such as 10.0.0.0/8,fd00::/8, or gateway";
    let trusted = values.read(key, expected, |text| match TrustedProxies::parse(text) {
        Err(TrustError::Syntax) => None,
        trusted => Some(trusted.ok()),
    })?;
    trusted.ok_or_else(|| values.unusable(key, "there is no default gateway in this network"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn load(environment: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let own = |(name, value): &(&str, &str)| (name.into(), value.into());
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
    fn errors_name_the_key_the_value_and_what_is_allowed() {
        for (name, value, expected) in [
            ("PROXY_LISTEN", "localhost", "an address and port"),
            ("PROXY_READ_TIMEOUT", "soon", "a duration"),
            ("PROXY_READ_TIMEOUT", "0s", "a duration"),
            ("PROXY_MAX_BODY", "big", "a size"),
            ("PROXY_WORKERS", "0", "auto or a number"),
            ("PROXY_ACCESS_LOG", "yes", "on or off"),
            ("PROXY_HTTP2", "yes", "off, on or prior-knowledge"),
            ("PROXY_UPSTREAM", "flask-app", "host:port"),
            ("PROXY_UPSTREAM", "http://a:80", "host:port"),
            ("PROXY_TRUSTED_PROXIES", "10.0.0.0/8,x", "CIDRs"),
            ("PROXY_TLS_LISTEN", "443", "an address such as"),
            ("PROXY_TLS_LISTEN", "[::]:80", "another port"),
            ("PROXY_REDIRECT_HTTPS", "https", "off, on, or a port"),
            ("PROXY_HSTS", "on", "max-age=SECONDS"),
            ("PROXY_HSTS", "max-age=1; all", "max-age=SECONDS"),
            ("PROXY_MAX_CONNECTIONS", "0", "auto or a number"),
            ("PROXY_UPSTREAM_CONNECTIONS", "0", "a number"),
            ("PROXY_MIN_BODY_RATE", "slow", "a size"),
            ("PROXY_UPSTREAM_TOKEN_FILE", "/no/such/file", "No such file"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://a", "an http:// URL"),
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
}
