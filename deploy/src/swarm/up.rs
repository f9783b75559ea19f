//! `deploy up` and `deploy plan` on a Swarm.

use engine::Engine;
use engine::error::Result;
use serde_json::json;

use super::apply::Applied;
use super::plan::Observed;
use super::rotation::Cluster;
use super::{images, preflight, verify};
use crate::apply::Options;
use crate::cli;
use crate::context::{Context, addresses, some_enabled};
use crate::lock::Lock;
use crate::releases::{self, Releases};
use crate::rotation::{self, Rotation};

pub(super) async fn run(context: &Context, args: cli::Up) -> Result<()> {
    let output = &context.output;
    let project = context.project()?;
    some_enabled(&project)?;
    let rotate = match &args.rotate_secrets {
        Some(names) => rotation::chosen(&project, names)?,
        None => Vec::new(),
    };
    let engine = Engine::connect().await?;
    let _lock = Lock::of_swarm(&engine, output, &project.name, "up", args.wait.patience()).await?;
    let options = Options::from(&args);
    let rotation = Rotation {
        place: Cluster {
            engine: &engine,
            output,
            project: &project,
        },
        output,
        project: &project,
    };
    let applied = rotation.apply(&options, &rotate).await;
    let applied = applied.map_err(|err| releases::with_way_back(&project, err))?;
    let mut releases = Releases::read(&project)?;
    let release = releases
        .record(&engine, output, &project, &applied.images)
        .await?;
    if applied.changed {
        let Applied { stack, here, .. } = &applied;
        let mut kept = releases.contents();
        if !args.no_verify {
            kept.extend(verify::content(&engine).await?);
        }
        images::tidy(&engine, output, &project, stack, here, &kept).await;
    }
    if !args.no_verify {
        let verified = verify::after_deploy(&engine, output, &project).await;
        verified.map_err(|err| releases::with_way_back(&project, err))?;
    }
    let (urls, _) = addresses(&engine, &project);
    output.event(&json!({
        "event": "up",
        "changed": applied.changed,
        "release": release,
        "urls": urls,
    }));
    if !urls.is_empty() {
        output.line(&format!(
            "{} is up: {} here, and the same ports on the other nodes that run it (release {release})",
            project.name,
            urls.join(" ")
        ));
    }
    Ok(())
}

/// `deploy plan`.
pub(super) async fn plan(context: &Context, args: cli::Plan) -> Result<()> {
    let output = &context.output;
    let project = context.project()?;
    some_enabled(&project)?;
    let engine = Engine::connect().await?;
    let options = Options::from(&args);
    let now = Observed::look(&engine, &project, &options).await?;
    let plan = now.plan(&engine, &project, &options).await?;
    let fit = preflight::check(&engine, &project, &now, &plan).await;
    if output.is_json() {
        fit?;
        output.document(&plan.view);
        return Ok(());
    }
    plan.view.show(output);
    fit
}
