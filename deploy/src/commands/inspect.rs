//! `deploy inspect`.

use std::fs;

use engine::Engine;
use engine::error::{Error, Result};
use netcheck::inspect::Topology;
use netcheck::probe::image::Image;

use super::as_it_runs;
use crate::cli::{Format, Inspect};
use crate::context::Context;
use crate::output::Output;
use crate::output::style::Style;

pub(super) async fn run(context: &Context, args: Inspect) -> Result<()> {
    let project = context.project()?;
    let engine = Engine::connect().await?;
    let project = as_it_runs(&engine, project).await?;
    let image = Image::ensure(&engine).await?;
    let mut topology = Topology::of_engine(&engine, &project).await?;
    topology.look(&engine, &image).await;
    show(&context.output, &topology, args)
}

/// Shows it in the form that is asked for, or writes it into a file.
///
/// # Errors
/// When the file can't be written.
pub(crate) fn show(output: &Output, topology: &Topology, args: Inspect) -> Result<()> {
    if output.is_json() && args.output.is_none() {
        output.document(topology);
        return Ok(());
    }
    let format = if output.is_json() {
        Format::Json
    } else {
        args.format
    };
    let style = if args.output.is_some() {
        Style::PLAIN
    } else {
        output.style()
    };
    let text = match format {
        Format::Table => topology.table(style),
        Format::Json => serde_json::to_string_pretty(topology)
            .map_err(|error| Error::failed(error.to_string(), "report this"))?,
        Format::Mermaid => topology.mermaid(),
        Format::Svg => topology.svg(),
    };
    let text = text.trim_end();
    match args.output {
        // A reader that closed the pipe has seen enough.
        None => _ = output.stream(text),
        Some(file) => fs::write(&file, format!("{text}\n")).map_err(|error| {
            Error::failed(
                format!("can't write {}: {error}", file.display()),
                "choose another file with --output",
            )
        })?,
    }
    Ok(())
}
