//! What is really there: this project's containers, networks and volumes as the
//! engine reports them, and everybody else's, so that nothing of theirs is touched.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum as EngineStatus, ContainerSummary,
    HealthStatusEnum,
};
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptions, ListVolumesOptions,
};
use serde::Serialize;
use serde_json::Value;

use crate::concurrency;
use crate::engine::Engine;
use crate::error::{EngineContext, Result};
use crate::labels;

/// Everything on the engine, ours and foreign.
#[derive(Debug, Default)]
pub struct State {
    /// This project's containers, by service and number.
    pub containers: Vec<Container>,
    /// This project's networks.
    pub networks: Vec<Resource>,
    /// This project's volumes.
    pub volumes: Vec<Resource>,
    /// Everything that bears no label of this project.
    pub foreign: Foreign,
}

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
    /// The settings it was created from; `None` when the label can't be read.
    pub config: Option<Value>,
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

/// A network or volume of the project.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// Its name on the engine.
    pub name: String,
    /// The settings it was created from; `None` when the label can't be read.
    pub config: Option<Value>,
}

/// What belongs to others.
#[derive(Debug, Default)]
pub struct Foreign {
    /// Containers by name.
    pub containers: BTreeMap<String, Owner>,
    /// Networks by name.
    pub networks: BTreeMap<String, Owner>,
    /// Volumes by name.
    pub volumes: BTreeMap<String, Owner>,
    /// Host ports that foreign containers publish.
    pub ports: Vec<Published>,
}

/// A host port that a foreign container publishes.
#[derive(Debug, Clone)]
pub struct Published {
    /// The host's address it listens on; `None`: every address.
    pub ip: Option<IpAddr>,
    /// The host's port.
    pub port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// The container's name.
    pub container: String,
}

impl Published {
    /// Whether publishing `port` on `ip` as well would fail.
    pub fn clashes(&self, ip: Option<IpAddr>, port: u16, protocol: &str) -> bool {
        let ip = ip.filter(|ip| !ip.is_unspecified());
        let same_address = self.ip.is_none() || ip.is_none() || self.ip == ip;
        self.port == port && self.protocol == protocol && same_address
    }
}

/// Whose a foreign object is, as far as its labels tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner(String);

impl Owner {
    fn of(labels: Option<&HashMap<String, String>>) -> Self {
        let label = |key: &str| labels.and_then(|labels| labels.get(key));
        Self(if let Some(project) = label(labels::PROJECT) {
            format!("deploy project {project:?}")
        } else if let Some(project) = label(labels::COMPOSE_PROJECT) {
            format!("Docker Compose project {project:?}")
        } else if let Some(stack) = label("com.docker.stack.namespace") {
            format!("Docker stack {stack:?}")
        } else {
            "unknown (it has no label that says)".to_owned()
        })
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl State {
    /// Asks the engine for everything, sorted into ours and not.
    pub async fn observe(engine: &Engine, project: &str) -> Result<Self> {
        let docker = engine.docker();
        let all = ListContainersOptionsBuilder::new().all(true).build();
        let (containers, networks, volumes) = tokio::try_join!(
            docker.list_containers(Some(all)),
            docker.list_networks(None::<ListNetworksOptions>),
            docker.list_volumes(None::<ListVolumesOptions>),
        )
        .doing(|| "list what is on the engine".into())?;

        let mut state = Self::default();
        let ours = |labels: Option<&HashMap<String, String>>| {
            labels
                .and_then(|labels| labels.get(labels::PROJECT))
                .is_some_and(|it| it == project)
        };
        let mut own = Vec::new();
        for summary in containers {
            if ours(summary.labels.as_ref()) {
                own.extend(summary.id);
            } else {
                state.foreign.add_container(&summary);
            }
        }
        for network in networks {
            let Some(name) = network.name else { continue };
            if ours(network.labels.as_ref()) {
                let config = recorded(network.labels.as_ref());
                state.networks.push(Resource { name, config });
            } else {
                state
                    .foreign
                    .networks
                    .insert(name, Owner::of(network.labels.as_ref()));
            }
        }
        for volume in volumes.volumes.unwrap_or_default() {
            if ours(Some(&volume.labels)) {
                let config = recorded(Some(&volume.labels));
                state.volumes.push(Resource {
                    name: volume.name,
                    config,
                });
            } else {
                state
                    .foreign
                    .volumes
                    .insert(volume.name, Owner::of(Some(&volume.labels)));
            }
        }
        let inspected = concurrency::try_all(own.iter().map(|id| inspect(engine, id))).await?;
        state.containers = inspected.into_iter().flatten().collect();
        state
            .containers
            .sort_by(|a, b| (&a.service, a.number).cmp(&(&b.service, b.number)));
        Ok(state)
    }

    /// The containers of one service, by number.
    pub fn of_service<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Container> {
        self.containers
            .iter()
            .filter(move |container| container.service == service)
    }
}

impl Foreign {
    fn add_container(&mut self, summary: &ContainerSummary) {
        let owner = Owner::of(summary.labels.as_ref());
        let name = summary
            .names
            .iter()
            .flatten()
            .next()
            .map_or_else(String::new, |name| name.trim_start_matches('/').to_owned());
        for port in summary.ports.iter().flatten() {
            if let Some(public) = port.public_port {
                let protocol = port
                    .typ
                    .map_or_else(|| "tcp".to_owned(), |typ| typ.to_string());
                let ip = port.ip.as_ref().and_then(|ip| ip.parse::<IpAddr>().ok());
                self.ports.push(Published {
                    ip: ip.filter(|ip| !ip.is_unspecified()),
                    port: public,
                    protocol,
                    container: name.clone(),
                });
            }
        }
        self.containers.insert(name, owner);
    }
}

/// `None` when the container disappeared between the listing and now.
async fn inspect(engine: &Engine, id: &str) -> Result<Option<Container>> {
    match engine.docker().inspect_container(id, None).await {
        Ok(inspected) => Ok(Some(Container::from_inspect(inspected))),
        Err(bollard::errors::Error::DockerResponseServerError {
            status_code: 404, ..
        }) => Ok(None),
        Err(err) => Err(err).doing(|| format!("inspect container {id}")),
    }
}

impl Container {
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
            started_at: state.started_at.filter(|at| !at.starts_with("0001")),
            config: recorded(Some(&labels)),
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

fn recorded(labels: Option<&HashMap<String, String>>) -> Option<Value> {
    serde_json::from_str(labels?.get(labels::CONFIG)?).ok()
}
