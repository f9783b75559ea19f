//! Runs the commands of `post_start` and `pre_stop` in a container.

use bollard::exec::StartExecResults;
use bollard::models::ExecConfig;
use compose_file::model::Hook;
use futures_util::StreamExt;

use crate::Engine;
use crate::error::{EngineContext, EngineError, Result, is_conflict, is_missing};
use crate::exec::{self, Ended, Tail, Within};

/// Runs a command to its end, however long that takes: its status, and the end of what it wrote. `None`:
/// the container doesn't run, or not any more.
///
/// # Errors
/// When the engine can't. That the command fails is no error here.
pub async fn run(engine: &Engine, container: Within<'_>, hook: &Hook) -> Result<Option<Ended>> {
    let program = hook.command.first().map_or("nothing", String::as_str);
    let doing = || format!("run {program} in {}", container.name);
    let variable = |(name, value): (&String, &Option<String>)| match value {
        Some(value) => format!("{name}={value}"),
        // The engine takes the variable out.
        None => name.clone(),
    };
    let config = ExecConfig {
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(hook.command.clone()),
        user: hook.user.clone(),
        privileged: Some(hook.privileged),
        working_dir: hook.working_dir.clone(),
        env: Some(hook.environment.iter().map(variable).collect()),
        ..ExecConfig::default()
    };
    let docker = engine.docker();
    let (id, started) = match exec::start(docker, container, config, None).await {
        Err(err) if is_over(&err) => return Ok(None),
        result => result.doing(doing)?,
    };
    let mut said = Tail::default();
    if let StartExecResults::Attached { mut output, .. } = started {
        while let Some(chunk) = output.next().await {
            said.push(&chunk.doing(doing)?.into_bytes());
        }
    }
    match exec::status(docker, &id).await {
        Err(err) if is_over(&err) => Ok(None),
        status => Ok(Some(Ended {
            status: status.doing(doing)?,
            said: said.into_text(),
        })),
    }
}

/// Whether there is no container, or none that runs.
fn is_over(error: &EngineError) -> bool {
    is_missing(error) || is_conflict(error)
}
