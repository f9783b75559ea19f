//! Health checks, and what services wait for.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::is_true;
use super::values::optional_duration;

/// `healthcheck`. What is `None` comes from the image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Healthcheck {
    /// What is run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<HealthTest>,
    /// Between two runs.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "optional_duration"
    )]
    pub interval: Option<Duration>,
    /// Of one run.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "optional_duration"
    )]
    pub timeout: Option<Duration>,
    /// Failures before the container counts as unhealthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// After the start, during which failures don't count.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "optional_duration"
    )]
    pub start_period: Option<Duration>,
    /// Between two runs during the start period. Needs Engine API 1.44; older engines don't know
    /// it and use the interval.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "optional_duration"
    )]
    pub start_interval: Option<Duration>,
}

/// The test of a health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthTest {
    /// None, even if the image has one.
    Disabled,
    /// A program and its arguments.
    Exec(Vec<String>),
    /// A line for the image's shell.
    Shell(String),
}

impl HealthTest {
    /// The Engine API's form: `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", line]`.
    pub fn to_engine(&self) -> Vec<String> {
        match self {
            Self::Disabled => vec!["NONE".to_owned()],
            Self::Exec(words) => std::iter::once("CMD".to_owned())
                .chain(words.clone())
                .collect(),
            Self::Shell(line) => vec!["CMD-SHELL".to_owned(), line.clone()],
        }
    }
}

impl Serialize for HealthTest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_engine().serialize(serializer)
    }
}

/// What is waited for before a dependent service starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Dependency {
    /// The state to be reached.
    pub condition: Condition,
    /// Whether the dependent service can't do without it.
    #[serde(skip_serializing_if = "is_true")]
    pub required: bool,
}

impl Default for Dependency {
    fn default() -> Self {
        Self {
            condition: Condition::default(),
            required: true,
        }
    }
}

/// A state of a service that others wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Its containers have been started.
    #[default]
    ServiceStarted,
    /// Their health checks pass.
    ServiceHealthy,
    /// They have exited with status 0.
    ServiceCompletedSuccessfully,
}
