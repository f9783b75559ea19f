//! The values of a table's keys, where each comes from, and how they are read.

use std::{
    collections::BTreeMap, ffi::OsString, net::SocketAddr, path::PathBuf, str::FromStr, thread,
};
#[cfg(feature = "full")]
use std::{ops::RangeInclusive, path::Path, time::Duration};

use super::{error::SettingsError, table::Table};
use crate::environment::describes_a_service;

/// What the sources say, later ones over earlier ones.
#[derive(Debug)]
pub struct Values {
    table: &'static Table,
    given: BTreeMap<&'static str, Given>,
    passed_over: Vec<String>,
}

/// A value that isn't the default.
#[derive(Debug)]
struct Given {
    text: String,
    place: String,
    /// The key as it is called in that place.
    key: String,
}

const ENVIRONMENT: &str = "environment";

impl Values {
    /// The values of `table` in a file, if one is given, and in `environment`.
    #[cfg(feature = "full")]
    pub fn load<N: Into<OsString>, V: Into<OsString>>(
        table: &'static Table,
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, SettingsError> {
        let mut values = Self::defaults(table);
        if let Some(path) = file {
            values.add_file(path)?;
        }
        values.add_environment(environment)?;
        Ok(values)
    }

    /// The values of `table` in `environment`.
    ///
    /// Variables that don't begin with the table's prefix, but for its standard ones, are ignored, whatever
    /// they hold, and so are
    /// those that Kubernetes and Docker's links set for a service that is called like it
    /// ([`Self::passed_over`]). An empty one counts as unset, so that a Compose file can pass on what
    /// may not be there (`${API_WORKERS:-}`).
    pub fn from_environment<N: Into<OsString>, V: Into<OsString>>(
        table: &'static Table,
        environment: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, SettingsError> {
        let mut values = Self::defaults(table);
        values.add_environment(environment)?;
        Ok(values)
    }

    fn defaults(table: &'static Table) -> Self {
        Self {
            table,
            given: BTreeMap::new(),
            passed_over: Vec::new(),
        }
    }

    #[cfg(feature = "full")]
    fn add_file(&mut self, path: &Path) -> Result<(), SettingsError> {
        for (key, text) in super::file::read(path)? {
            let place = path.display().to_string();
            // Spelt exactly: a file is ours alone.
            let Some(known) = self.table.find(&key).filter(|known| known.name == key) else {
                let known = self.table.keys.iter().map(|key| key.name.to_owned());
                return Err(SettingsError::unknown_key(place, key, known.collect()));
            };
            match text {
                Ok(text) => self.given.insert(known.name, Given { text, place, key }),
                Err(value) => {
                    let reason = "expected a value, or a list of values".to_owned();
                    return Err(SettingsError::bad_value(place, key, value, reason));
                }
            };
        }
        Ok(())
    }

    fn add_environment<N: Into<OsString>, V: Into<OsString>>(
        &mut self,
        environment: impl IntoIterator<Item = (N, V)>,
    ) -> Result<(), SettingsError> {
        for (variable, value) in environment {
            // What isn't UTF-8 has U+FFFD in it then, by which `read` knows it.
            let lossy = |text: OsString| text.to_string_lossy().into_owned();
            let (variable, text) = (lossy(variable.into()), lossy(value.into()));
            let known = if let Some(standard) = self.table.find_standard(&variable) {
                Some(standard)
            } else {
                let Some(name) = variable.strip_prefix(self.table.prefix) else {
                    continue;
                };
                if describes_a_service(name, &text) {
                    self.passed_over.push(variable);
                    continue;
                }
                self.table.find(name).filter(|known| !known.standard)
            };
            if text.trim().is_empty() {
                continue;
            }
            let (place, key) = (ENVIRONMENT.to_owned(), variable);
            let Some(known) = known else {
                let known = self.table.keys.iter();
                let known = known.map(|key| self.table.variable(key.name)).collect();
                return Err(SettingsError::unknown_key(place, key, known));
            };
            self.given.insert(known.name, Given { text, place, key });
        }
        self.passed_over.sort_unstable();
        Ok(())
    }

    /// Variables that look like settings and describe services.
    pub fn passed_over(&self) -> &[String] {
        &self.passed_over
    }

    /// The environment variable of a key.
    pub fn variable(&self, name: &str) -> String {
        self.table.variable(name)
    }

    /// The value of a key, as it was given or by default.
    pub fn text(&self, name: &str) -> &str {
        let given = self.given.get(name).map(|given| given.text.as_str());
        given.unwrap_or_else(|| self.table.default(name)).trim()
    }

    /// The value of a key as `read` reads it; `expected` says what that takes.
    pub fn read<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, SettingsError> {
        self.try_read(name, expected, |text| read(text).ok_or(None))
    }

    /// The same where `read` may know what exactly is wrong.
    pub fn try_read<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&str) -> Result<T, Option<String>>,
    ) -> Result<T, SettingsError> {
        let text = self.text(name);
        if text.contains(char::REPLACEMENT_CHARACTER) {
            return Err(self.unusable(name, format!("expected {expected}, in UTF-8")));
        }
        read(text).map_err(|detail| {
            let detail = detail.map(|detail| format!(" ({detail})"));
            let detail = detail.unwrap_or_default();
            self.unusable(name, format!("expected {expected}{detail}"))
        })
    }

