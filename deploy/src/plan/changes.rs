//! What differs between what is there and what the file says. Pure: the same inputs give the same
//! changes, and nothing is touched.

use std::collections::{BTreeMap, BTreeSet};

use compose_file::Project;
use compose_file::model::{SecretMount, SecretName, ServiceName};
use engine::image::Need;
use engine::state::{Resource, State};

use super::inputs::Inputs;
use super::order::order;
use super::service::{self, ContainerAction, ServicePlan};
use crate::capacity;
use crate::diff::{self, Change};
use crate::origin::{self, Origin};
use crate::secrets;
use crate::secrets::file::consumers;
use crate::spec;

/// Everything that differs, in the order in which it is brought about.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Changes {
    /// Secrets to be generated.
    pub(crate) secrets: Vec<SecretName>,
    /// Those of them that are there and are made anew, and why.
    pub(crate) renewals: BTreeMap<SecretName, String>,
    /// Secrets that a service has to be told of before others read them, and which one.
    pub(crate) told: BTreeMap<SecretName, ServiceName>,
    /// Images to be built or pulled: image, a service that uses it, what and why.
    pub(crate) images: Vec<(String, ServiceName, Need)>,
    /// Networks to be made, made anew or removed.
    pub(crate) networks: Vec<NetworkAction>,
    /// Volumes to be made, by their key.
    pub(crate) volumes: Vec<String>,
    /// Containers of services that the file doesn't have (any more).
    pub(crate) orphans: Vec<Orphan>,
    /// Every service, dependencies first.
    pub(crate) services: Vec<ServicePlan>,
    /// What the user should know about things left as they are.
    pub(crate) notes: Vec<String>,
    /// Another file that brought up the stack that this changes.
    pub(crate) takes_over: Option<Origin>,
}

/// A container of a service that the file doesn't have.
#[derive(Debug, PartialEq)]
pub(crate) struct Orphan {
    /// On the engine.
    pub(crate) name: String,
    /// On the engine.
    pub(crate) id: String,
    /// Why it goes.
    pub(crate) reason: String,
}

/// What happens to a network.
#[derive(Debug, PartialEq)]
pub(crate) enum NetworkAction {
    /// The network with this key doesn't exist.
    Create {
        /// In the file.
        key: String,
    },
    /// It has other settings; its containers are removed first.
    Recreate {
        /// In the file.
        key: String,
        /// The settings that differ.
        changes: Vec<Change>,
    },
    /// It is ours and no longer in the file.
    Remove {
        /// On the engine.
        name: String,
    },
}

impl Changes {
    /// Whether nothing has to be done.
    pub(crate) fn is_empty(&self) -> bool {
        self.secrets.is_empty()
            && self.images.is_empty()
            && self.networks.is_empty()
            && self.volumes.is_empty()
            && self.orphans.is_empty()
            && self
                .services
                .iter()
                .flat_map(|it| &it.containers)
                .all(ContainerAction::is_keep)
    }

    /// Compares.
    pub(super) fn compute(inputs: Inputs<'_>) -> Self {
        let Inputs {
            project,
            state,
            only,
            ..
        } = inputs;
        let mut plan = Self::default();
        for (name, _) in secrets::used(project) {
            let lost = || secrets::lost(project, state, inputs.secrets).any(|it| it.name == name);
            if !inputs.secrets.exists(name) && !lost() {
                plan.secrets.push(name.clone());
            }
        }
        plan.networks(project, state, only.is_some());
        plan.volumes(project, state);
        if only.is_none() {
            plan.orphans = state
                .containers
                .iter()
                .filter(|it| !project.services.contains_key(it.service.as_str()))
                .map(|it| Orphan {
                    name: it.name.clone(),
                    id: it.id.clone(),
                    reason: origin::departure(project, it),
                })
                .collect();
            plan.notes.extend(origin::kept(&state.elsewhere));
            plan.notes.extend(origin::not_enabled(project, state));
        }
        plan.notes.extend(ineffective(project));
        plan.notes
            .extend(inputs.secrets.rotation_under_way(project));
        let going = plan.networks_to_go(project);
        // Who is on a network that goes needs its place on the new one, asked for or not.
        let wanted = |name: &ServiceName| {
            let mut containers = state.of_service(name);
            only.is_none_or(|only| only.contains(name))
                || containers.any(|it| service::is_on(it, &going))
        };
        let mut images_seen = BTreeSet::new();
        for name in order(project) {
            let Some(service) = project.services.get(&name) else {
                continue;
            };
            if !wanted(&name) {
                continue;
            }
            if service.deploy.replicas > 0
                && let Some(need) = inputs.images.get(&service.image).need
                && images_seen.insert(&service.image)
            {
                plan.images
                    .push((service.image.clone(), name.clone(), need));
            }
            let planned = service::plan(inputs, &plan.services, &going, &name, service);
            plan.services.push(planned);
        }
        for (name, rotate) in secrets::untold(project, state, inputs.secrets) {
            if plan.starts_readers(project, name, &rotate.service) {
                plan.told.insert(name.clone(), rotate.service.clone());
            }
        }
        let steady = plan.services.iter().filter(|it| !it.adds_containers());
        let sharing = capacity::sharing(project, steady.map(|it| &it.service));
        plan.notes.extend(sharing);
        if plan.changes_what_is_there() {
            plan.takes_over.clone_from(&state.origin);
            plan.notes.extend(origin::merged_otherwise(project, state));
            plan.notes.extend(origin::made_by_compose(project, state));
        }
        plan
    }

