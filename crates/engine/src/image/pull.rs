//! Pulls an image, showing its layers come in.

use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::errors::Error as EngineError;
use bollard::query_parameters::CreateImageOptions;
use docker_credential::{CredentialRetrievalError, DockerCredential};
use futures_util::StreamExt;
use terminal::{Layers, Output, text};

use crate::Engine;
use crate::error::{Error, Result};
use crate::said;

/// The engine says nothing until the registry answers; behind a silent firewall it never does.
const SILENCE: Duration = Duration::from_secs(90);

/// Pulls `image` with the credentials of `docker login`, if there are any.
pub async fn run(engine: &Engine, output: &Output, image: &str) -> Result<()> {
    let task = output.task(&format!("image {image}"), "pulling");
    let (name, tag) = with_tag(image);
    let options = CreateImageOptions {
        from_image: Some(name),
        tag,
        ..CreateImageOptions::default()
    };
    let credentials = credentials(output, "pulling from", registry(image));
    let docker = engine.patient(SILENCE);
    let mut events = Box::pin(docker.create_image(Some(options), None, credentials));
    let mut layers = Layers::new(output);
    loop {
        let event = tokio::time::timeout(SILENCE, events.next())
            .await
            .map_err(|_| failure(image, &format!("nothing came for {} s", SILENCE.as_secs())))?;
        let info = match event {
            None => break,
            Some(Ok(info)) => info,
            Some(Err(EngineError::DockerStreamError { error })) => {
                return Err(failure(image, &error));
            }
            Some(Err(EngineError::DockerResponseServerError { message, .. })) => {
                return Err(failure(image, &message));
            }
            Some(Err(EngineError::RequestTimeoutError)) => {
                return Err(failure(image, "the registry doesn't answer"));
            }
            Some(Err(err)) => return Err(failure(image, &err.to_string())),
        };
        let status = info.status.unwrap_or_default();
        match info.id {
            Some(id) => {
                let bytes = info.progress_detail.and_then(|progress| {
                    let current = u64::try_from(progress.current?).ok()?;
                    let total = u64::try_from(progress.total?).ok()?;
                    Some((current, total))
                });
                layers.update(&text::escape(&id), &text::escape(&status), bytes);
            }
            None => task.detail(&text::escape(&status)),
        }
    }
    drop(layers);
    task.done("pulled");
    Ok(())
}

fn failure(image: &str, reason: &str) -> Error {
    let reason = text::escape(reason.trim()).into_owned();
    let registry = registry(image);
    let next = if said::wants_login(&reason) {
        format!("`docker login {registry}` as a user who may read it, then run again")
    } else if said::is_no_such_image(&reason) {
        format!(
            "see that the name and tag are right; if the image is private, `docker login {registry}` first"
        )
    } else {
        format!(
            "see that this machine reaches {registry} (`docker pull {image}`), or provide the image \
             (`docker load`), or name another one in the Compose file or .env"
        )
    };
    Error::failed(format!("pulling image {image} failed: {reason}"), next)
}

/// The engine pulls every tag when none is given; `docker pull` means `latest`.
fn with_tag(image: &str) -> (String, Option<String>) {
    let last = image.rsplit('/').next().unwrap_or(image);
    if image.contains('@') || last.contains(':') {
        (image.to_owned(), None)
    } else {
        (image.to_owned(), Some("latest".to_owned()))
    }
}

/// The first part of the name if it looks like a host (has a dot or a port, or is
/// `localhost`), otherwise Docker Hub: the rule of Docker's own reference grammar.
pub(crate) fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "docker.io",
    }
}

/// What `docker login` has left for a registry. `doing` begins the note where it can't be read.
pub(crate) fn credentials(
    output: &Output,
    doing: &str,
    registry: &str,
) -> Option<DockerCredentials> {
    // Docker Hub's credentials are stored under its historical address.
    let server = if registry == "docker.io" {
        "https://index.docker.io/v1/"
    } else {
        registry
    };
    match docker_credential::get_credential(server) {
        Ok(DockerCredential::UsernamePassword(username, password)) => Some(DockerCredentials {
            username: Some(username),
            password: Some(password),
            serveraddress: Some(server.to_owned()),
            ..DockerCredentials::default()
        }),
        Ok(DockerCredential::IdentityToken(token)) => Some(DockerCredentials {
            identitytoken: Some(token),
            serveraddress: Some(server.to_owned()),
            ..DockerCredentials::default()
        }),
        Err(
            CredentialRetrievalError::NoCredentialConfigured
            | CredentialRetrievalError::ConfigNotFound,
        ) => None,
        Err(err) => {
            output.note(&format!(
                "{doing} {registry} without credentials: {}",
                text::escape(&err.to_string())
            ));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_tag_means_latest() {
        assert_eq!(with_tag("mongo"), ("mongo".into(), Some("latest".into())));
        assert_eq!(
            with_tag("localhost:5000/a"),
            ("localhost:5000/a".into(), Some("latest".into()))
        );
        assert_eq!(with_tag("mongo:7"), ("mongo:7".into(), None));
        assert_eq!(with_tag("a@sha256:00"), ("a@sha256:00".into(), None));
    }

    #[test]
    fn the_registry_is_told_from_the_name() {
        assert_eq!(registry("mongo"), "docker.io");
        assert_eq!(registry("causeway/api"), "docker.io");
        assert_eq!(registry("localhost:5000/a"), "localhost:5000");
        assert_eq!(registry("ghcr.io/a/b:1"), "ghcr.io");
    }
}