    /// What is said of a value that is well-formed, and can't be used for `reason`.
    pub fn unusable(&self, name: &str, reason: impl Into<String>) -> SettingsError {
        let (place, key) = match self.given.get(name) {
            Some(given) => (given.place.clone(), given.key.clone()),
            None => (ENVIRONMENT.to_owned(), self.table.variable(name)),
        };
        SettingsError::bad_value(place, key, self.text(name).to_owned(), reason.into())
    }

    /// The value of a key by its type's own parser.
    pub fn parse<T: FromStr>(&self, name: &str, expected: &str) -> Result<T, SettingsError> {
        self.read(name, expected, |text| text.parse().ok())
    }

    /// An address and port.
    pub fn address(&self, name: &str) -> Result<SocketAddr, SettingsError> {
        let default = self.table.default(name);
        self.parse(name, &format!("an address and port such as {default}"))
    }

    /// A number of at least 1.
    pub fn positive(&self, name: &str) -> Result<usize, SettingsError> {
        self.read(name, "a number of at least 1", |text| {
            text.parse().ok().filter(|number| *number > 0)
        })
    }

    /// A number from 1 to `most`, or for `auto` that of the CPUs.
    pub fn one_per_cpu(&self, name: &str, most: usize) -> Result<usize, SettingsError> {
        let expected = format!("auto or a number from 1 to {most}");
        self.read(name, &expected, |text| match text {
            // Looks at the CPU affinity mask and at the quota of cgroups v1 and v2.
            "auto" => Some(thread::available_parallelism().map_or(1, |cpus| cpus.get().min(most))),
            number => number.parse().ok().filter(|n| (1..=most).contains(n)),
        })
    }

    /// `on` or `off`.
    pub fn switch(&self, name: &str) -> Result<bool, SettingsError> {
        self.read(name, "on or off", |text| match text {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        })
    }

    /// A path, unless it is empty.
    pub fn path(&self, name: &str) -> Result<Option<PathBuf>, SettingsError> {
        self.read(name, "a path", |text| {
            Some(Some(PathBuf::from(text)).filter(|path| !path.as_os_str().is_empty()))
        })
    }
}

#[cfg(feature = "full")]
impl Values {
    /// What `read` finds in the file that the key names, if it names one.
    pub fn file<T>(
        &self,
        name: &str,
        read: impl FnOnce(&Path) -> Result<T, String>,
    ) -> Result<Option<T>, SettingsError> {
        let path = self.path(name)?;
        path.map(|path| read(&path).map_err(|reason| self.unusable(name, reason)))
            .transpose()
    }

    /// A duration such as `250ms` within `range`.
    pub fn duration(
        &self,
        name: &str,
        range: RangeInclusive<Duration>,
        expected: &str,
    ) -> Result<Duration, SettingsError> {
        self.try_read(name, expected, |text| {
            let duration = humantime::parse_duration(text).map_err(|why| Some(why.to_string()))?;
            range.contains(&duration).then_some(duration).ok_or(None)
        })
    }

    /// A size such as `1MiB` within `range`, in bytes.
    pub fn size(
        &self,
        name: &str,
        range: RangeInclusive<u64>,
        expected: &str,
    ) -> Result<u64, SettingsError> {
        self.read(name, expected, |text| {
            let size = text.parse::<bytesize::ByteSize>().ok()?.as_u64();
            range.contains(&size).then_some(size)
        })
    }
}

#[cfg(feature = "full")]
#[cfg(test)]
mod tests {
    use std::{fs, os::unix::ffi::OsStringExt as _};

    use super::{
        super::table::{key, standard},
        *,
    };

    static TABLE: Table = Table {
        prefix: "WEB_",
        keys: &[
            key("workers", "auto", "threads"),
            key("max_body", "1MiB", "largest body"),
            key("names", "", "names, separated by commas"),
            standard("otel_service_name", "web", "what it is called"),
        ],
    };

