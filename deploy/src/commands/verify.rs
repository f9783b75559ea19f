//! `deploy verify`.

use super::Context;
use crate::engine::Engine;
use crate::error::Result;
use crate::verify;

pub(super) async fn run(context: &Context) -> Result<()> {
    let project = context.project()?;
    let engine = Engine::connect().await?;
    verify::run(&engine, &context.output, &project).await
}
