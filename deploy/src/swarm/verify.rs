//! `deploy verify` on a Swarm: as on one machine, by tasks that look from its nodes.

use std::time::Duration;

use compose_file::Project;
use engine::Engine;
use engine::error::Result;
use engine::swarm;
use netcheck::probe::image::Image;
use netcheck::probe::stand_in;
use netcheck::verify;

use crate::cli::Verify;
use crate::commands::{Context, secret_values};
use crate::output::Output;

/// How long what looked is being removed when the command was interrupted.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn run(context: &Context, args: Verify) -> Result<()> {
    let output = &context.output;
    let project = context.project()?;
    let engine = Engine::connect().await?;
    swarm::manager(&engine).await?;
    let secrets = secret_values(&project);
    place(&engine).await?;
    match args.watch {
        None => verify::run(&engine, output, &project, &secrets).await,
        Some(seconds) => {
            let pause = Duration::from_secs(seconds.into());
            verify::watch(&engine, output, &project, &secrets, pause).await
        }
    }
}

/// What has been brought up is verified.
///
/// # Errors
/// If anything isn't as drawn.
pub(super) async fn after_deploy(
    engine: &Engine,
    output: &Output,
    project: &Project,
) -> Result<()> {
    place(engine).await?;
    verify::after_deploy(engine, output, project, &secret_values(project)).await
}

/// Makes the image that looks, on this manager. What brings images to the other nodes brings it as well;
/// a node that doesn't have it is named by the look.
async fn place(engine: &Engine) -> Result<()> {
    Image::ensure(engine.docker()).await?;
    Ok(())
}

/// Removes what looks from the nodes when the command was interrupted. What remains, the next look and
/// `deploy down` remove.
pub(crate) async fn clean_up() {
    if !stand_in::has_asked() {
        return;
    }
    let removed = async {
        let engine = Engine::connect().await?;
        stand_in::remove_own(&engine).await
    };
    let _ = tokio::time::timeout(PATIENCE, removed).await;
}
