//! `deploy rollback` on a Swarm: the release that ran before, by the same way as `up`. What a failed
//! update did to a service, the engine has taken back by itself.

use compose_file::Project;
use engine::Engine;
use engine::error::{Error, Result};
use engine::image::{self, Images};
use engine::swarm;
use serde_json::json;

use super::{apply, verify};
use crate::apply::Options;
use crate::cli::Rollback;
use crate::commands::rollback::{begin, chosen};
use crate::context::Context;
use crate::lock::Lock;
use crate::releases;

pub(super) async fn run(context: &Context, args: Rollback) -> Result<()> {
    let output = &context.output;
    let project = context.project()?;
    let engine = Engine::connect().await?;
    swarm::manager(&engine).await?;
    let patience = args.wait.patience();
    let _lock = Lock::of_swarm(&engine, output, &project.name, "rollback", patience).await?;
    let (mut record, release, project) = chosen(context, &project, args.to)?;
    let images = Images::of_release(&engine, &release.images).await?;
    check(&engine, &project, &images).await?;
    begin(context, &release);
    let options = Options {
        timeout: args.timeout,
        release: Some(release.clone()),
        reach: args.take_over.into(),
        ..Options::default()
    };
    let applied = apply::apply(&engine, output, &project, &options).await;
    let applied = applied.map_err(|err| releases::with_way_back(&project, err))?;
    record.went_back(&project, release.number)?;
    output.note("`deploy plan` shows what `deploy up` would change again");
    if !args.no_verify {
        verify::after_deploy(&engine, output, &project).await?;
    }
    output.event(&json!({
        "event": "rollback",
        "release": release.number,
        "changed": applied.changed,
    }));
    output.line(&format!(
        "{} is back at release {}",
        project.name, release.number
    ));
    Ok(())
}

/// Nodes run what each of them has under an image's name, unless a registry gave it a digest. Where the
/// name has moved on since the release, that isn't what ran then.
async fn check(engine: &Engine, project: &Project, images: &Images) -> Result<()> {
    // By other ways, a node has it under a name that says its content.
    if project.swarm.is_some() {
        return Ok(());
    }
    let mut moved = Vec::new();
    for service in project.services.values() {
        let Some(tag) = images.get(&service.image).pinned else {
            continue;
        };
        let found = image::inspect(engine, &tag).await?;
        let digests = found.and_then(|it| it.repo_digests).unwrap_or_default();
        let line = format!("{}, which this engine has as {tag}", service.image);
        if digests.is_empty() && !moved.contains(&line) {
            moved.push(line);
        }
    }
    if moved.is_empty() {
        return Ok(());
    }
    Err(Error::failed(
        "images of the release were loaded into the nodes, not pulled, and their names lead to others by now; \
         nothing was changed",
        "load the old ones into every node under these names, and run again; with a registry, or a tag for each \
         version, this isn't needed",
    )
    .with_details(moved))
}
