//! Logging: readable lines on a terminal, JSON otherwise; `RUST_LOG` filters (default `info`).

use std::io::{IsTerminal as _, stdout};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// Starts logging to standard output. Only the first call in a process has an effect.
pub fn init() -> Result<(), ParseError> {
    let filter = match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(directives) if !directives.trim().is_empty() => directives.parse()?,
        // The server tells each step of its start and stop; ours says enough.
        _ => EnvFilter::new("info,actix_server=warn"),
    };
    let logs = tracing_subscriber::fmt().with_env_filter(filter);
    // An error means that logging has been started already.
    let _ = if stdout().is_terminal() {
        logs.try_init()
    } else {
        logs.json().flatten_event(true).try_init()
    };
    Ok(())
}
