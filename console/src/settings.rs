//! What can be configured: `CONSOLE_…` in the environment, or `--config FILE`.

use std::{ffi::OsString, net::SocketAddr, path::Path, time::Duration};

use mongo_login::MongoSettings;
use secrecy::SecretString;
use service::secrets;
use service::settings::{SettingsError, Table, Values, key};

/// Every key there is.
pub static TABLE: Table = Table {
    prefix: "CONSOLE_",
    keys: &[
        key(
            "listen",
            "0.0.0.0:8081",
            "address of the pages and of the API",
        ),
        key(
            "admin_listen",
            "127.0.0.1:9181",
            "address of /healthz, /readyz and /metrics; keep it private",
        ),
        key(
            "clients",
            "gateway",
            "who may connect to the pages and the API: gateway is this machine and its default gateway, as \
             which, in a container, those come who use a port published on the host, and for all addresses \
             it listens on those alone that these use; any is everybody",
        ),
        key(
            "hosts",
            "localhost,127.0.0.1,[::1]",
            "names under which it answers, separated by commas; others are refused, so that no web \
             page reaches it under a name of its own (DNS rebinding)",
        ),
        key(
            "token_file",
            "",
            "file with the tokens to log in with, one a line; needed",
        ),
        mongo_login::URI,
        key(
            "mongo_username",
            "",
            "database user, which only needs to read the collection; needs mongo_password_file",
        ),
        mongo_login::PASSWORD_FILE,
        key("database", "myDatabase", "database to read from"),
        key("collection", "requests", "collection to read"),
        key(
            "query_timeout",
            "2s",
            "longest time that a search goes on; what was found by then is shown, with a way to go on",
        ),
        key(
            "proxy_admin",
            "proxy:9180",
            "host:port of the proxies' metrics; every address is one of them",
        ),
        key(
            "api_admin",
            "flask-app:9190",
            "host:port of the APIs' metrics; every address is one of them",
        ),
        key(
            "prometheus_url",
            "",
            "Prometheus whose firing alerts are shown, such as http://prometheus:9090",
        ),
    ],
};

#[derive(Clone, Debug)]
pub struct Settings {
    pub listen: SocketAddr,
    pub admin_listen: SocketAddr,
    pub clients: Clients,
    /// Host names, without a port, in lower case.
    pub hosts: Vec<String>,
    pub tokens: Vec<SecretString>,
    pub mongo: MongoSettings,
    pub query_timeout: Duration,
    /// `host:port`.
    pub proxy_admin: String,
    pub api_admin: String,
    pub prometheus: Option<PrometheusUrl>,
    /// Variables that describe another service.
    pub passed_over: Vec<String>,
}

/// Where a Prometheus is asked for its alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrometheusUrl {
    /// As it was given.
    pub text: String,
    /// `host:port`.
    pub host: String,
    pub path: String,
}

/// From where the pages may be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clients {
    /// This machine, and the gateways of its default routes.
    Gateway,
    Any,
}

impl Settings {
    /// Reads them from a file, if one is given, and from `environment`.
    pub fn load<N: Into<OsString>, V: Into<OsString>>(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, SettingsError> {
        let values = Values::load(&TABLE, file, environment)?;
        let tokens = values.file("token_file", secrets::tokens)?;
        Ok(Self {
            listen: values.address("listen")?,
            admin_listen: values.address("admin_listen")?,
            clients: values.read("clients", "gateway or any", |text| match text {
                "gateway" => Some(Clients::Gateway),
                "any" => Some(Clients::Any),
                _ => None,
            })?,
            hosts: values.read(
                "hosts",
                "host names without ports, separated by commas",
                host_names,
            )?,
            tokens: tokens.ok_or_else(|| {
                values.unusable(
                    "token_file",
                    "expected the path of a file with a token in it",
                )
            })?,
            mongo: MongoSettings::read(&values)?,
            query_timeout: values.duration(
                "query_timeout",
                Duration::from_millis(100)..=Duration::from_secs(60),
                "a duration from 100ms to 60s, such as 2s",
            )?,
            proxy_admin: values.read("proxy_admin", "host:port", endpoint)?,
            api_admin: values.read("api_admin", "host:port", endpoint)?,
            prometheus: (!values.text("prometheus_url").is_empty())
                .then(|| {
                    values.read(
                        "prometheus_url",
                        "http://HOST[:PORT][/PREFIX]",
                        prometheus_url,
                    )
                })
                .transpose()?,
            passed_over: values.passed_over().to_vec(),
        })
    }
}

fn host_names(text: &str) -> Option<Vec<String>> {
    let names: Vec<_> = text
        .split(',')
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let bad = |name: &String| {
        let is_ipv6 = name.starts_with('[') && name.ends_with(']');
        name.is_empty() || name.contains(['/', ' ', '@']) || name.contains(':') && !is_ipv6
    };
    (!names.iter().any(bad)).then_some(names)
}

fn endpoint(text: &str) -> Option<String> {
    let (host, port) = text.rsplit_once(':')?;
    let ok = !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0);
    ok.then(|| text.to_owned())
}

/// A URL without credentials and query.
fn prometheus_url(text: &str) -> Option<PrometheusUrl> {
    let rest = text.strip_prefix("http://")?;
    let (host, prefix) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_plain || text.contains(['@', '?', '#']) || host.is_empty() {
        return None;
    }
    let port = host.rsplit_once(':').map(|(_, port)| port);
    let host = match port {
        Some(port) if !port.contains(']') => endpoint(host)?,
        _ => format!("{host}:80"),
    };
    Some(PrometheusUrl {
        text: text.to_owned(),
        host,
        path: format!("{}/api/v1/alerts", prefix.trim_end_matches('/')),
    })
}
