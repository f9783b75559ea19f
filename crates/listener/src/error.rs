//! What can go wrong, in words that say where.

use std::{fmt, io, net::SocketAddr, path::PathBuf};

/// Why it can't start, go on, or isn't healthy.
#[derive(Debug)]
pub enum Error {
    /// A variable that doesn't exist.
    UnknownKey(String),
    /// A value that can't be used.
    BadValue {
        /// The variable.
        key: String,
        /// Its value.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// The address can't be listened on.
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// The Unix socket can't be opened, or doesn't answer.
    Socket {
        /// Its path.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The limit on open files can't be raised.
    OpenFiles(io::Error),
    /// Fewer files may be open than have to be.
    TooFewOpenFiles {
        /// So many may be.
        granted: u64,
        /// So many have to be.
        wanted: u64,
    },
    /// Signals can't be received.
    Signals(io::Error),
    /// The wait for connections and signals failed.
    Wait(io::Error),
}

impl Error {
    /// Whether the settings are to blame as they stand.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::UnknownKey(_) | Self::BadValue { .. })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey(key) => {
                write!(
                    f,
                    "environment: unknown key {key}; --help lists the keys there are"
                )
            }
            Self::BadValue {
                key,
                value,
                expected,
            } => write!(f, "environment: {key} = {value:?}: expected {expected}"),
            Self::Bind { address, error } => write!(f, "LISTENER_LISTEN = {address}: {error}"),
            Self::Socket { path, error } => {
                write!(f, "LISTENER_SOCKET = {}: {error}", path.display())
            }
            Self::OpenFiles(error) => write!(f, "open files (ulimit -n): {error}"),
            Self::TooFewOpenFiles { granted, wanted } => write!(
                f,
                "open files (ulimit -n) = {granted}: expected {wanted} or more, or a lower \
                 LISTENER_COUNT"
            ),
            Self::Signals(error) => write!(f, "signals: {error}"),
            Self::Wait(error) => write!(f, "poll: {error}"),
        }
    }
}

impl std::error::Error for Error {}
