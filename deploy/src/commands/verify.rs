//! `deploy verify`.

use std::time::Duration;

use engine::Engine;
use engine::error::Result;
use netcheck::verify;

use super::{Context, as_it_runs, secret_values};
use crate::cli::Verify;

pub(super) async fn run(context: &Context, args: Verify) -> Result<()> {
    let project = context.project()?;
    let engine = Engine::connect().await?;
    let project = as_it_runs(&engine, project).await?;
    let secrets = secret_values(&project);
    match args.watch {
        None => verify::run(&engine, &context.output, &project, &secrets).await,
        Some(seconds) => {
            let pause = Duration::from_secs(seconds.into());
            verify::watch(&engine, &context.output, &project, &secrets, pause).await
        }
    }
}
