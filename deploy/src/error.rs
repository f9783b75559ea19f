//! What can go wrong, said so that the reader knows what to do next.
//!
//! Nothing inside the crate decides by the *kind* of a failure except the exit
//! code, so one type carries the sentence, the evidence and the advice.

use std::fmt;

use serde::Serialize;

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// How the process ends (design: 0 done, 1 failed, 2 usage or file, 3 no engine, 4 not all proven).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// The work could not be done or a check is red.
    Failed = 1,
    /// The command line or the Compose file is wrong.
    Usage = 2,
    /// No Docker engine answers.
    NoEngine = 3,
    /// Nothing is wrong that could be seen, and not all could be seen.
    Unproven = 4,
}

/// A failure: one sentence, what was seen, and what to do next.
#[derive(Debug, Serialize)]
pub struct Error {
    /// Decides the process's exit code.
    pub exit: Exit,
    /// What went wrong, naming the thing it went wrong with.
    pub message: String,
    /// Evidence, a line each: conflicts found, last log lines, build output.
    pub details: Vec<String>,
    /// What the user should do next.
    pub next: String,
}

impl Error {
    /// Something that was tried and did not work.
    pub fn failed(message: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message, next)
    }

    /// A mistake in the command line or in the Compose file.
    pub fn usage(message: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message, next)
    }

    /// No engine to talk to.
    pub fn no_engine(message: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(Exit::NoEngine, message, next)
    }

    /// A proof that isn't whole.
    pub fn unproven(message: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(Exit::Unproven, message, next)
    }

    /// Adds evidence below the sentence.
    #[must_use]
    pub fn with_details(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(details);
        self
    }

    fn new(exit: Exit, message: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            details: Vec::new(),
            next: next.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Turns an engine's refusal into an [`Error`] that says what was being done.
pub trait EngineContext<T> {
    /// `doing` completes the sentence "could not …".
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T>;
}

impl<T> EngineContext<T> for std::result::Result<T, bollard::errors::Error> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|err| from_engine(&doing(), &err))
    }
}

/// What the engine refused or how it failed, while `doing` was tried.
pub(crate) fn from_engine(doing: &str, err: &bollard::errors::Error) -> Error {
    use bollard::errors::Error as Engine;
    match err {
        Engine::DockerResponseServerError {
            status_code,
            message,
        } => {
            let next = match status_code {
                400 => "correct the setting the engine names in the Compose file and run again",
                _ if message.contains("rlimit") => {
                    "lower `ulimits` of the service: the engine itself may not have that many"
                }
                _ if message.contains("address pool") => {
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
        Engine::DockerStreamError { error } => Error::failed(
            format!("could not {doing}: {}", error.trim()),
            "read the engine's message above and run `deploy up` again",
        ),
        Engine::RequestTimeoutError => Error::failed(
            format!("could not {doing}: the engine did not answer in time"),
            "see whether the engine is overloaded (`docker info`), then run `deploy up` again",
        ),
        Engine::HyperLegacyError { .. }
        | Engine::IOError { .. }
        | Engine::SocketNotFoundError(_)
        | Engine::HyperResponseError { .. } => Error::no_engine(
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

/// The error and every cause below it, in one line.
pub(crate) fn chain(err: &dyn std::error::Error) -> String {
    let mut text = err.to_string();
    let mut source = err.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
