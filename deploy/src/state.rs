//! What is really there: this project's containers, networks and volumes as the
//! engine reports them, and everybody else's, so that nothing of theirs is touched.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::SystemTime;

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum as EngineStatus, ContainerSummary,
    HealthStatusEnum, Volume,
};
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptions, ListVolumesOptions,
};
use futures_util::future::try_join_all;
use serde::Serialize;
use serde_json::{Value, json};

use crate::compose::Project;
use crate::engine::Engine;
use crate::error::{EngineContext, Result};
use crate::image;
use crate::labels;
use crate::origin::{self, Origin, Reach};
use crate::owner::{Labels, Owner};

/// Everything on the engine, ours and foreign.
#[derive(Debug, Default)]
pub struct State {
    /// This project's containers, by service and number.
    pub containers: Vec<Container>,
    /// This project's networks.
    pub networks: Vec<Resource>,
    /// This project's volumes, and those that Docker Compose made for it.
    pub volumes: Vec<Resource>,
    /// What another Compose file brought into the project; see [`State::set_aside`].
    pub elsewhere: Elsewhere,
    /// Set by [`State::set_aside`].
    pub origin: Option<Origin>,
    /// Everything that isn't this project's.
    pub foreign: Foreign,
}

/// What belongs to the project but came from another Compose file, which isn't at hand.
#[derive(Debug, Default)]
pub struct Elsewhere {
    /// Of services that the file at hand doesn't have.
    pub containers: Vec<Container>,
    /// That the file at hand doesn't have.
    pub networks: Vec<Resource>,
    /// That the file at hand doesn't have.
    pub volumes: Vec<Resource>,
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
    /// When it was created.
    pub created: Option<SystemTime>,
    /// The Compose file that it was made from, absolute.
    pub file: Option<PathBuf>,
    /// The settings it was created from; `None` when the label can't be read.
    pub config: Option<Value>,
    /// Endpoints: network name → names it answers to there.
    pub endpoints: BTreeMap<String, Vec<String>>,
    /// `HostConfig.NetworkMode`, e.g. `container:<id>`.
    pub network_mode: String,
    /// Published ports, `0.0.0.0:8080->80/tcp`.
    pub ports: Vec<String>,
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
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resource {
    /// Its name on the engine.
    pub name: String,
    /// The settings it was created from; `None` when the label can't be read.
    pub config: Option<Value>,
    /// The Compose file that it was made from, absolute; `None`: an earlier `deploy` didn't
    /// write it down.
    pub file: Option<PathBuf>,
    /// Docker Compose made it for this project: it is used, and never removed.
    pub by_compose: bool,
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

impl Elsewhere {
    /// The names of its containers that are on a network.
    pub fn users_of<'a>(&'a self, network: &'a str) -> impl Iterator<Item = &'a str> {
        let on_it = self
            .containers
            .iter()
            .filter(move |it| it.endpoints.contains_key(network));
        on_it.map(|it| it.name.as_str())
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
        let mut own = Vec::new();
        for (summary, owner) in with_owners(engine, project, containers).await? {
            if owner.is_deploy(project) {
                own.extend(summary.id);
            } else {
                state.foreign.add_container(&summary, owner);
            }
        }
        for network in networks {
            let Some(name) = network.name else { continue };
            let labels = network.labels.unwrap_or_default();
            let owner = Owner::of_resource(&labels);
            if owner.is_deploy(project) {
                state.networks.push(Resource::of_deploy(name, &labels));
            } else {
                state.foreign.networks.insert(name, owner);
            }
        }
        for volume in volumes.volumes.unwrap_or_default() {
            let owner = Owner::of_resource(&volume.labels);
            if owner.is_deploy(project) {
                let resource = Resource::of_deploy(volume.name, &volume.labels);
                state.volumes.push(resource);
            } else if owner.is_compose(project) {
                state.volumes.push(Resource::of_compose(volume));
            } else {
                state.foreign.volumes.insert(volume.name, owner);
            }
        }
        let inspected = try_join_all(own.iter().map(|id| inspect(engine, id))).await?;
        state.containers = inspected.into_iter().flatten().collect();
        state
            .containers
            .sort_by(|a, b| (&a.service, a.number).cmp(&(&b.service, b.number)));
        Ok(state)
    }

    /// Finds out what other Compose files have to do with the project. What they brought into
    /// it and `project`'s file doesn't have moves to [`State::elsewhere`], where no plan and
    /// no `down` sees it, unless `reach` says otherwise. What is left and came from another
    /// file is the stack that [`State::origin`] names.
    pub fn set_aside(&mut self, engine: &Engine, project: &Project, reach: Reach) {
        self.origin = origin::of_stack(engine, project, self, reach);
        if reach.remove_orphans {
            return;
        }
        let from_here = |file: &Option<PathBuf>| {
            let file = file.as_deref();
            file.is_some_and(|it| origin::same(it, &project.file))
        };
        let has_network = |name: &str| project.networks.values().any(|it| it.name == name);
        let has_volume = |name: &str| project.volumes.values().any(|it| it.name == name);
        let (kept, elsewhere) = mem::take(&mut self.containers).into_iter().partition(|it| {
            project.services.contains_key(it.service.as_str()) || from_here(&it.file)
        });
        (self.containers, self.elsewhere.containers) = (kept, elsewhere);
        let (kept, elsewhere) = mem::take(&mut self.networks)
            .into_iter()
            .partition(|it| has_network(&it.name) || from_here(&it.file));
        (self.networks, self.elsewhere.networks) = (kept, elsewhere);
        let (kept, elsewhere) = mem::take(&mut self.volumes)
            .into_iter()
            .partition(|it| has_volume(&it.name) || from_here(&it.file));
        (self.volumes, self.elsewhere.volumes) = (kept, elsewhere);
    }

    /// The containers that Docker Compose runs as services of this project, by name.
    pub fn run_by_compose<'a>(
        &'a self,
        project: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Owner)> {
        let containers = self.foreign.containers.iter();
        containers
            .filter(move |(_, owner)| owner.is_compose(project))
            .map(|(name, owner)| (name.as_str(), owner))
    }

    /// The containers of one service, by number.
    pub fn of_service<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Container> {
        self.containers
            .iter()
            .filter(move |container| container.service == service)
    }
}

impl Foreign {
    fn add_container(&mut self, summary: &ContainerSummary, owner: Owner) {
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

/// Whose each container is. The images of those that name the project are looked at, since
/// what a container bears may be its image's.
pub async fn with_owners(
    engine: &Engine,
    project: &str,
    containers: Vec<ContainerSummary>,
) -> Result<Vec<(ContainerSummary, Owner)>> {
    let names_project = |labels: &Labels| {
        let keys = [labels::PROJECT, labels::COMPOSE_PROJECT];
        keys.iter()
            .any(|key| labels.get(*key).is_some_and(|it| it == project))
    };
    let ids: BTreeSet<&String> = containers
        .iter()
        .filter(|it| it.labels.as_ref().is_some_and(names_project))
        .filter_map(|it| it.image_id.as_ref())
        .collect();
    let found = ids
        .into_iter()
        .map(|id| async move { Ok((id.clone(), image_labels(engine, id).await?)) });
    let images: HashMap<String, Labels> = try_join_all(found).await?.into_iter().collect();
    let none = Labels::new();
    let owner = |summary: &ContainerSummary| {
        let inherited = summary.image_id.as_ref().and_then(|id| images.get(id));
        let labels = summary.labels.as_ref().unwrap_or(&none);
        Owner::of_container(labels, inherited.unwrap_or(&none))
    };
    let owned = containers.into_iter().map(|summary| {
        let owner = owner(&summary);
        (summary, owner)
    });
    Ok(owned.collect())
}

/// None where the image is gone.
async fn image_labels(engine: &Engine, id: &str) -> Result<Labels> {
    let image = image::inspect(engine, id).await?;
    let labels = image.and_then(|it| it.config).and_then(|it| it.labels);
    Ok(labels.unwrap_or_default())
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
    /// The project's container of this name; `None`: there is none, or it is somebody else's.
    pub async fn find(engine: &Engine, project: &str, name: &str) -> Result<Option<Self>> {
        let inspected = match engine.docker().inspect_container(name, None).await {
            Ok(inspected) => inspected,
            Err(bollard::errors::Error::DockerResponseServerError {
                status_code: 404, ..
            }) => return Ok(None),
            Err(err) => return Err(err).doing(|| format!("inspect container {name}")),
        };
        let inherited = match &inspected.image {
            Some(id) => image_labels(engine, id).await?,
            None => Labels::new(),
        };
        let labels = inspected.config.as_ref().and_then(|it| it.labels.as_ref());
        let owner = labels.map(|labels| Owner::of_container(labels, &inherited));
        let ours = owner.is_some_and(|it| it.is_deploy(project));
        Ok(ours.then(|| Self::from_inspect(inspected)))
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
            file: file(&labels),
            started_at: state.started_at.filter(|at| !at.starts_with("0001")),
            config: recorded(&labels),
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
            ports,
            published,
        }
    }
}

impl Resource {
    fn of_deploy(name: String, labels: &Labels) -> Self {
        Self {
            name,
            config: recorded(labels),
            file: file(labels),
            by_compose: false,
        }
    }

    /// A volume of Docker Compose, whose settings are recorded nowhere but in itself.
    fn of_compose(volume: Volume) -> Self {
        let mut config = json!({"name": volume.name, "driver": volume.driver});
        let mut labels = volume.labels;
        labels.retain(|key, _| !key.starts_with(labels::COMPOSE_PREFIX));
        for (key, values) in [("driver_opts", volume.options), ("labels", labels)] {
            if !values.is_empty() {
                config[key] = json!(values);
            }
        }
        Self {
            name: volume.name,
            config: Some(config),
            file: None,
            by_compose: true,
        }
    }
}

/// The Compose file that an object was made from.
fn file(labels: &Labels) -> Option<PathBuf> {
    let file = labels
        .get(labels::FILE)
        .or(labels.get(labels::COMPOSE_FILES))?;
    Some(PathBuf::from(file))
}

fn recorded(labels: &Labels) -> Option<Value> {
    serde_json::from_str(labels.get(labels::CONFIG)?).ok()
}
