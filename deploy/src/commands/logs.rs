//! `deploy logs`: every container's lines, prefixed with its name. Control characters in what
//! containers print are made visible, in a pipe too: it often ends at a terminal (`| grep`, a file
//! shown later). `--json` has every line as it was, with the escapes that JSON has for them.

use std::io;

use engine::Engine;
use engine::api::{LogOptions, LogOutput};
use engine::error::{EngineContext, Result};
use engine::state::State;
use futures_util::stream::{SelectAll, StreamExt};
use serde::Serialize;

use crate::cli::Logs;
use crate::context::{Context, known_services};
use crate::output::{Output, text};

/// A line of `logs --json`.
#[derive(Serialize)]
struct Logged<'a> {
    event: &'static str,
    service: &'a str,
    container: &'a str,
    /// `stdout` or `stderr`.
    stream: &'static str,
    /// RFC 3339, where times were asked for: the engine puts it and a blank before the line.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<&'a str>,
    line: &'a str,
}

pub(super) async fn run(context: &Context, args: Logs) -> Result<()> {
    let output = &context.output;
    let project = context.project()?;
    known_services(&project, &args.services)?;
    let engine = Engine::connect().await?;
    let state = State::observe(&engine, &project.name).await?;
    let chosen: Vec<_> = state
        .containers
        .iter()
        .filter(|it| args.services.is_empty() || args.services.contains(&it.service))
        .collect();
    let width = chosen.iter().map(|it| it.name.len()).max().unwrap_or(0);

    let mut streams = SelectAll::new();
    for container in chosen {
        let options = LogOptions {
            follow: args.follow,
            timestamps: args.timestamps,
            tail: args.tail,
            ..LogOptions::default()
        };
        let stream = engine.logs(&container.id, options);
        streams.push(stream.map(move |chunk| (container, chunk)).boxed());
    }
    while let Some((container, chunk)) = streams.next().await {
        let chunk = chunk.doing(|| format!("read the log of {}", container.name))?;
        let source = Source {
            service: container.service.clone(),
            name: container.name.clone(),
            width,
        };
        let written = print(output, &source, chunk, args.timestamps);
        if written.is_err() {
            // The reader left (`deploy logs | head`).
            return Ok(());
        }
    }
    Ok(())
}

/// What prints.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The key in the file.
    pub(crate) service: String,
    /// Of the container, or of a Swarm's task.
    pub(crate) name: String,
    /// So wide is the longest name beside it.
    pub(crate) width: usize,
}

/// Prints a line of a log, which with `timestamps` begins with its time.
///
/// # Errors
/// When nobody reads any more.
pub(crate) fn print(
    output: &Output,
    source: &Source,
    chunk: LogOutput,
    timestamps: bool,
) -> io::Result<()> {
    let Source {
        service,
        name,
        width,
    } = source;
    let stream = if matches!(chunk, LogOutput::StdErr { .. }) {
        "stderr"
    } else {
        "stdout"
    };
    let bytes = chunk.into_bytes();
    if output.is_json() {
        let raw = String::from_utf8_lossy(&bytes);
        let raw = raw.trim_end_matches(['\r', '\n']);
        let (time, line) = match raw.split_once(' ').filter(|_| timestamps) {
            Some((time, line)) => (Some(time), line),
            None => (None, raw),
        };
        output.stream_event(&Logged {
            event: "log",
            service,
            container: name,
            stream,
            time,
            line,
        })
    } else {
        let line = text::printable(&bytes);
        let prefix = format!("{name:width$} |");
        let prefix = output.style().by_key(name, &prefix);
        output.stream(&format!("{prefix} {line}"))
    }
}