    /// The services of which there will be more containers than there are.
    pub(crate) fn growing(&self) -> impl Iterator<Item = &ServiceName> {
        let growing = self.services.iter().filter(|it| it.adds_containers());
        growing.map(|it| &it.service)
    }

    /// Whether there is a service beside the one that is told of the secret, which reads it and of
    /// which anything changes.
    fn starts_readers(&self, project: &Project, secret: &SecretName, told: &ServiceName) -> bool {
        let mut readers = consumers(project, secret).filter(|(it, _)| *it != told);
        readers.any(|(reader, _)| {
            let mut plans = self.services.iter().filter(|it| it.service == *reader);
            plans.any(|it| !it.containers.iter().all(ContainerAction::is_keep))
        })
    }

    /// Whether containers or networks that exist are changed, or joined by new ones.
    fn changes_what_is_there(&self) -> bool {
        let mut containers = self.services.iter().flat_map(|it| &it.containers);
        let network = |it: &NetworkAction| !matches!(it, NetworkAction::Create { .. });
        !containers.all(ContainerAction::is_keep) || self.networks.iter().any(network)
    }

    /// The networks that are removed, for ever or to be made anew.
    pub(super) fn networks_to_go(&self, project: &Project) -> BTreeSet<String> {
        let names = self.networks.iter().filter_map(|it| match it {
            NetworkAction::Create { .. } => None,
            NetworkAction::Recreate { key, .. } => {
                let network = project.networks.get(key.as_str())?;
                Some(network.name.clone())
            }
            NetworkAction::Remove { name } => Some(name.clone()),
        });
        names.collect()
    }

    fn networks(&mut self, project: &Project, state: &State, keep_unknown: bool) {
        for (key, network) in project
            .networks
            .iter()
            .filter(|(_, network)| !network.external)
        {
            let key = key.to_string();
            match find(&state.networks, &network.name) {
                None => self.networks.push(NetworkAction::Create { key }),
                Some(found) => {
                    let changes = changes(found, &spec::network(network));
                    if !changes.is_empty() {
                        self.networks.push(NetworkAction::Recreate { key, changes });
                    }
                }
            }
        }
        let in_file = |name: &str| project.networks.values().any(|it| it.name == name);
        let unknown = state
            .networks
            .iter()
            .filter(|it| !keep_unknown && !in_file(&it.name));
        self.networks
            .extend(unknown.map(|it| NetworkAction::Remove {
                name: it.name.clone(),
            }));
    }

    fn volumes(&mut self, project: &Project, state: &State) {
        for (key, volume) in project
            .volumes
            .iter()
            .filter(|(_, volume)| !volume.external)
        {
            if find(&state.volumes, &volume.name).is_none() {
                self.volumes.push(key.to_string());
            }
        }
        for volume in &state.volumes {
            if !project.volumes.values().any(|it| it.name == volume.name) {
                self.notes.push(format!(
                    "volume {} is not in the file any more; it is kept (`docker volume rm {}` removes it)",
                    volume.name, volume.name
                ));
            }
        }
    }
}

/// Settings that the engine has no way to honour.
fn ineffective(project: &Project) -> impl Iterator<Item = String> {
    project.services.iter().flat_map(|(name, service)| {
        let owned = |mount: &&SecretMount| {
            mount.uid.is_some() || mount.gid.is_some() || mount.mode.is_some()
        };
        service.secrets.iter().filter(owned).map(move |mount| {
            format!(
                "services.{name}.secrets: uid, gid and mode of {} have no effect; containers \
                 see the file as it is on this host",
                mount.source
            )
        })
    })
}

fn find<'a>(resources: &'a [Resource], name: &str) -> Option<&'a Resource> {
    resources.iter().find(|it| it.name == name)
}

/// How a network's or volume's recorded settings differ from the file's.
pub(crate) fn changes(found: &Resource, settings: &serde_json::Value) -> Vec<Change> {
    match &found.config {
        Some(recorded) => diff::changes(recorded, settings),
        None => vec![Change::new("labels", "unreadable", "as deploy writes them")],
    }
}
