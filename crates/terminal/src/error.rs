//! What can go wrong, said so that the reader knows what to do next.
//!
//! Nothing decides by the *kind* of a failure except the exit
//! code, so one type carries the sentence, the evidence and the advice.

use std::fmt;
use std::process::ExitCode;

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

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
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

/// The error and every cause below it, in one line.
pub fn chain(err: &dyn std::error::Error) -> String {
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
