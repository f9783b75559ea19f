//! What happens to the containers of one service, from how each differs from what the file says.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use compose_file::Project;
use compose_file::model::{NetworkMode, RestartPolicy, Service, ServiceName, UpdateOrder};
use engine::image::Need;
use engine::state::{Container, Health, State, Status};

use super::inputs::Inputs;
use super::renewal::{self, Cause};
use crate::diff::{self, Change};
use crate::spec;

/// What happens to a service's containers.
#[derive(Debug, PartialEq)]
pub(crate) struct ServicePlan {
    /// Which service.
    pub(crate) service: ServiceName,
    /// How changed containers are replaced.
    pub(crate) order: UpdateOrder,
    /// In order; removals last, so that what stays is ready before anything goes.
    pub(crate) containers: Vec<ContainerAction>,
}

/// What happens to one container.
#[derive(Debug, PartialEq)]
pub(crate) struct ContainerAction {
    /// Its number within the service.
    pub(crate) number: u32,
    /// What is done.
    pub(crate) step: Step,
    /// When it is done; `None`: always.
    pub(crate) condition: Option<Condition>,
    /// A network that it is on goes, and it goes before.
    pub(crate) evicted: bool,
}

/// What decides between two actions once images are built and pulled.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    /// Images, and the content of each that the container was made from.
    pub(crate) images: Vec<(String, String)>,
    /// Whether it is called for when one of them differs, or when none does.
    pub(crate) differ: bool,
}

/// A step for one container. `id` is that of the container that is there.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
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

impl ServicePlan {
    /// Whether there will be a container that there isn't now.
    pub(super) fn adds_containers(&self) -> bool {
        let mut containers = self.containers.iter();
        containers.any(|it| matches!(it.step, Step::Create))
    }
}

impl ContainerAction {
    /// What is done whatever happens.
    pub(super) fn new(number: u32, step: Step) -> Self {
        Self {
            number,
            step,
            condition: None,
            evicted: false,
        }
    }

    /// Whether nothing is done.
    pub(crate) fn is_keep(&self) -> bool {
        matches!(self.step, Step::Keep { .. })
    }
}

/// Whether a container can stay as it is.
#[derive(Debug)]
pub(super) struct Difference {
    /// The settings that differ, or may.
    pub(super) changes: Vec<Change>,
    /// The images that decide whether they do, with what the container was made from; empty:
    /// they do.
    images: Vec<(String, String)>,
}

/// The plan of a service. `before` are those of the services that it depends on, `going` the
/// networks that containers can't stay on.
pub(super) fn plan(
    inputs: Inputs<'_>,
    before: &[ServicePlan],
    going: &BTreeSet<String>,
    name: &ServiceName,
    service: &Service,
) -> ServicePlan {
    let mut existing: Vec<(&Container, Difference)> = inputs
        .state
        .of_service(name)
        .map(|it| (it, difference(inputs, before, going, name, service, it)))
        .collect();
    // The best first: what is left over at the end goes.
    existing.sort_by_key(|(container, difference)| {
        let running = container.status == Status::Running;
        let failing = container.health == Some(Health::Unhealthy);
        let stale = !difference.changes.is_empty();
        (stale, !running, failing, container.number)
    });
    let replicas = usize::try_from(service.deploy.replicas).unwrap_or(usize::MAX);
    let surplus = existing.split_off(replicas.min(existing.len()));
    existing.sort_by_key(|(container, _)| container.number);

    let missing = replicas.saturating_sub(existing.len());
    let mut containers = Vec::with_capacity(replicas);
    for (container, difference) in existing {
        stay(inputs, service, container, difference, &mut containers);
    }
    let taken: BTreeSet<u32> = inputs.state.of_service(name).map(|it| it.number).collect();
    let free = (1..).filter(|number| !taken.contains(number));
    let created = free.take(missing);
    containers.extend(created.map(|number| ContainerAction::new(number, Step::Create)));
    let mut surplus: Vec<ContainerAction> = surplus
        .into_iter()
        .map(|(container, difference)| {
            let id = container.id.clone();
            let reason = if difference.changes.is_empty() {
                "one too many"
            } else {
                "replaced"
            };
            ContainerAction::new(container.number, Step::Remove { id, reason })
        })
        .collect();
    surplus.sort_by_key(|it| Reverse(it.number));
    containers.extend(surplus);
    for action in &mut containers {
        let mut found = inputs.state.of_service(name);
        let found = found.find(|it| it.number == action.number);
        action.evicted = found.is_some_and(|it| is_on(it, going));
    }
    ServicePlan {
        service: name.clone(),
        order: replacement_order(service),
        containers,
    }
}

