//! `deploy secrets`.

use engine::Engine;
use engine::error::Result;
use engine::state::State;

use super::Context;
use crate::cli::{Recover, Secrets};
use crate::lock::Lock;
use crate::secrets::Recovery;

pub(super) async fn run(context: &Context, command: Secrets) -> Result<()> {
    match command {
        Secrets::Recover(args) => recover(context, args).await,
    }
}

async fn recover(context: &Context, args: Recover) -> Result<()> {
    let output = &context.output;
    let project = context.project()?;
    let engine = Engine::connect().await?;
    let patience = args.wait.patience();
    let _lock = Lock::acquire(&engine, output, &project.name, "secrets recover", patience).await?;
    let recovery = Recovery {
        engine: &engine,
        output,
        project: &project,
        state: &State::observe(&engine, &project.name).await?,
    };
    recovery.run(&args.names).await
}
