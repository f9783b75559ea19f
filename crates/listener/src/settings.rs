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
            "address that clients connect to; [::] is every one, of IPv4 too",
        ),
        key(
            "socket",
            "/run/listener/listen.sock",
            "Unix socket at which the listening sockets are handed over",
        ),
        key(
            "count",
            "auto",
            "number of listening sockets, 1 to 64; auto: the CPUs that the cgroup grants",
        ),
    ],
};

#[derive(Debug)]
pub(crate) struct Settings {
    /// Where clients connect.
    pub(crate) listen: SocketAddr,
    /// Where the listening sockets are handed over.
    pub(crate) socket: PathBuf,
    /// How many there are.
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
        Ok(Self {
            listen: values.address("listen")?,
            socket: values.read("socket", path, |text| {
                Some(PathBuf::from(text)).filter(|path| path.is_absolute())
            })?,
            count: values.one_per_cpu("count", MAX_SOCKETS)?,
            passed_over: values.passed_over().to_vec(),
        })
    }
}
