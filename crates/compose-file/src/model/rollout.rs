//! The `deploy` section: replicas, how they are replaced, and what they may use.

use std::time::Duration;

use serde::Serialize;

use super::Cpus;
use super::values::{duration, optional_string};

/// `deploy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deploy {
    /// How many containers run; `scale` is folded in. May be 0.
    pub replicas: u32,
    /// How they are replaced.
    pub update_config: UpdateConfig,
    /// `mem_limit`, `mem_reservation`, `cpus` and `pids_limit` are folded in.
    #[serde(skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
}

/// `deploy.update_config`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UpdateConfig {
    /// How many containers are replaced at once; 0 means all.
    pub parallelism: u32,
    /// Between two batches.
    #[serde(serialize_with = "duration")]
    pub delay: Duration,
    /// Which comes first, the new container or the end of the old one.
    pub order: UpdateOrder,
    /// What follows a failed replacement.
    pub failure_action: FailureAction,
    /// How long a new container, ready already, is watched for failure before the old one goes.
    #[serde(serialize_with = "duration")]
    pub monitor: Duration,
}

/// The Compose Deploy specification's defaults, except that a failure is rolled back:
/// nobody is there to look at a paused one at night.
impl Default for UpdateConfig {
    fn default() -> Self {
        Self {
            parallelism: 1,
            delay: Duration::ZERO,
            order: UpdateOrder::default(),
            failure_action: FailureAction::default(),
            monitor: Duration::ZERO,
        }
    }
}

/// `update_config.order`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpdateOrder {
    /// The old container goes before the new one comes.
    #[default]
    StopFirst,
    /// The new container is ready before the old one goes.
    StartFirst,
}

/// `update_config.failure_action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureAction {
    /// Go on with the other containers.
    Continue,
    /// Go back to what ran before.
    #[default]
    Rollback,
    /// Stop here.
    Pause,
}

/// `deploy.resources`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Resources {
    /// What a container may use at most.
    #[serde(skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// What is set aside for a container.
    #[serde(skip_serializing_if = "Reservations::is_empty")]
    pub reservations: Reservations,
}

impl Resources {
    fn is_empty(&self) -> bool {
        self.limits.is_empty() && self.reservations.is_empty()
    }
}

/// `deploy.resources.limits`, each for one container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Limits {
    /// CPU time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Cpus>,
    /// In bytes.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "optional_string"
    )]
    pub memory: Option<u64>,
    /// Processes and threads; −1 for unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<i64>,
}

impl Limits {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// `deploy.resources.reservations`, each for one container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Reservations {
    /// In bytes; a soft limit on one engine (the Engine API's `MemoryReservation`).
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "optional_string"
    )]
    pub memory: Option<u64>,
}

impl Reservations {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
