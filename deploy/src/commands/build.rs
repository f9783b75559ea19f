//! `deploy build`: the images of the file's services, without containers.

use engine::Engine;
use engine::error::Result;
use engine::image::{self, Images, Need, Refresh};
use serde_json::json;

use crate::cli::Build;
use crate::context::{Context, known_services};
use crate::lock::Lock;

pub(super) async fn run(context: &Context, args: Build) -> Result<()> {
    let output = &context.output;
    let mut project = context.project()?;
    known_services(&project, &args.services)?;
    // The images of the others are nobody's business here: not even whether they could be pulled.
    project.services.retain(|name, service| {
        let asked = args.services.is_empty() || args.services.iter().any(|it| *it == name.as_str());
        asked && service.build.is_some()
    });
    let engine = Engine::connect().await?;
    let _lock = Lock::acquire(
        &engine,
        output,
        &project.name,
        "build",
        args.wait.patience(),
    )
    .await?;
    let images = Images::observe(&engine, &project, Refresh::default()).await?;
    let mut built = Vec::new();
    for service in project.services.values() {
        if let Some(Need::Build { hash, .. }) = images.get(&service.image).need
            && let Some(build) = &service.build
            && !built.contains(&service.image)
        {
            image::build::run(&engine, output, &project, service, build, &hash).await?;
            built.push(service.image.clone());
        }
    }
    output.event(&json!({"event": "build", "built": built}));
    if built.is_empty() {
        output.line("nothing to build: no sources changed");
    }
    Ok(())
}
