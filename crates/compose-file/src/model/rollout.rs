//! The `deploy` section: replicas, how they are replaced, and what they may use.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::values::{duration, optional_string};
use super::{Cpus, EndpointMode, Mode, Placement, Ratio, TaskRestart};

/// `deploy`. What is said to be of a Swarm is only set in a file for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deploy {
    /// Of a Swarm.
    pub mode: Mode,
    /// How many containers run; `scale` is folded in. May be 0. Without meaning for a global service.
    pub replicas: u32,
    /// Of a Swarm; `None` is the engine's choice (`vip`).
    pub endpoint_mode: Option<EndpointMode>,
    /// Of a Swarm.
    pub placement: Placement,
    /// How they are replaced.
    pub update_config: UpdateConfig,
    /// Of a Swarm: how a failed update is taken back.
    pub rollback_config: Option<UpdateConfig>,
    /// Of a Swarm; `None`: whenever a task ends.
    pub restart_policy: Option<TaskRestart>,
    /// Of a Swarm: labels of the service itself, not of its containers.
    pub labels: BTreeMap<String, String>,
    /// `mem_limit`, `mem_reservation`, `cpus` and `pids_limit` are folded in.
    pub resources: Resources,
}

impl Serialize for Deploy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        // Docker's own reader refuses a number together with the mode.
        match self.mode {
            Mode::Global => map.serialize_entry("mode", &self.mode)?,
            Mode::Replicated => map.serialize_entry("replicas", &self.replicas)?,
        }
        if let Some(mode) = &self.endpoint_mode {
            map.serialize_entry("endpoint_mode", mode)?;
        }
        if self.placement != Placement::default() {
            map.serialize_entry("placement", &self.placement)?;
        }
        map.serialize_entry("update_config", &self.update_config)?;
        if let Some(config) = &self.rollback_config {
            map.serialize_entry("rollback_config", config)?;
        }
        if let Some(policy) = &self.restart_policy {
            map.serialize_entry("restart_policy", policy)?;
        }
        if !self.labels.is_empty() {
            map.serialize_entry("labels", &self.labels)?;
        }
        if !self.resources.is_empty() {
            map.serialize_entry("resources", &self.resources)?;
        }
        map.end()
    }
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
    /// Of a Swarm: which part of the containers may fail before `failure_action` follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_failure_ratio: Option<Ratio>,
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
            max_failure_ratio: None,
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
    /// CPU time, which only a Swarm can set aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Cpus>,
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
