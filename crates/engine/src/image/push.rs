//! Pushes an image to a registry.

use std::time::Duration;

use bollard::errors::Error as EngineError;
use bollard::query_parameters::PushImageOptionsBuilder;
use futures_util::StreamExt;
use terminal::{Output, Task, text};

use super::pull::{credentials, registry};
use super::tag;
use crate::Engine;
use crate::error::{Error, Result};
use crate::said;

/// The engine says nothing while the registry stores a layer.
const SILENCE: Duration = Duration::from_secs(300);

/// Gives the image `source` the name `repository:tag`, and pushes it under that, with the credentials of
/// `docker login`, if there are any. Returns the digest that the registry has it under.
///
/// # Errors
/// When the registry doesn't take it.
pub async fn run(
    engine: &Engine,
    output: &Output,
    task: &Task<'_>,
    source: &str,
    (repository, tag): (&str, &str),
) -> Result<String> {
    let name = tag::add_as(engine, source, repository, tag).await?;
    let options = PushImageOptionsBuilder::new().tag(tag).build();
    let credentials = credentials(output, "pushing to", registry(repository));
    let docker = engine.patient(SILENCE);
    let mut events = Box::pin(docker.push_image(repository, Some(options), credentials));
    while let Some(event) = tokio::time::timeout(SILENCE, events.next())
        .await
        .map_err(|_| failure(&name, &format!("nothing came for {} s", SILENCE.as_secs())))?
    {
        match event {
            Ok(info) => task.detail(&text::escape(&info.status.unwrap_or_default())),
            Err(
                EngineError::DockerStreamError { error: reason }
                | EngineError::DockerResponseServerError {
                    message: reason, ..
                },
            ) => return Err(failure(&name, &reason)),
            Err(err) => return Err(failure(&name, &err.to_string())),
        }
    }
    let pushed = super::inspect(engine, &name).await?;
    let digests = pushed.and_then(|it| it.repo_digests).unwrap_or_default();
    let digest = tag::digest(repository, &digests);
    digest
        .map(str::to_owned)
        .ok_or_else(|| failure(&name, "the engine doesn't say under which digest"))
}

fn failure(name: &str, reason: &str) -> Error {
    let reason = text::escape(reason.trim()).into_owned();
    let registry = registry(name);
    let next = if said::wants_login(&reason) || said::is_no_such_image(&reason) {
        format!("`docker login {registry}` as a user who may write there, then run again")
    } else if said::wants_tls(&reason) {
        format!(
            "give {registry} a certificate, or allow it without one on every node (`insecure-registries` in \
             /etc/docker/daemon.json)"
        )
    } else {
        format!("see that this machine reaches {registry} (x-swarm: registry, CAUSEWAY_REGISTRY)")
    };
    Error::failed(format!("pushing image {name} failed: {reason}"), next)
}
