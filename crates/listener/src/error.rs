//! What can go wrong, in words that say where.

use std::{fmt, io, path::PathBuf};

use service::{settings::SettingsError, sockets::ListenError};

/// Why it can't start, go on, or isn't healthy.
#[derive(Debug)]
pub(crate) enum Error {
    Settings(SettingsError),
    Listen(ListenError),
    /// The Unix socket can't be opened, or doesn't answer.
    Socket {
        path: PathBuf,
        error: io::Error,
    },
    /// The limit on open files can't be raised.
    OpenFiles(io::Error),
    TooFewOpenFiles {
        granted: u64,
        wanted: u64,
    },
    Signals(io::Error),
    /// The wait for connections and signals failed.
    Wait(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(error) => error.fmt(f),
            Self::Listen(error) => error.fmt(f),
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
