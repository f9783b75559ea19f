//! Runs the commands of `post_start` and `pre_stop` in a container.

use std::time::Duration;

use bollard::errors::Error as EngineError;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use compose_file::model::Hook;
use futures_util::StreamExt;

use crate::Engine;
use crate::error::{EngineContext, Result};
use crate::exec::{Ended, Within};

/// So much of the end of what a command writes is kept.
const KEPT: usize = 16 << 10;
/// How often the engine is asked whether a command has ended.
const INTERVAL: Duration = Duration::from_millis(50);

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
    let exec = match docker.create_exec(container.id, config).await {
        Err(err) if is_over(&err) => return Ok(None),
        result => result.doing(doing)?,
    };
    let started = match docker.start_exec(&exec.id, None::<StartExecOptions>).await {
        Err(err) if is_over(&err) => return Ok(None),
        result => result.doing(doing)?,
    };
    let mut said = Vec::new();
    if let StartExecResults::Attached { mut output, .. } = started {
        while let Some(chunk) = output.next().await {
            said.extend_from_slice(&chunk.doing(doing)?.into_bytes());
            if said.len() > 2 * KEPT {
                said.drain(..said.len() - KEPT);
            }
        }
    }
    // The engine may learn of the end a moment after the streams are closed.
    loop {
        let ended = match docker.inspect_exec(&exec.id).await {
            Err(err) if is_over(&err) => return Ok(None),
            result => result.doing(doing)?,
        };
        if let Some(status) = ended.exit_code.filter(|_| ended.running != Some(true)) {
            let said = String::from_utf8_lossy(&said).into_owned();
            return Ok(Some(Ended { status, said }));
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Whether there is no container, or none that runs.
fn is_over(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::DockerResponseServerError {
            status_code: 404 | 409,
            ..
        }
    )
}
