//! Settings as text, where each comes from, and how it is read.

use std::{collections::BTreeMap, path::PathBuf, str::FromStr, time::Duration};

use bytesize::ByteSize;
use config::Map;

use super::{ConfigError, PREFIX};
use crate::{
    rewrite::trusted_proxies::{TrustError, TrustedProxies},
    upstream_token::UpstreamToken,
};

/// Longer timeouts are typing errors.
const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);

/// The merged values, and where they come from.
pub(super) struct Values {
    pub(super) texts: BTreeMap<String, String>,
    /// The file's path.
    pub(super) file: String,
    /// The variables that are ours.
    pub(super) environment: Map<String, String>,
}

impl Values {
    fn text(&self, name: &str) -> &str {
        self.texts.get(name).map_or("", |value| value.trim())
    }

    /// Where a value comes from, and what its key is called there.
    pub(super) fn origin(&self, name: &str) -> (String, String) {
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

    fn unusable(&self, name: &str, reason: impl Into<String>) -> ConfigError {
        let (place, key) = self.origin(name);
        ConfigError::Unusable {
            place,
            key,
            value: self.text(name).to_owned(),
            reason: reason.into(),
        }
    }

    pub(super) fn parse<T: FromStr>(
        &self,
        name: &str,
        expected: &'static str,
    ) -> Result<T, ConfigError> {
        self.text(name)
            .parse()
            .map_err(|_| self.bad(name, expected))
    }

    pub(super) fn duration(&self, name: &str) -> Result<Duration, ConfigError> {
        match humantime::parse_duration(self.text(name)) {
            Ok(duration) if !duration.is_zero() && duration <= MAX_DURATION => Ok(duration),
            _ => Err(self.bad(
                name,
                "a duration above 0s and up to 1day such as 250ms or 1s",
            )),
        }
    }

    pub(super) fn positive(&self, name: &str) -> Result<usize, ConfigError> {
        match self.text(name).parse() {
            Ok(number @ 1..) => Ok(number),
            _ => Err(self.bad(name, "a number of at least 1")),
        }
    }

    pub(super) fn automatic<T: FromStr>(
        &self,
        name: &str,
        expected: &'static str,
    ) -> Result<Option<T>, ConfigError> {
        match self.text(name) {
            "auto" => Ok(None),
            _ => self.parse(name, expected).map(Some),
        }
    }

    pub(super) fn workers(&self) -> Result<usize, ConfigError> {
        match self.text("workers") {
            // Looks at the CPU affinity mask and at the quota of cgroups v1 and v2.
            "auto" => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
            number => match number.parse() {
                Ok(number @ 1..=1024) => Ok(number),
                _ => Err(self.bad("workers", "auto or a number from 1 to 1024")),
            },
        }
    }

    /// Reads a size that 0 makes unlimited.
    pub(super) fn size_or_unlimited(&self, name: &str) -> Result<u64, ConfigError> {
        match self.parse(name, "a size such as 512KiB or 1MiB, or 0 for any")? {
            ByteSize(0) => Ok(u64::MAX),
            ByteSize(size) => Ok(size),
        }
    }

    pub(super) fn proxies(&self, name: &str) -> Result<TrustedProxies, ConfigError> {
        TrustedProxies::parse(self.text(name)).map_err(|error| match error {
            TrustError::Syntax => self.bad(
                name,
                "CIDRs separated by commas such as 10.0.0.0/8,fd00::/8, or gateway",
            ),
            TrustError::NoGateway => {
                self.unusable(name, "there is no default gateway in this network")
            }
        })
    }

    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        Some(self.text(name))
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    }

    pub(super) fn token(&self, name: &str) -> Result<Option<UpstreamToken>, ConfigError> {
        let Some(path) = self.path(name) else {
            return Ok(None);
        };
        UpstreamToken::read(&path)
            .map(Some)
            .map_err(|reason| self.unusable(name, reason))
    }

    pub(super) fn switch(&self, name: &str) -> Result<bool, ConfigError> {
        match self.text(name) {
            "on" => Ok(true),
            "off" => Ok(false),
            _ => Err(self.bad(name, "on or off")),
        }
    }
}
