//! `deploy rollback`: the release that ran before the one that runs, by the same way as `up`.

use compose_file::Project;
use engine::Engine;
use engine::error::{Error, Result};
use serde_json::json;

use super::verified;
use crate::apply::{Options, apply};
use crate::cli::Rollback;
use crate::context::{Context, addresses, file_error};
use crate::lock::Lock;
use crate::releases::{Release, Releases};
use crate::swarm::beside;

pub(super) async fn run(context: &Context, args: Rollback) -> Result<()> {
    let output = &context.output;
    // The file as it is now says whose releases, and where they are recorded.
    let project = context.project()?;
    let engine = Engine::connect().await?;
    beside::refuse_stack(&engine, &project).await?;
    let patience = args.wait.patience();
    let _lock = Lock::acquire(&engine, output, &project.name, "rollback", patience).await?;
    let (mut record, release, project) = chosen(context, &project, args.to)?;
    begin(context, &release);
    let options = Options {
        timeout: args.timeout,
        release: Some(release.clone()),
        reach: args.take_over.into(),
        // It ran here before.
        force: true,
        ..Options::default()
    };
    let applied = apply(&engine, output, &project, &options).await;
    let applied = verified(&engine, output, &project, !args.no_verify, applied).await?;
    record.went_back(&project, release.number)?;
    let (urls, console) = addresses(&engine, &project);
    output.note("`deploy plan` shows what `deploy up` would change again");
    output.event(&json!({
        "event": "rollback",
        "release": release.number,
        "changed": applied.changed,
        "urls": urls,
        "console": console,
    }));
    output.line(&format!(
        "{} is back at release {}{}{}",
        project.name,
        release.number,
        if urls.is_empty() { "" } else { ": " },
        urls.join(" ")
    ));
    Ok(())
}

/// The release to go back to, the one before where no number is given, and the project as it was then.
pub(crate) fn chosen(
    context: &Context,
    project: &Project,
    number: Option<u32>,
) -> Result<(Releases, Release, Project)> {
    let record = Releases::read(project)?;
    let release = match number {
        Some(number) => record.chosen(number)?,
        None => record.previous()?,
    }
    .clone();
    let mut then = context
        .of_release(&release.compose)
        .map_err(|err| not_understood(&release, &err))?;
    // What isn't enabled now is left alone, unless it was then.
    let mut disabled = project.disabled.clone();
    let (services, networks, volumes) = (&then.services, &then.networks, &then.volumes);
    disabled
        .services
        .retain(|key, _| !services.contains_key(key));
    disabled
        .networks
        .retain(|key, _| !networks.contains_key(key));
    disabled.volumes.retain(|key, _| !volumes.contains_key(key));
    then.disabled = disabled;
    Ok((record, release, then))
}

/// Says which one that is.
pub(crate) fn begin(context: &Context, release: &Release) {
    context.output.line(&format!(
        "back to release {} of {}",
        release.number, release.at
    ));
}

/// An earlier `deploy` brought it up, and took what this one doesn't.
fn not_understood(release: &Release, err: &compose_file::Error) -> Error {
    let compose_file::Error::Invalid { problems } = err else {
        return file_error(err);
    };
    Error::usage(
        format!(
            "release {} has {} problem(s) as a Compose file",
            release.number,
            problems.len()
        ),
        "go to another one (`deploy releases`), or put the settings you want into the Compose file \
         and run `deploy up`",
    )
    .with_details(problems.iter().map(ToString::to_string))
}
