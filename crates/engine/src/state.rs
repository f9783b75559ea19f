//! What is really there: this project's containers, networks and volumes as the
//! engine reports them, and everybody else's, so that nothing of theirs is touched.

pub(crate) mod container;
mod foreign;
mod recorded;

use std::collections::{BTreeSet, HashMap};
use std::mem;

use bollard::models::{ContainerSummary, Volume};
use bollard::query_parameters::ListVolumesOptions;
use compose_file::{Files, Project};
use serde_json::{Value, json};

pub use self::container::{Container, Health, Status};
pub use self::foreign::{Foreign, Published};
use crate::Engine;
use crate::concurrency;
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
    /// What other Compose files brought into the project; see [`State::set_aside`].
    pub elsewhere: Aside,
    /// Of services whose profiles aren't enabled; see [`State::leave_disabled`].
    pub disabled: Aside,
    /// Set by [`State::set_aside`].
    pub origin: Option<Origin>,
    /// Everything that isn't this project's.
    pub foreign: Foreign,
}

/// What belongs to the project and is left as it is.
#[derive(Debug, Default)]
pub struct Aside {
    /// Of services that the file at hand doesn't have, or doesn't have enabled.
    pub containers: Vec<Container>,
    /// The same.
    pub networks: Vec<Resource>,
    /// The same.
    pub volumes: Vec<Resource>,
}

/// A network or volume of the project.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resource {
    /// Its name on the engine.
    pub name: String,
    /// The settings it was created from; `None` when the label can't be read.
    pub config: Option<Value>,
    /// The Compose files that it was made from; `None`: an earlier `deploy` didn't write them
    /// down.
    pub files: Option<Files>,
    /// Docker Compose made it for this project: it is used, and never removed.
    pub by_compose: bool,
}

impl Aside {
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
        let (containers, networks, volumes) = tokio::try_join!(
            engine.list_containers(&[]),
            engine.list_networks(&[]),
            engine.docker().list_volumes(None::<ListVolumesOptions>),
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
            } else if owner.is_compose(project)
                && volume.labels.contains_key(labels::COMPOSE_VOLUME)
            {
                state.volumes.push(Resource::of_compose(volume));
            } else {
                state.foreign.volumes.insert(volume.name, owner);
            }
        }
        let inspected =
            concurrency::try_all(own.iter().map(|id| Container::inspect(engine, id))).await?;
        state.containers = inspected.into_iter().flatten().collect();
        state
            .containers
            .sort_by(|a, b| (&a.service, a.number).cmp(&(&b.service, b.number)));
        Ok(state)
    }

    /// What there is of services whose profiles aren't enabled moves to [`State::disabled`], where no plan
    /// sees it.
    pub fn leave_disabled(&mut self, project: &Project) {
        let disabled = &project.disabled;
        let network = |name: &str| disabled.networks.values().any(|it| it.name == name);
        let volume = |name: &str| disabled.volumes.values().any(|it| it.name == name);
        self.disabled = Aside {
            containers: self
                .containers
                .extract_if(.., |it| disabled.services.contains_key(&*it.service))
                .collect(),
            networks: self
                .networks
                .extract_if(.., |it| network(&it.name))
                .collect(),
            volumes: self.volumes.extract_if(.., |it| volume(&it.name)).collect(),
        };
    }

    /// Finds out what other Compose files have to do with the project. What they brought into
    /// it and `project`'s files don't have moves to [`State::elsewhere`], where no plan and
    /// no `down` sees it, unless `reach` says otherwise. What is left and came from another
    /// file is the stack that [`State::origin`] names.
    pub fn set_aside(&mut self, engine: &Engine, project: &Project, reach: Reach) {
        self.origin = origin::of_stack(engine, project, &self.containers, reach);
        if reach.remove_orphans {
            return;
        }
        let from_here = |files: &Option<Files>| {
            let files = files.as_ref();
            files.is_some_and(|it| origin::are_among(it, &project.files))
        };
        let has_network = |name: &str| project.network_named(name).is_some();
        let has_volume = |name: &str| project.volumes.values().any(|it| it.name == name);
        let (kept, elsewhere) = mem::take(&mut self.containers).into_iter().partition(|it| {
            project.services.contains_key(it.service.as_str()) || from_here(&it.files)
        });
        (self.containers, self.elsewhere.containers) = (kept, elsewhere);
        let (kept, elsewhere) = mem::take(&mut self.networks)
            .into_iter()
            .partition(|it| has_network(&it.name) || from_here(&it.files));
        (self.networks, self.elsewhere.networks) = (kept, elsewhere);
        let (kept, elsewhere) = mem::take(&mut self.volumes)
            .into_iter()
            .partition(|it| has_volume(&it.name) || from_here(&it.files));
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

/// Whose each container is. The images of those that name the project are looked at, since
/// what a container bears may be its image's.
pub async fn with_owners(
    engine: &Engine,
    project: &str,
    containers: Vec<ContainerSummary>,
) -> Result<Vec<(ContainerSummary, Owner)>> {
    let names_project = |labels: &Labels| {
        let keys = [labels::PROJECT, labels::COMPOSE_PROJECT, labels::STACK];
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
        .map(|id| async move { Ok((id.clone(), image::labels_of(engine, id).await?)) });
    let images: HashMap<String, Labels> = concurrency::try_all(found).await?.into_iter().collect();
    let none = Labels::new();
    let owner = |summary: &ContainerSummary| {
        let inherited = summary.image_id.as_ref().and_then(|id| images.get(id));
        let labels = summary.labels.as_ref().unwrap_or(&none);
        Owner::of_container(labels, inherited.unwrap_or(&none))
    };
    let pairs = containers.into_iter().map(|summary| {
        let owner = owner(&summary);
        (summary, owner)
    });
    Ok(pairs.collect())
}

impl Resource {
    fn of_deploy(name: String, labels: &Labels) -> Self {
        Self {
            name,
            config: recorded::settings(labels),
            files: recorded::files(labels),
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
            files: None,
            by_compose: true,
        }
    }
}
