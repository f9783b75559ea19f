//! `deploy up`.

use engine::Engine;
use engine::error::Result;
use serde_json::json;

use super::verified;
use crate::apply::Options;
use crate::cli::Up;
use crate::context::{Context, addresses, some_enabled};
use crate::lock::Lock;
use crate::releases::Releases;
use crate::rotation::{self, Machine, Rotation};
use crate::swarm::beside;

pub(super) async fn run(context: &Context, args: Up) -> Result<()> {
    let output = &context.output;
    let project = context.project()?;
    some_enabled(&project)?;
    let rotate = match &args.rotate_secrets {
        Some(names) => rotation::chosen(&project, names)?,
        None => Vec::new(),
    };
    let engine = Engine::connect().await?;
    beside::refuse_stack(&engine, &project).await?;
    let _lock = Lock::acquire(&engine, output, &project.name, "up", args.wait.patience()).await?;
    let options = Options::from(&args);
    let rotation = Rotation {
        place: Machine {
            engine: &engine,
            output,
            project: &project,
        },
        output,
        project: &project,
    };
    let applied = rotation.apply(&options, &rotate).await;
    let applied = verified(&engine, output, &project, !args.no_verify, applied).await?;
    let release = Releases::read(&project)?
        .record(&engine, output, &project, &applied.images)
        .await?;
    let (urls, console) = addresses(&engine, &project);
    output.event(&json!({
        "event": "up",
        "changed": applied.changed,
        "release": release,
        "urls": urls,
        "console": console,
    }));
    if !urls.is_empty() {
        output.line(&format!("{} is up: {}", project.name, urls.join(" ")));
    }
    if let Some(url) = console {
        output.line(&format!(
            "what it records: {url}, which `make console` opens logged in"
        ));
    }
    Ok(())
}
