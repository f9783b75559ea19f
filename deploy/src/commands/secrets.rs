//! `deploy secrets`.

use engine::Engine;
use engine::error::Result;
use engine::swarm;
use engine::swarm::object;

use crate::cli::{Recover, Secrets};
use crate::context::Context;
use crate::lock::Lock;
use crate::running;
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
    let is_manager = project.is_for_swarm() && swarm::is_manager(&engine).await?;
    let objects = if is_manager {
        object::all(&engine, &project.name).await?
    } else {
        Vec::new()
    };
    let recovery = Recovery {
        engine: &engine,
        output,
        project: &project,
        state: &running::state(&engine, &project).await?,
        objects: &objects,
    };
    recovery.run(&args.names).await
}
