//! Settings: defaults, then `LISTENER_…` in the environment.

use std::{collections::BTreeMap, ffi::OsString, net::SocketAddr, path::PathBuf, thread};

use service::environment::describes_a_service;

use crate::error::Error;

/// What every environment variable of ours starts with.
pub const PREFIX: &str = "LISTENER_";

/// Most sockets: all of them go in one message, which the kernel limits to 253 descriptors, and
/// receivers have to make room for.
pub const MAX_COUNT: usize = 64;

/// A configuration key.
#[derive(Debug)]
pub struct Key {
    /// Its name after [`PREFIX`].
    pub name: &'static str,
    /// The value where nothing else is said.
    pub default: &'static str,
    /// What it does, for `--help`.
    pub help: &'static str,
}

/// Every key there is.
pub const KEYS: &[Key] = &[
    Key {
        name: "LISTEN",
        default: "[::]:80",
        help: "address that clients connect to; [::] is every one, of IPv4 too",
    },
    Key {
        name: "SOCKET",
        default: "/run/listener/listen.sock",
        help: "Unix socket at which the listening sockets are handed over",
    },
    Key {
        name: "COUNT",
        default: "auto",
        help: "number of listening sockets, 1 to 64; auto: the CPUs that the cgroup grants",
    },
];

/// All settings, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where the listening sockets are handed over.
    pub socket: PathBuf,
    /// How many there are.
    pub count: usize,
    /// Variables that look like ours, but describe services: passed over.
    pub passed_over: Vec<String>,
}

impl Settings {
    /// Reads them from `environment`. Variables that don't start with [`PREFIX`] are ignored,
    /// whatever they hold; an empty one counts as unset.
    pub fn load(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Error> {
        let mut values: BTreeMap<&str, String> = KEYS
            .iter()
            .map(|key| (key.name, key.default.to_owned()))
            .collect();
        let mut passed_over = Vec::new();
        for (variable, value) in environment {
            // What isn't text is shown with U+FFFD in it, which no valid setting has.
            let (variable, value) = (variable.to_string_lossy(), value.to_string_lossy());
            let Some(name) = variable.strip_prefix(PREFIX) else {
                continue;
            };
            match values.get_mut(name) {
                Some(_) if value.trim().is_empty() => {}
                Some(known) => value.trim().clone_into(known),
                None if describes_a_service(name, &value) => {
                    passed_over.push(variable.into_owned());
                }
                None => return Err(Error::UnknownKey(variable.into_owned())),
            }
        }
        let value = |name: &str| values.get(name).map_or("", String::as_str);
        let bad = |name: &str, expected| Error::BadValue {
            key: format!("{PREFIX}{name}"),
            value: value(name).to_owned(),
            expected,
        };
        let socket = PathBuf::from(value("SOCKET"));
        if !socket.is_absolute() || value("SOCKET").contains(char::REPLACEMENT_CHARACTER) {
            return Err(bad(
                "SOCKET",
                "an absolute path such as /run/listener/listen.sock",
            ));
        }
        Ok(Self {
            listen: value("LISTEN")
                .parse()
                .map_err(|_| bad("LISTEN", "an address and port such as [::]:80"))?,
            socket,
            count: count(value("COUNT"))
                .ok_or_else(|| bad("COUNT", "auto or a number from 1 to 64"))?,
            passed_over,
        })
    }
}

fn count(text: &str) -> Option<usize> {
    if text == "auto" {
        // Looks at the CPU affinity mask and at the quota of cgroups v1 and v2.
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        return Some(cpus.min(MAX_COUNT));
    }
    text.parse().ok().filter(|n| (1..=MAX_COUNT).contains(n))
}
