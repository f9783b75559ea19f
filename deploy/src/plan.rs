//! What has to be done to get from what is there to what the file says. Pure: the
//! same inputs give the same plan, and nothing is touched.

mod renewal;
mod restart;

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::capacity;
use crate::compose::Project;
use crate::compose::model::{
    Condition, NetworkMode, RestartPolicy, SecretMount, SecretName, Service, ServiceName,
    UpdateOrder,
};
use crate::diff::{self, Change};
use crate::image::{Images, Need};
use crate::origin::{self, Origin};
use crate::secrets::{self, Secrets};
use crate::spec;
use crate::state::{Container, Health, Resource, State, Status};

pub use renewal::Cause;

/// What a plan is computed from.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The file.
    pub project: &'a Project,
    /// What is on the engine.
    pub state: &'a State,
    /// What is known about the images.
    pub images: &'a Images,
    /// The secrets that exist.
    pub secrets: &'a Secrets,
    /// Only these services, and nothing that isn't theirs (`scale`); `None`: everything.
    pub only: Option<&'a [ServiceName]>,
    /// Containers are replaced even if nothing about them has changed.
    pub force_recreate: bool,
}

/// Everything to be done, in the order in which it is.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// Secrets to be generated.
    pub secrets: Vec<SecretName>,
    /// Images to be built or pulled: image, a service that uses it, what and why.
    pub images: Vec<(String, ServiceName, Need)>,
    /// Networks to be made, made anew or removed.
    pub networks: Vec<NetworkAction>,
    /// Volumes to be made, by their key.
    pub volumes: Vec<String>,
    /// Containers of services that the file doesn't have (any more).
    pub orphans: Vec<Orphan>,
    /// Every service, dependencies first.
    pub services: Vec<ServicePlan>,
    /// What the user should know about things left as they are.
    pub notes: Vec<String>,
    /// Another file that brought up the stack that this changes.
    pub takes_over: Option<Origin>,
}

/// A container of a service that the file doesn't have.
#[derive(Debug, PartialEq)]
pub struct Orphan {
    /// On the engine.
    pub name: String,
    /// On the engine.
    pub id: String,
    /// Why it goes.
    pub reason: String,
}

/// What happens to a network.
#[derive(Debug, PartialEq)]
pub enum NetworkAction {
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

/// What happens to a service's containers.
#[derive(Debug, PartialEq)]
pub struct ServicePlan {
    /// Which service.
    pub service: ServiceName,
    /// How changed containers are replaced.
    pub order: UpdateOrder,
    /// In order; removals last, so that what stays is ready before anything goes.
    pub containers: Vec<ContainerAction>,
}

/// What happens to one container.
#[derive(Debug, PartialEq)]
pub struct ContainerAction {
    /// Its number within the service.
    pub number: u32,
    /// What is done.
    pub step: Step,
}

/// A step for one container. `id` is that of the container that is there.
#[derive(Debug, PartialEq)]
#[expect(missing_docs, reason = "the variants' docs say it")]
pub enum Step {
    /// It is as it should be.
    Keep { id: String },
    /// It is right but doesn't run.
    Start { id: String, reason: String },
    /// It is missing.
    Create,
    /// It was made from other settings.
    Recreate { id: String, changes: Vec<Change> },
    /// It was made from these settings, and is replaced by another one.
    Renew { id: String, cause: Cause },
    /// It is stopped and started again, with whatever is in it.
    Restart { id: String, cause: Cause },
    /// There is one too many.
    Remove { id: String, reason: &'static str },
}

impl Plan {
    /// Whether nothing has to be done.
    pub fn is_empty(&self) -> bool {
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

    /// Computes the plan.
    pub fn compute(inputs: Inputs<'_>) -> Self {
        let Inputs {
            project,
            state,
            only,
            ..
        } = inputs;
        let wanted = |name: &ServiceName| only.is_none_or(|only| only.contains(name));
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
        }
        plan.notes.extend(ineffective(project));
        plan.notes
            .extend(inputs.secrets.rotation_under_way(project));
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
            let service_plan = plan.service(inputs, &name, service);
            plan.services.push(service_plan);
        }
        plan.notes.extend(capacity::sharing(project, &plan));
        if plan.changes_what_is_there() {
            plan.takes_over.clone_from(&state.origin);
            plan.notes.extend(origin::made_by_compose(project, state));
        }
        plan
    }

    /// Whether there will be more containers than there are.
    pub fn adds_containers(&self) -> bool {
        self.services.iter().any(ServicePlan::adds_containers)
    }

