//! Logging: `tracing` events, as JSON or, on a terminal, for people.

use std::io::{self, IsTerminal};

use tracing_subscriber::{
    EnvFilter, Layer, filter::LevelFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::observe::{
    access_log::{AccessLayer, OnlyAccess, Style},
    log_sink::{self, EventWriter, Guard},
};

/// Why logging can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `RUST_LOG` doesn't parse.
    #[error("RUST_LOG: {0}: expected directives such as info or warn,proxy=debug")]
    Filter(#[from] tracing_subscriber::filter::FromEnvError),
    /// The writer thread can't be started.
    #[error("log writer: {0}")]
    Writer(#[from] io::Error),
    /// There is a subscriber already.
    #[error("logging: {0}")]
    Init(#[from] tracing_subscriber::util::TryInitError),
}

/// Sets up logging for the process. `RUST_LOG` filters everything but the access log.
pub fn init(access_log: bool) -> Result<Guard, TelemetryError> {
    let guard = log_sink::start()?;
    let terminal = io::stdout().is_terminal();
    // The framework narrates its own life cycle at the info level; what we have to say about it
    // we say ourselves.
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env()?
        .add_directive(
            "pingora_core=warn"
                .parse()
                .unwrap_or_else(|_| LevelFilter::WARN.into()),
        );
    let events = fmt::layer().with_writer(EventWriter(guard.sink()));
    let events = if terminal {
        events.boxed()
    } else {
        events
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed()
    };
    let events = events.with_filter(filter).with_filter(OnlyAccess(false));
    let access = access_log.then(|| {
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
