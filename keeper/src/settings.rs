//! What can be configured: `KEEPER_…` in the environment, or `--config FILE`.

use std::{ffi::OsString, net::SocketAddr, path::Path, time::Duration};

use mongo_login::MongoSettings;
use service::settings::{SettingsError, Table, Values, key};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Every key there is.
pub static TABLE: Table = Table {
    prefix: "KEEPER_",
    keys: &[
        key(
            "admin_listen",
            "[::]:9182",
            "address of /healthz, /readyz and /metrics; keep it private",
        ),
        mongo_login::URI,
        key(
            "mongo_username",
            "",
            "database user; needs mongo_password_file",
        ),
        mongo_login::PASSWORD_FILE,
        key("database", "myDatabase", "database of the requests"),
        key("collection", "requests", "collection of the requests"),
        key(
            "retention",
            "off",
            "how long requests are kept, such as 30d or 12h; off: for ever",
        ),
        key(
            "max_size",
            "off",
            "most bytes that the requests may have in MongoDB, not compressed, such as 10GiB: beyond \
             it the oldest go; off: no bound",
        ),
        key(
            "grace",
            "1h",
            "how long more than an hour's requests that are too old at once have to wait, since the clock or \
             retention may be wrong; 24 times as long where the clock was set while the keeper runs",
        ),
        key("interval", "30s", "between two looks at the collection"),
    ],
};

#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) admin_listen: SocketAddr,
    pub(crate) mongo: MongoSettings,
    pub(crate) retention: Option<Duration>,
    /// In bytes.
    pub(crate) max_size: Option<u64>,
    pub(crate) grace: Duration,
    pub(crate) interval: Duration,
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
        let unless_off = |name: &str| values.text(name) != "off";
        let retention = unless_off("retention").then(|| {
            values.duration(
                "retention",
                Duration::from_secs(1)..=100 * 366 * DAY,
                "off, or a duration of at least 1s, such as 30d or 12h",
            )
        });
        let max_size = unless_off("max_size").then(|| {
            values.size(
                "max_size",
                1 << 20..=u64::MAX,
                "off, or a size of at least 1MiB, such as 10GiB",
            )
        });
        Ok(Self {
            admin_listen: values.address("admin_listen")?,
            mongo: MongoSettings::read(&values)?,
            retention: retention.transpose()?,
            max_size: max_size.transpose()?,
            grace: values.duration(
                "grace",
                Duration::ZERO..=365 * DAY,
                "a duration from 0s to 365d, such as 1h",
            )?,
            interval: values.duration(
                "interval",
                Duration::from_millis(10)..=DAY,
                "a duration from 10ms to 1d, such as 30s",
            )?,
            passed_over: values.passed_over().to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::load(None, variables.iter().copied())
    }

    #[test]
    fn nothing_is_let_go_of_unless_it_is_asked_for() {
        for given in [
            &[][..],
            &[("KEEPER_RETENTION", ""), ("KEEPER_MAX_SIZE", "off")],
        ] {
            let settings = load(given).unwrap();
            assert_eq!((settings.retention, settings.max_size), (None, None));
        }
        let asked = [("KEEPER_RETENTION", "30d"), ("KEEPER_MAX_SIZE", "10GiB")];
        let settings = load(&asked).unwrap();
        assert_eq!(settings.retention, Some(30 * DAY));
        assert_eq!(settings.max_size, Some(10 << 30));
    }

    #[test]
    fn errors_name_key_value_and_what_is_allowed() {
        for (key, value, expected) in [
            ("KEEPER_RETENTION", "30", "such as 30d"),
            ("KEEPER_RETENTION", "30 dais", "such as 30d"),
            ("KEEPER_RETENTION", "0s", "at least 1s"),
            ("KEEPER_RETENTION", "-1d", "such as 30d"),
            ("KEEPER_RETENTION", "none", "off, or"),
            ("KEEPER_MAX_SIZE", "10", "at least 1MiB"),
            ("KEEPER_MAX_SIZE", "lots", "such as 10GiB"),
            ("KEEPER_INTERVAL", "0s", "from 10ms"),
        ] {
            let message = load(&[(key, value)]).unwrap_err().to_string();
            assert!(message.contains(key), "{message}");
            assert!(message.contains(&format!("{value:?}")), "{message}");
            assert!(message.contains(expected), "{message}");
        }
    }
}