    /// Whether containers or networks that exist are changed, or joined by new ones.
    fn changes_what_is_there(&self) -> bool {
        let mut containers = self.services.iter().flat_map(|it| &it.containers);
        let network = |it: &NetworkAction| !matches!(it, NetworkAction::Create { .. });
        !containers.all(ContainerAction::is_keep) || self.networks.iter().any(network)
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

    fn service(&self, inputs: Inputs<'_>, name: &ServiceName, service: &Service) -> ServicePlan {
        let mut existing: Vec<(&Container, Vec<Change>)> = inputs
            .state
            .of_service(name)
            .map(|container| (container, self.staleness(inputs, name, service, container)))
            .collect();
        // The best first: what is left over at the end goes.
        existing.sort_by_key(|(container, changes)| {
            let running = container.status == Status::Running;
            let failing = container.health == Some(Health::Unhealthy);
            (!changes.is_empty(), !running, failing, container.number)
        });
        let replicas = usize::try_from(service.deploy.replicas).unwrap_or(usize::MAX);
        let surplus = existing.split_off(replicas.min(existing.len()));
        existing.sort_by_key(|(container, _)| container.number);

        let mut containers: Vec<ContainerAction> = existing
            .into_iter()
            .map(|(container, changes)| ContainerAction {
                number: container.number,
                step: if !changes.is_empty() {
                    Step::Recreate {
                        id: container.id.clone(),
                        changes,
                    }
                } else if inputs.force_recreate {
                    Step::Renew {
                        id: container.id.clone(),
                        cause: Cause::Requested,
                    }
                } else {
                    renewal::of(inputs, service, container)
                        .unwrap_or_else(|| wake(service, container))
                },
            })
            .collect();
        let taken: BTreeSet<u32> = inputs.state.of_service(name).map(|it| it.number).collect();
        let missing = replicas.saturating_sub(containers.len());
        let free = (1..).filter(|number| !taken.contains(number));
        containers.extend(free.take(missing).map(|number| ContainerAction {
            number,
            step: Step::Create,
        }));
        let mut surplus: Vec<ContainerAction> = surplus
            .into_iter()
            .map(|(container, changes)| ContainerAction {
                number: container.number,
                step: Step::Remove {
                    id: container.id.clone(),
                    reason: if changes.is_empty() {
                        "one too many"
                    } else {
                        "replaced"
                    },
                },
            })
            .collect();
        surplus.sort_by_key(|it| Reverse(it.number));
        containers.extend(surplus);
        ServicePlan {
            service: name.clone(),
            order: replacement_order(service),
            containers,
        }
    }

    /// Why a container can't stay as it is; empty when it can.
    fn staleness(
        &self,
        inputs: Inputs<'_>,
        name: &ServiceName,
        service: &Service,
        container: &Container,
    ) -> Vec<Change> {
        if container.status == Status::Dead {
            return vec![Change::new("state", "dead", "running")];
        }
        let Some(recorded) = &container.config else {
            return vec![Change::new("labels", "unreadable", "as deploy writes them")];
        };
        let image = inputs.images.get(&service.image);
        let rebuilt = matches!(image.need, Some(Need::Build { .. }));
        // A rebuild may come to the same content; that is seen after it.
        let content = if rebuilt {
            None
        } else {
            image.content.as_deref()
        };
        let salt = spec::salt_of(recorded).unwrap_or_default();
        let settings =
            spec::container(inputs.project, name, service, content, inputs.secrets, salt);
        let mut changes = diff::changes(recorded, &settings);
        if content.is_none() {
            changes.retain(|change| change.setting != "image_content");
            let new = if rebuilt {
                "rebuilt, if the result differs"
            } else {
                "pulled"
            };
            changes.push(Change::new("image", "as it is", new));
        }
        changes.extend(detached(inputs.project, name, service, container));
        changes.extend(self.moved_namespace(inputs.state, service, container));
        changes
    }

    /// `network_mode: service:X` follows X's container when that is made anew.
    fn moved_namespace(
        &self,
        state: &State,
        service: &Service,
        container: &Container,
    ) -> Option<Change> {
        let Some(NetworkMode::Service(host)) = &service.network_mode else {
            return None;
        };
        let host_stays = self
            .services
            .iter()
            .filter(|it| it.service == *host)
            .flat_map(|it| &it.containers)
            .all(|it| matches!(it.step, Step::Keep { .. }));
        let joined = state
            .of_service(host)
            .any(|it| container.network_mode == format!("container:{}", it.id));
        (!host_stays || !joined).then(|| {
            Change::new(
                "network_mode",
                "an old container's namespace",
                &format!("service:{host}"),
            )
        })
    }
}

impl ServicePlan {
    /// Whether there will be a container that there isn't now.
    pub fn adds_containers(&self) -> bool {
        let mut containers = self.containers.iter();
        containers.any(|it| matches!(it.step, Step::Create))
    }
}

impl ContainerAction {
    /// Whether nothing is done.
    pub fn is_keep(&self) -> bool {
        matches!(self.step, Step::Keep { .. })
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

/// Services so that each comes after those it depends on. The loader has refused cycles.
pub fn order(project: &Project) -> Vec<ServiceName> {
    fn visit(project: &Project, name: &ServiceName, sorted: &mut Vec<ServiceName>, depth: usize) {
        if sorted.contains(name) || depth > project.services.len() {
            return;
        }
        if let Some(service) = project.services.get(name) {
            for (dependency, _) in dependencies(service) {
                visit(project, &dependency, sorted, depth + 1);
            }
            sorted.push(name.clone());
        }
    }
    let mut sorted = Vec::with_capacity(project.services.len());
    for name in project.services.keys() {
        visit(project, name, &mut sorted, 0);
    }
    sorted
}

/// What a service waits for before it starts.
pub fn dependencies(service: &Service) -> Vec<(ServiceName, Condition)> {
    let mut dependencies: Vec<(ServiceName, Condition)> = service
        .depends_on
        .iter()
        .map(|(name, it)| (name.clone(), it.condition))
        .collect();
    if let Some(NetworkMode::Service(host)) = &service.network_mode
        && !service.depends_on.contains_key(host)
    {
        dependencies.push((host.clone(), Condition::ServiceStarted));
    }
    dependencies
}

/// Start-first needs room beside the old container: two can't publish one port or
/// bear one name.
fn replacement_order(service: &Service) -> UpdateOrder {
    let exclusive = service.container_name.is_some()
        || service.ports.iter().any(|port| port.published.is_some())
        || service
            .networks
            .values()
            .any(|it| it.ipv4_address.is_some() || it.ipv6_address.is_some());
    if exclusive {
        UpdateOrder::StopFirst
    } else {
        service.deploy.update_config.order
    }
}

/// A container with the right settings: does it run?
fn wake(service: &Service, container: &Container) -> Step {
    let id = container.id.clone();
    match container.status {
        Status::Running | Status::Restarting => Step::Keep { id },
        // A job that did its work isn't done again.
        Status::Exited
            if container.exit_code == Some(0) && service.restart == RestartPolicy::No =>
        {
            Step::Keep { id }
        }
        Status::Exited => Step::Start {
            id,
            reason: container.exit_code.map_or_else(
                || "it ended".to_owned(),
                |code| format!("it ended with status {code}"),
            ),
        },
        Status::Paused => Step::Start {
            id,
            reason: "it is paused".to_owned(),
        },
        Status::Created | Status::Dead => Step::Start {
            id,
            reason: "it was never started".to_owned(),
        },
    }
}

/// Endpoints that aren't as the file has them: somebody connected or disconnected
/// the container by hand, or `deploy` was killed before it was done.
fn detached(
    project: &Project,
    service_name: &str,
    service: &Service,
    container: &Container,
) -> Vec<Change> {
    if service.networks.is_empty() {
        return Vec::new();
    }
    let mut changes = Vec::new();
    let mut wanted = BTreeSet::new();
    for (key, attachment) in &service.networks {
        let Some(network) = project.networks.get(key) else {
            continue;
        };
        wanted.insert(network.name.as_str());
        let setting = format!("networks.{key}");
        match container.endpoints.get(&network.name) {
            None => changes.push(Change::new(setting, "not connected", "connected")),
            Some(names) => {
                let service_name = service_name.to_owned();
                let missing: Vec<&str> = std::iter::once(&service_name)
                    .chain(&attachment.aliases)
                    .filter(|alias| !names.contains(alias))
                    .map(String::as_str)
                    .collect();
                if !missing.is_empty() {
                    let missing = format!("with alias {}", missing.join(", "));
                    changes.push(Change::new(setting, "connected without it", &missing));
                }
            }
        }
    }
    for name in container
        .endpoints
        .keys()
        .filter(|name| !wanted.contains(name.as_str()))
    {
        changes.push(Change::new(
            format!("networks ({name})"),
            "connected",
            "not in the file",
        ));
    }
    changes
}

fn find<'a>(resources: &'a [Resource], name: &str) -> Option<&'a Resource> {
    resources.iter().find(|it| it.name == name)
}

/// How a network's or volume's recorded settings differ from the file's.
pub fn changes(found: &Resource, settings: &serde_json::Value) -> Vec<Change> {
    match &found.config {
        Some(recorded) => diff::changes(recorded, settings),
        None => vec![Change::new("labels", "unreadable", "as deploy writes them")],
    }
}

#[cfg(test)]
mod tests;