/// What happens to a container that the file has room for.
fn stay(
    inputs: Inputs<'_>,
    service: &Service,
    container: &Container,
    Difference { changes, images }: Difference,
    actions: &mut Vec<ContainerAction>,
) {
    let (id, number) = (container.id.clone(), container.number);
    let stale = !changes.is_empty();
    let replaced = || Step::Recreate {
        id: id.clone(),
        changes,
    };
    let renewed = inputs.force_recreate.then_some(Cause::Requested);
    let step = match renewed.or_else(|| renewal::cause(inputs.project, inputs.state, container)) {
        Some(cause) if container.anonymous_volumes && cause != Cause::Requested => Step::Restart {
            id: id.clone(),
            cause,
        },
        Some(cause) => Step::Renew {
            id: id.clone(),
            cause,
        },
        None => wake(inputs, service, container),
    };
    if !stale {
        actions.push(ContainerAction::new(number, step));
    } else if images.is_empty() || matches!(step, Step::Renew { .. }) {
        actions.push(ContainerAction::new(number, replaced()));
    } else {
        let condition = |differ| {
            let images = images.clone();
            Some(Condition { images, differ })
        };
        actions.extend(
            [(replaced(), true), (step, false)].map(|(step, differ)| ContainerAction {
                condition: condition(differ),
                ..ContainerAction::new(number, step)
            }),
        );
    }
}

/// Why a container can't stay as it is; without changes when it can.
pub(super) fn difference(
    inputs: Inputs<'_>,
    before: &[ServicePlan],
    going: &BTreeSet<String>,
    name: &ServiceName,
    service: &Service,
    container: &Container,
) -> Difference {
    let simple = |change| Difference {
        changes: vec![change],
        images: Vec::new(),
    };
    if container.status == Status::Dead {
        return simple(Change::new("state", "dead", "running"));
    }
    let Some(recorded) = &container.config else {
        return simple(Change::new("labels", "unreadable", "as deploy writes them"));
    };
    let image = inputs.images.get(&service.image);
    let made_from = spec::image_content_of(recorded);
    let content = match &image.need {
        // A build or a pull may come to the same content; that is seen after it.
        Some(_) => made_from,
        None => image.content.as_deref(),
    };
    let salt = spec::salt_of(recorded).unwrap_or_default();
    let settings = spec::container(inputs.project, name, service, content, inputs.secrets, salt);
    let mut changes = diff::changes(recorded, &settings);
    changes.extend(detached(inputs.project, name, service, container));
    let (mut possible, mut images) = (Vec::new(), Vec::new());
    let new = match (&image.need, content) {
        (Some(Need::Build { .. }), _) => Some("rebuilt, if the result differs"),
        (Some(Need::Pull { .. }), _) => Some("pulled, if the result differs"),
        (None, None) => Some("pulled"),
        (None, Some(_)) => None,
    };
    if let Some(new) = new {
        changes.retain(|change| change.setting != spec::IMAGE_CONTENT);
        let change = Change::new("image", "as it is", new);
        match made_from {
            Some(made_from) if image.need.is_some() => {
                possible.push(change);
                images.push((service.image.clone(), made_from.to_owned()));
            }
            _ => changes.push(change),
        }
    }
    if let Some(NetworkMode::Service(host)) = &service.network_mode {
        let change = Change::new(
            "network_mode",
            "an old container's namespace",
            &format!("service:{host}"),
        );
        match new_namespace(inputs.state, before, host, container) {
            None => changes.push(change),
            Some(of_host) if of_host.is_empty() => {}
            Some(of_host) => {
                possible.push(change);
                images.extend(of_host);
            }
        }
    }
    if changes.is_empty() && is_on(container, going) {
        changes.push(Change::new("networks", "as they are", "made anew"));
    }
    if changes.is_empty() {
        return Difference {
            changes: possible,
            images,
        };
    }
    changes.extend(possible);
    Difference {
        changes,
        images: Vec::new(),
    }
}

/// `network_mode: service:X` follows X's container when that is made anew. `None`: it is; else the
/// images that decide whether it is.
fn new_namespace(
    state: &State,
    before: &[ServicePlan],
    host: &ServiceName,
    container: &Container,
) -> Option<Vec<(String, String)>> {
    let mut hosts = state.of_service(host);
    hosts.find(|it| container.network_mode == format!("container:{}", it.id))?;
    let mut images = Vec::new();
    let plans = before.iter().filter(|it| it.service == *host);
    for action in plans.flat_map(|it| &it.containers) {
        match &action.condition {
            Some(condition) if condition.differ => images.extend(condition.images.iter().cloned()),
            _ if action.is_keep() => {}
            _ => return None,
        }
    }
    Some(images)
}

/// Whether a container is on one of these networks.
pub(super) fn is_on(container: &Container, networks: &BTreeSet<String>) -> bool {
    container.endpoints.keys().any(|it| networks.contains(it))
}

/// Start-first needs room beside the old container: two can't publish one port or
/// bear one name.
pub(super) fn replacement_order(service: &Service) -> UpdateOrder {
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
fn wake(inputs: Inputs<'_>, service: &Service, container: &Container) -> Step {
    let id = container.id.clone();
    match container.status {
        Status::Running if inputs.owed.contains(&id) => Step::Start {
            id,
            reason: "its post_start didn't come to its end".to_owned(),
        },
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
