//! `deploy verify` on a Swarm: as on one machine, by tasks that look from its nodes.

use std::time::Duration;

use compose_file::Project;
use engine::Engine;
use engine::error::Result;
use engine::image;
use engine::swarm;
use engine::swarm::stack::Stack;
use netcheck::probe::image::Image;
use netcheck::probe::stand_in;
use netcheck::verify::{self, Subject};

use super::images::{self, Wanted};
use crate::cli::Verify;
use crate::commands::verify::look;
use crate::context::{Context, secret_values};
use crate::output::Output;

/// How long what looked is being removed when the command was interrupted.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn run(context: &Context, args: Verify) -> Result<()> {
    let output = &context.output;
    let project = context.project()?;
    let engine = Engine::connect().await?;
    let subject = Subject {
        engine: &engine,
        project: &project,
        secrets: &secret_values(&project),
        image: Some(place(&engine, output, &project).await?),
    };
    look(output, &subject, args.watch).await
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
    let subject = Subject {
        engine,
        project,
        secrets: &secret_values(project),
        image: Some(place(engine, output, project).await?),
    };
    verify::after_deploy(output, &subject).await
}

/// Makes the image that looks, and brings it to the nodes in the way of the stack's own images. A node that
/// doesn't have it then is named by the look.
async fn place(engine: &Engine, output: &Output, project: &Project) -> Result<Image> {
    let here = swarm::manager(engine).await?;
    let image = Image::ensure(engine).await?;
    let stack = Stack::observe(engine, &project.name).await?;
    let wanted = Wanted {
        name: image.name(),
        pinned: None,
        nodes: stack.nodes.iter().collect(),
    };
    let references = images::distribute(engine, output, project, &stack, &here, &[wanted]).await?;
    Ok(match references.get(image.name()) {
        Some(there) => image.known_as(there.reference.clone()),
        None => image,
    })
}

/// What the image that looks is made of, for it to be kept where it is.
///
/// # Errors
/// When it can't be made, or the engine doesn't answer.
pub(super) async fn content(engine: &Engine) -> Result<Option<String>> {
    let image = Image::ensure(engine).await?;
    image::content_of(engine, image.name()).await
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
