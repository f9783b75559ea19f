//! `deploy verify`.

use std::time::Duration;

use engine::Engine;
use engine::error::Result;
use netcheck::verify::{self, Subject};

use super::as_it_runs;
use crate::cli::Verify;
use crate::context::{Context, secret_values};
use crate::output::Output;

pub(super) async fn run(context: &Context, args: Verify) -> Result<()> {
    let project = context.project()?;
    let engine = Engine::connect().await?;
    let project = as_it_runs(&engine, project).await?;
    let subject = Subject {
        engine: &engine,
        project: &project,
        secrets: &secret_values(&project),
        image: None,
    };
    look(&context.output, &subject, args.watch).await
}

/// Once, or again and again, so many seconds apart.
pub(crate) async fn look(output: &Output, subject: &Subject<'_>, watch: Option<u32>) -> Result<()> {
    match watch {
        None => verify::run(output, subject).await,
        Some(seconds) => verify::watch(output, subject, Duration::from_secs(seconds.into())).await,
    }
}
