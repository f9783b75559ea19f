//! Logging: events, and the access log beside them, written by a thread of its own.

use std::io::{self, IsTerminal as _};

use service::{logging, settings::SettingsError};
use tracing_subscriber::{
    Layer as _, filter::FilterExt as _, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::observe::{
    access_log::{AccessLayer, OnlyAccess, Style},
    log_sink::{self, EventWriter, Guard},
};

#[derive(Debug, thiserror::Error)]
pub(crate) enum LoggingError {
    /// `RUST_LOG` doesn't parse.
    #[error(transparent)]
    Filter(#[from] SettingsError),
    /// The writer thread can't be started.
    #[error("log writer: {0}")]
    Writer(#[from] io::Error),
    /// There is a subscriber already.
    #[error("logging: {0}")]
    Init(#[from] tracing_subscriber::util::TryInitError),
}

/// Sets up logging for the process. `RUST_LOG` filters everything but the access log.
pub(crate) fn start(access_log: bool) -> Result<Guard, LoggingError> {
    let guard = log_sink::start()?;
    // What there is to say about the framework's life cycle we say ourselves, and what clients do to
    // sessions of HTTP/2 the metrics tell.
    let filter = logging::filter(&["pingora_core=warn", "h2=error"])?;
    let events =
        logging::events(EventWriter(guard.sink())).with_filter(filter.and(OnlyAccess(false)));
    let access = access_log.then(|| {
        let terminal = io::stdout().is_terminal();
        let style = if terminal { Style::Plain } else { Style::Json };
        AccessLayer {
            sink: guard.sink(),
            style,
        }
        .with_filter(OnlyAccess(true))
    });
    tracing_subscriber::registry()
        .with(events)
        .with(access)
        .try_init()?;
    Ok(guard)
}
