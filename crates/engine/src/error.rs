//! What the engine refuses, said so that the reader knows what to do next.

pub use bollard::errors::Error as EngineError;
pub use terminal::error::{Error, Exit, Result, chain};

use crate::said;

/// Turns an engine's refusal into an [`Error`] that says what was being done.
pub trait EngineContext<T> {
    /// `doing` completes the sentence "could not …".
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T>;
}

impl<T> EngineContext<T> for std::result::Result<T, EngineError> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|err| from_engine(&doing(), &err))
    }
}

/// What the engine itself refused: the status of its answer, and why.
pub fn refused(err: &EngineError) -> Option<(u16, &str)> {
    match err {
        EngineError::DockerResponseServerError {
            status_code,
            message,
        } => Some((*status_code, message)),
        _ => None,
    }
}

/// Whether what was asked for isn't there.
pub fn is_missing(err: &EngineError) -> bool {
    refused(err).is_some_and(|(status, _)| status == 404)
}

/// Whether something else has, or is doing, what was asked for: a name, a removal.
pub fn is_conflict(err: &EngineError) -> bool {
    refused(err).is_some_and(|(status, _)| status == 409)
}

/// Whether a Swarm's object has another version by now than the one that was to be changed.
pub(crate) fn is_outdated(err: &EngineError) -> bool {
    refused(err).is_some_and(|(_, message)| said::is_out_of_sequence(message))
}

/// Of a removal: well where there is nothing any more.
///
/// # Errors
/// Any other refusal.
pub fn unless_gone(
    removed: std::result::Result<(), EngineError>,
) -> std::result::Result<(), EngineError> {
    match removed {
        Err(err) if is_missing(&err) => Ok(()),
        removed => removed,
    }
}

/// What the engine refused or how it failed, while `doing` was tried.
pub fn from_engine(doing: &str, err: &EngineError) -> Error {
    match err {
        EngineError::DockerResponseServerError {
            status_code,
            message,
        } => {
            let next = match status_code {
                400 => "correct the setting the engine names in the Compose file and run again",
                _ if said::is_about_limits(message) => {
                    "lower `ulimits` of the service: the engine itself may not have that many"
                }
                _ if said::is_out_of_pools(message) => {
                    "give the network a subnet of its own (`ipam: {config: [{subnet: …}]}`), one of each \
                     family that it is to have, or the engine more pools (`default-address-pools` in \
                     /etc/docker/daemon.json)"
                }
                404 => "something was removed meanwhile: run `deploy up` again",
                409 => "something else is changing the same objects: run `deploy up` again",
                _ => "read the engine's message above; its log (`journalctl -u docker`) says more",
            };
            Error::failed(format!("could not {doing}: {}", message.trim()), next)
        }
        EngineError::DockerStreamError { error } => Error::failed(
            format!("could not {doing}: {}", error.trim()),
            "read the engine's message above and run `deploy up` again",
        ),
        EngineError::RequestTimeoutError => Error::failed(
            format!("could not {doing}: the engine did not answer in time"),
            "see whether the engine is overloaded (`docker info`), then run `deploy up` again",
        ),
        EngineError::HyperLegacyError { .. }
        | EngineError::IOError { .. }
        | EngineError::SocketNotFoundError(_)
        | EngineError::HyperResponseError { .. } => Error::no_engine(
            format!(
                "could not {doing}: the connection to the engine broke: {}",
                chain(err)
            ),
            "see that the engine runs (`docker info`), then run `deploy up` again",
        ),
        other => Error::failed(
            format!("could not {doing}: {}", chain(other)),
            "run `deploy up` again; if it stays, report it with this message",
        ),
    }
}
