//! A container as the engine reports it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum as EngineStatus, HealthStatusEnum,
};
use compose_file::Files;
use serde::Serialize;
use serde_json::Value;

use super::recorded;
use crate::Engine;
use crate::error::{EngineContext, Result, is_missing};
use crate::image;
use crate::labels;
use crate::owner::{Labels, Owner};

/// A container of the project.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// The engine's id.
    pub id: String,
    /// Without the leading slash.
    pub name: String,
    /// Service it was created for.
    pub service: String,
    /// Number within the service.
    pub number: u32,
    /// The image by the name it was created from.
    pub image: String,
    /// What its process does.
    pub status: Status,
    /// `None` without a health check.
    pub health: Option<Health>,
    /// Of the last run, when it ended.
    pub exit_code: Option<i64>,
    /// When the current run started, RFC 3339.
    pub started_at: Option<String>,
    /// When it was created.
    pub created: Option<SystemTime>,
    /// The Compose files that it was made from.
    pub files: Option<Files>,
    /// The settings it was created from; `None` when the label can't be read.
    pub config: Option<Value>,
    /// Fingerprints of the values of the generated secrets that it was made with.
    pub secrets: BTreeMap<String, Vec<String>>,
    /// The replica set that it was made a member of.
    pub replica_set: Option<String>,
    /// Endpoints: network name → names it answers to there.
    pub endpoints: BTreeMap<String, Vec<String>>,
    /// `HostConfig.NetworkMode`, e.g. `container:<id>`.
    pub network_mode: String,
    /// Published ports, `0.0.0.0:8080->80/tcp`.
    pub ports: Vec<String>,
    /// Whether it has data in a volume without a name, which goes with the container.
    pub anonymous_volumes: bool,
    /// The host's side of them: port and protocol.
    pub published: BTreeSet<(u16, String)>,
}

/// The state of a container's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Never started.
    Created,
    /// Running.
    Running,
    /// Frozen.
    Paused,
    /// Ended, to be started again by its restart policy.
    Restarting,
    /// Ended.
    Exited,
    /// Being removed, or the removal failed half way.
    Dead,
}

/// The verdict of a container's health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// No verdict yet.
    Starting,
    /// Passing.
    Healthy,
    /// Failing.
    Unhealthy,
}

impl Container {
    /// `None` where it is gone since it was listed.
    pub async fn inspect(engine: &Engine, id: &str) -> Result<Option<Self>> {
        Ok(inspect(engine, id).await?.map(Self::from_inspect))
    }

    /// Whether the name is taken.
    pub async fn exists(engine: &Engine, name: &str) -> Result<bool> {
        Ok(inspect(engine, name).await?.is_some())
    }

    /// The project's container of this name; `None`: there is none, or it is somebody else's.
    pub async fn find(engine: &Engine, project: &str, name: &str) -> Result<Option<Self>> {
        let Some(inspected) = inspect(engine, name).await? else {
            return Ok(None);
        };
        let inherited = match &inspected.image {
            Some(id) => image::labels_of(engine, id).await?,
            None => Labels::new(),
        };
        let labels = inspected.config.as_ref().and_then(|it| it.labels.as_ref());
        let owner = labels.map(|labels| Owner::of_container(labels, &inherited));
        let ours = owner.is_some_and(|it| it.is_deploy(project));
        Ok(ours.then(|| Self::from_inspect(inspected)))
    }

    /// Whether it runs and its health check passes.
    pub fn is_healthy(&self) -> bool {
        self.status == Status::Running && self.health == Some(Health::Healthy)
    }

    fn from_inspect(inspected: ContainerInspectResponse) -> Self {
        let config = inspected.config.unwrap_or_default();
        let labels = config.labels.unwrap_or_default();
        let state = inspected.state.unwrap_or_default();
        let settings = inspected.network_settings.unwrap_or_default();
        let status = match state.status {
            Some(EngineStatus::RUNNING) => Status::Running,
            Some(EngineStatus::PAUSED) => Status::Paused,
            Some(EngineStatus::RESTARTING) => Status::Restarting,
            Some(EngineStatus::EXITED | EngineStatus::STOPPING) => Status::Exited,
            Some(EngineStatus::DEAD | EngineStatus::REMOVING) => Status::Dead,
            Some(EngineStatus::CREATED | EngineStatus::EMPTY) | None => Status::Created,
        };
        let mut ports = Vec::new();
        let mut published = BTreeSet::new();
        for (target, bindings) in settings.ports.unwrap_or_default() {
            let protocol = target
                .split_once('/')
                .map_or("tcp", |(_, protocol)| protocol);
            for binding in bindings.unwrap_or_default() {
                let ip = binding.host_ip.unwrap_or_default();
                let ip = if ip.contains(':') {
                    format!("[{ip}]")
                } else {
                    ip
                };
                let port = binding.host_port.unwrap_or_default();
                ports.push(format!("{ip}:{port}->{target}"));
                published.extend(port.parse().ok().map(|port| (port, protocol.to_owned())));
            }
        }
        ports.sort();
        Self {
            id: inspected.id.unwrap_or_default(),
            name: inspected
                .name
                .unwrap_or_default()
                .trim_start_matches('/')
                .to_owned(),
            service: labels.get(labels::RESOURCE).cloned().unwrap_or_default(),
            number: labels
                .get(labels::NUMBER)
                .and_then(|n| n.parse().ok())
                .unwrap_or(0),
            image: config.image.unwrap_or_default(),
            status,
            health: state.health.and_then(|health| match health.status {
                Some(HealthStatusEnum::STARTING) => Some(Health::Starting),
                Some(HealthStatusEnum::HEALTHY) => Some(Health::Healthy),
                Some(HealthStatusEnum::UNHEALTHY) => Some(Health::Unhealthy),
                _ => None,
            }),
            exit_code: state.exit_code.filter(|_| status == Status::Exited),
            created: inspected
                .created
                .and_then(|at| humantime::parse_rfc3339(&at).ok()),
            files: recorded::files(&labels),
            started_at: state.started_at.filter(|at| !at.starts_with("0001")),
            config: recorded::settings(&labels),
            secrets: labels
                .get(labels::SECRETS)
                .and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default(),
            replica_set: labels.get(labels::REPLICA_SET).cloned(),
            endpoints: settings
                .networks
                .unwrap_or_default()
                .into_iter()
                .map(|(name, endpoint)| (name, endpoint.aliases.unwrap_or_default()))
                .collect(),
            network_mode: inspected
                .host_config
                .and_then(|host| host.network_mode)
                .unwrap_or_default(),
            anonymous_volumes: inspected
                .mounts
                .iter()
                .flatten()
                .filter_map(|mount| mount.name.as_deref())
                .any(is_anonymous),
            ports,
            published,
        }
    }
}

/// The engine names a volume that nobody named by 32 random bytes in hexadecimal.
fn is_anonymous(volume: &str) -> bool {
    volume.len() == 64 && volume.bytes().all(|byte| byte.is_ascii_hexdigit())
}

async fn inspect(engine: &Engine, id: &str) -> Result<Option<ContainerInspectResponse>> {
    match engine.docker().inspect_container(id, None).await {
        Ok(inspected) => Ok(Some(inspected)),
        Err(err) if is_missing(&err) => Ok(None),
        Err(err) => Err(err).doing(|| format!("inspect container {id}")),
    }
}
