//! Small values with a form of their own: names, sizes, CPU shares, modes, networks in CIDR form.

use std::borrow::Borrow;
use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// Declares a string newtype that can be looked up by `&str` and is made only by the loader.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(pub(crate) String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name! {
    /// Lower-case letters, digits, `-` and `_`, beginning with a letter or digit.
    ProjectName
}
name! {
    /// The key of a service: letters, digits, `.`, `_` and `-`.
    ServiceName
}
name! {
    /// The key under the top-level `networks`. The name on the engine is
    /// [`Network::name`](super::Network::name).
    NetworkKey
}
name! {
    /// The key under the top-level `volumes`. The name on the engine is
    /// [`Volume::name`](super::Volume::name).
    VolumeKey
}
name! {
    /// The key under the top-level `secrets`.
    SecretName
}
name! {
    /// The key under the top-level `configs`.
    ConfigName
}

/// A size as Compose writes it (`64m`), in bytes; for options that are kept as written.
pub fn bytes(size: &str) -> Option<u64> {
    crate::read::parse_size(size)
}

/// A share of CPU time, in billionths of one CPU; written as `0.5` or `2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cpus(pub(crate) i64);

impl Cpus {
    /// Billionths of a CPU, the unit of the Engine API's `NanoCpus`.
    pub fn nanos(self) -> i64 {
        self.0
    }
}

/// A decimal number without trailing zeros.
impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{fraction:09}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

impl Serialize for Cpus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The permission bits of a file, written in octal (`0440`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMode(pub(crate) u32);

impl FileMode {
    /// The bits, at most `0o7777`.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl Serialize for FileMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An IP network: an address and the length of its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    /// Any address of the network, as written in the file.
    pub address: IpAddr,
    /// In bits.
    pub prefix: u8,
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Serialize for Cidr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Serialises a duration in Compose's form, as `1m30s`.
pub(super) fn duration<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_duration(*value))
}

/// As [`duration`], for a value that may be absent (and is then skipped, or null).
#[expect(clippy::ref_option, reason = "the signature that serde calls")]
pub(super) fn optional_duration<S: Serializer>(
    value: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    value.map(format_duration).serialize(serializer)
}

/// Serialises a number that Compose takes as a string only.
#[expect(clippy::ref_option, reason = "the signature that serde calls")]
pub(super) fn optional_string<T: fmt::Display, S: Serializer>(
    value: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    value.as_ref().map(T::to_string).serialize(serializer)
}

/// The units of Compose's durations, largest first, in nanoseconds.
const UNITS: [(&str, u128); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

fn format_duration(value: Duration) -> String {
    let mut rest = value.as_nanos();
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, nanos) in UNITS {
        if rest >= nanos {
            text += &(rest / nanos).to_string();
            text += unit;
            rest %= nanos;
        }
    }
    text
}
