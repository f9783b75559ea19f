//! Logging: `tracing` events, as JSON or, on a terminal, for people; `RUST_LOG` filters.

use std::io::{self, IsTerminal as _};

use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer,
    fmt::{self, MakeWriter},
    layer::SubscriberExt as _,
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

use crate::settings::SettingsError;

/// Starts logging to standard output; see [`filter`] for the `narrator`. Only the first call in a process
/// has an effect.
pub fn start(narrator: &str) -> Result<(), SettingsError> {
    let log = tracing_subscriber::registry().with(filter(&[narrator])?);
    // An error means that logging has been started already.
    let _ = log.with(events(io::stdout)).try_init();
    Ok(())
}

/// What is logged: what `RUST_LOG` says, or else `info` and above. Of `narrators`, crates that tell more
/// than anybody wants to know, each as `target=level`, only so much, unless it names them.
pub fn filter(narrators: &[&str]) -> Result<EnvFilter, SettingsError> {
    let given = std::env::var_os(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let given = given.to_string_lossy();
    let mut directives = match given.trim() {
        "" => "info".to_owned(),
        given => given.to_owned(),
    };
    for narrator in narrators {
        let target = narrator.split('=').next().unwrap_or_default();
        if !given.contains(target) {
            directives = format!("{directives},{narrator}");
        }
    }
    directives.parse().map_err(|error| {
        SettingsError::bad_value(
            "environment".to_owned(),
            EnvFilter::DEFAULT_ENV.to_owned(),
            given.clone().into_owned(),
            format!("expected a level such as info, or target=level pairs ({error})"),
        )
    })
}

/// Writes each event as a line.
pub fn events<S, W>(writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let events = fmt::layer().with_writer(writer);
    if io::stdout().is_terminal() {
        return events.boxed();
    }
    events
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .boxed()
}

/// Logs which variables are no settings, although they are called like some.
pub fn note_passed_over(variables: &[String]) {
    if !variables.is_empty() {
        tracing::info!(
            variables = variables.join(" "),
            "passed over: they describe a service (Kubernetes, Docker links) and are no settings"
        );
    }
}
