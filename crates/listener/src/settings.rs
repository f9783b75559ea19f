//! Settings: `LISTENER_…` in the environment.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use handover::MAX_SOCKETS;
use service::settings::{SettingsError, Table, Values, key};

pub(crate) static TABLE: Table = Table {
    prefix: "LISTENER_",
    keys: &[
        key(
            "listen",
            "[::]:80",
            "addresses that clients connect to, comma-separated; [::] is every one, of IPv4 too",
        ),
        key(
            "socket",
            "/run/listener/listen.sock",
            "Unix socket at which the listening sockets are handed over",
        ),
        key(
            "count",
            "auto",
            "number of listening sockets of each address, 1 to 64 in all; auto: the CPUs that the cgroup \
             grants",
        ),
    ],
};

#[derive(Debug)]
pub(crate) struct Settings {
    /// Where clients connect.
    pub(crate) listen: Vec<SocketAddr>,
    /// Where the listening sockets are handed over.
    pub(crate) socket: PathBuf,
    /// How many there are of each address.
    pub(crate) count: usize,
    /// Variables that describe another service.
    pub(crate) passed_over: Vec<String>,
}

impl Settings {
    pub(crate) fn load(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, SettingsError> {
        let values = Values::from_environment(&TABLE, environment)?;
        let path = "an absolute path such as /run/listener/listen.sock";
        let listen = addresses(&values)?;
        let count = values.one_per_cpu("count", MAX_SOCKETS / listen.len())?;
        Ok(Self {
            listen,
            socket: values.read("socket", path, |text| {
                Some(PathBuf::from(text)).filter(|path| path.is_absolute())
            })?,
            count,
            passed_over: values.passed_over().to_vec(),
        })
    }
}

/// At least one, and none of them twice.
fn addresses(values: &Values) -> Result<Vec<SocketAddr>, SettingsError> {
    let expected = format!(
        "an address and port such as [::]:80, or up to {MAX_SOCKETS} different ones separated by commas"
    );
    values.read("listen", &expected, |text| {
        let mut addresses = Vec::new();
        for address in text.split(',') {
            let address = address.trim().parse().ok()?;
            if addresses.len() == MAX_SOCKETS || addresses.contains(&address) {
                return None;
            }
            addresses.push(address);
        }
        Some(addresses)
    })
}
