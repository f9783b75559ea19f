//! Takes things away: containers with their grace period, networks, volumes. What is
//! gone already counts as removed, so that a removal killed half way can be repeated.

use std::time::{Duration, Instant};

use bollard::errors::Error as EngineError;
use bollard::query_parameters::{RemoveContainerOptionsBuilder, RemoveVolumeOptions};

use crate::engine::Engine;
use crate::error::{EngineContext, Error, Result};
use crate::output::Task;

/// Longer than any grace period in use; the engine answers when the container has ended.
const STOP: Duration = Duration::from_secs(60 * 60);
/// A removal that the engine has begun is done after this long, or never.
const REMOVAL: Duration = Duration::from_secs(30);

/// Stops a container with the stop signal and grace period it was created with, then
/// removes it together with its anonymous volumes.
pub async fn container(engine: &Engine, id: &str, name: &str, task: &Task<'_>) -> Result<()> {
    stop(engine, id, name, task).await?;
    task.state("removing");
    let options = RemoveContainerOptionsBuilder::new()
        .v(true)
        .force(true)
        .build();
    let deadline = Instant::now() + REMOVAL;
    loop {
        match engine
            .docker()
            .remove_container(id, Some(options.clone()))
            .await
        {
            // Begun by a `deploy` that was killed meanwhile, or by somebody else.
            Err(EngineError::DockerResponseServerError {
                status_code: 409, ..
            }) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            result => return unless_gone(result).doing(|| format!("remove container {name}")),
        }
    }
}

/// Stops a container with the stop signal and grace period it was created with.
pub async fn stop(engine: &Engine, id: &str, name: &str, task: &Task<'_>) -> Result<()> {
    task.state("stopping");
    let stopped = engine.patient(STOP).stop_container(id, None).await;
    unless_gone(stopped).doing(|| format!("stop container {name}"))
}

/// Removes a network.
pub async fn network(engine: &Engine, name: &str) -> Result<()> {
    let removed = engine.docker().remove_network(name).await;
    if let Err(EngineError::DockerResponseServerError {
        status_code: 403,
        message,
    }) = &removed
    {
        return Err(Error::failed(
            format!("could not remove network {name}: {}", message.trim()),
            format!(
                "disconnect what is still on it (`docker network inspect {name}` lists it; \
                 `docker network disconnect {name} CONTAINER`), then run again"
            ),
        ));
    }
    unless_gone(removed).doing(|| format!("remove network {name}"))
}

/// Removes a volume and what is in it.
pub async fn volume(engine: &Engine, name: &str) -> Result<()> {
    let removed = engine
        .docker()
        .remove_volume(name, None::<RemoveVolumeOptions>)
        .await;
    if let Err(EngineError::DockerResponseServerError {
        status_code: 409,
        message,
    }) = &removed
    {
        return Err(Error::failed(
            format!("could not remove volume {name}: {}", message.trim()),
            format!(
                "remove the container that uses it (`docker ps -a --filter volume={name}`), then run again"
            ),
        ));
    }
    unless_gone(removed).doing(|| format!("remove volume {name}"))
}

fn unless_gone(result: Result<(), EngineError>) -> Result<(), EngineError> {
    match result {
        Err(EngineError::DockerResponseServerError {
            status_code: 404, ..
        }) => Ok(()),
        result => result,
    }
}
