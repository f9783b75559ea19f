//! `deploy scale`: like Compose, for now and not for ever. The file stays the one
//! description of the stack, so the next `up` goes back to its `deploy.replicas`.

use engine::Engine;
use engine::error::Result;

use crate::apply::{Options, apply};
use crate::capacity;
use crate::cli::Scale;
use crate::context::{Context, known_services};
use crate::lock::Lock;

pub(super) async fn run(context: &Context, args: Scale) -> Result<()> {
    let output = &context.output;
    let mut project = context.project()?;
    let names: Vec<String> = args.counts.iter().map(|(name, _)| name.clone()).collect();
    known_services(&project, &names)?;
    let mut only = Vec::new();
    let mut temporary = Vec::new();
    for (name, count) in &args.counts {
        let Some((key, _)) = project.services.get_key_value(name.as_str()) else {
            continue;
        };
        only.push(key.clone());
        let Some(service) = project.services.get_mut(name.as_str()) else {
            continue;
        };
        capacity::check_count(name, service, *count, args.force)?;
        if service.deploy.replicas != *count {
            temporary.push(format!("{name}={}", service.deploy.replicas));
        }
        service.deploy.replicas = *count;
    }
    let engine = Engine::connect().await?;
    let _lock = Lock::acquire(
        &engine,
        output,
        &project.name,
        "scale",
        args.wait.patience(),
    )
    .await?;
    let options = Options {
        timeout: args.timeout,
        only: Some(only),
        reach: args.take_over.into(),
        force: args.force,
        ..Options::default()
    };
    apply(&engine, output, &project, &options).await?;
    if !temporary.is_empty() {
        output.note(&format!(
            "the next `deploy up` goes back to the file: {}; set deploy.replicas to keep it",
            temporary.join(", ")
        ));
    }
    Ok(())
}