    fn load(file: Option<&str>, environment: &[(&str, &str)]) -> Result<Values, SettingsError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("web.toml");
        fs::write(&path, file.unwrap_or_default()).unwrap();
        let path = file.map(|_| path.as_path());
        Values::load(&TABLE, path, environment.iter().copied())
    }

    fn error(file: Option<&str>, environment: &[(&str, &str)]) -> String {
        load(file, environment).unwrap_err().to_string()
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
        let file = Some("workers = 3\nnames = [\"a\", 'b']\n");
        let values = load(file, &[("WEB_WORKERS", " 5 "), ("HOME", "/")]).unwrap();
        assert_eq!(values.one_per_cpu("workers", 8).unwrap(), 5);
        assert_eq!(values.size("max_body", 0..=u64::MAX, "").unwrap(), 1 << 20);
        assert_eq!(values.text("names"), "a,b");
        let values = load(file, &[("WEB_WORKERS", ""), ("WEB_NAMES", "  ")]).unwrap();
        assert_eq!((values.text("workers"), values.text("names")), ("3", "a,b"));
    }

    #[test]
    fn unknown_keys_are_errors_that_say_where_they_are_and_which_there_are() {
        assert_eq!(
            error(None, &[("WEB_WORKER", "5")]),
            "environment: unknown key WEB_WORKER; there are: WEB_WORKERS, WEB_MAX_BODY, WEB_NAMES, \
             OTEL_SERVICE_NAME"
        );
        for file in ["worker = 5", "WORKERS = 5", "[http]\nworkers = 5"] {
            let error = error(Some(file), &[]);
            assert!(error.contains("web.toml: unknown key "), "{error}");
            assert!(error.contains("workers, max_body"), "{error}");
        }
    }

    #[test]
    fn a_bad_value_is_named_with_its_place_and_key_and_what_is_expected() {
        let workers = |values: Values| values.one_per_cpu("workers", 8).unwrap_err().to_string();
        assert_eq!(
            workers(load(None, &[("WEB_WORKERS", "9")]).unwrap()),
            "environment: WEB_WORKERS = \"9\": expected auto or a number from 1 to 8"
        );
        let error = workers(load(Some("workers = 0"), &[]).unwrap());
        assert!(
            error.contains("web.toml: workers = \"0\": expected"),
            "{error}"
        );
        let error = self::error(Some("[workers]\na = 1"), &[]);
        assert!(
            error.contains("workers = ") && error.contains("expected a value"),
            "{error}"
        );
        assert!(self::error(Some("workers = "), &[]).contains("line 1"));
        let error = Values::load(&TABLE, Some(Path::new("/no/such")), [("", "")]).unwrap_err();
        assert!(
            error.to_string().starts_with("/no/such: No such file"),
            "{error}"
        );
    }

    #[test]
    fn a_standard_variable_has_no_prefix() {
        let name = |file, environment: &[_]| {
            load(file, environment).map(|values| values.text("otel_service_name").to_owned())
        };
        assert_eq!(
            name(None, &[("OTEL_SERVICE_NAME", "a"), ("OTEL_OTHER", "b")]).unwrap(),
            "a"
        );
        assert_eq!(name(Some("otel_service_name = 'c'"), &[]).unwrap(), "c");
        let error = name(None, &[("WEB_OTEL_SERVICE_NAME", "a")]).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("unknown key WEB_OTEL_SERVICE_NAME"),
            "{error}"
        );
        let values = load(None, &[("OTEL_SERVICE_NAME", "a")]).unwrap();
        let error = values.unusable("otel_service_name", "no").to_string();
        assert_eq!(error, "environment: OTEL_SERVICE_NAME = \"a\": no");
    }

    #[test]
    fn what_is_not_utf_8_is_an_error() {
        let text = || OsString::from_vec(b"WEB_\xff".to_vec());
        let values = Values::from_environment(&TABLE, [(OsString::from("WEB_NAMES"), text())]);
        let error = values.unwrap().path("names").unwrap_err().to_string();
        assert!(error.contains("expected a path, in UTF-8"), "{error}");
        assert!(Values::from_environment(&TABLE, [(text(), text())]).is_err());
    }

    #[test]
    fn variables_that_describe_a_service_are_passed_over() {
        let values = load(
            None,
            &[
                ("WEB_SERVICE_HOST", "10.0.0.1"),
                ("WEB_PORT", "tcp://10.0.0.1:9090"),
                ("WEB_WORKERS", "3"),
            ],
        );
        let values = values.unwrap();
        assert_eq!(values.passed_over(), ["WEB_PORT", "WEB_SERVICE_HOST"]);
        assert_eq!(values.text("workers"), "3");
        assert!(load(None, &[("WEB_PORT", "80")]).is_err());
        assert!(load(Some("service_host = 'a'"), &[]).is_err());
    }

    #[test]
    fn help_has_every_key_with_its_default() {
        assert_eq!(
            TABLE.help(),
            "  WEB_WORKERS\n      threads [default: auto]\n\
             \x20 WEB_MAX_BODY\n      largest body [default: 1MiB]\n\
             \x20 WEB_NAMES\n      names, separated by commas [default: none]\n\
             \x20 OTEL_SERVICE_NAME\n      what it is called [default: web]\n"
        );
    }
}
