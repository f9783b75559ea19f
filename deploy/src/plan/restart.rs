//! The plan of `deploy restart`: the same containers once more, with the settings that they have.

use std::collections::BTreeSet;

use compose_file::Project;
use compose_file::model::{NetworkMode, Service, ServiceName, UpdateOrder};
use engine::error::{Error, Result};

use super::changes::Changes;
use super::inputs::Inputs;
use super::order::order;
use super::renewal::Cause;
use super::service::{self, ContainerAction, ServicePlan, Step};

impl Changes {
    /// See [`Plan::restart`](crate::plan::Plan::restart).
    pub(super) fn restart(
        inputs: Inputs<'_>,
        services: &[ServiceName],
        in_place: bool,
    ) -> Result<Self> {
        let mut plan = Self::default();
        let restarted = with_guests(inputs.project, services);
        let mut changes = Vec::new();
        for name in order(inputs.project) {
            let Some(service) = inputs.project.services.get(&name) else {
                continue;
            };
            if !restarted.contains(&name) {
                continue;
            }
            let order = service::replacement_order(service);
            let host_goes = plan.replaces_host_of(service);
            let mut containers = Vec::new();
            for container in inputs.state.of_service(&name) {
                let id = container.id.clone();
                let cause = Cause::Requested;
                let start_first =
                    order == UpdateOrder::StartFirst && !container.anonymous_volumes && !in_place;
                let step = if start_first || host_goes {
                    // By itself: that its host is restarted is no change.
                    let none = BTreeSet::new();
                    let differing =
                        service::difference(inputs, &[], &none, &name, service, container);
                    let line = |change| format!("{}: {change}", container.name);
                    changes.extend(differing.changes.iter().map(line));
                    // The new one is of this file.
                    plan.takes_over.clone_from(&inputs.state.origin);
                    Step::Renew { id, cause }
                } else {
                    Step::Restart { id, cause }
                };
                containers.push(ContainerAction::new(container.number, step));
            }
            if containers.is_empty() {
                return Err(Error::failed(
                    format!("{name} has no container that could be restarted"),
                    "`deploy up` makes it",
                ));
            }
            plan.services.push(ServicePlan {
                service: name,
                order,
                containers,
            });
        }
        if changes.is_empty() {
            return Ok(plan);
        }
        Err(Error::failed(
            "a restart would bring changes up; nothing was restarted",
            "`deploy up` brings them up; `deploy restart --in-place` stops and starts the containers \
             as they are",
        )
        .with_details(changes))
    }

    /// Whether the container whose network namespace the service shares is replaced.
    fn replaces_host_of(&self, service: &Service) -> bool {
        let Some(NetworkMode::Service(host)) = &service.network_mode else {
            return false;
        };
        let mut hosts = self.services.iter().filter(|it| it.service == *host);
        hosts.any(|it| {
            let mut steps = it.containers.iter().map(|action| &action.step);
            steps.any(|step| matches!(step, Step::Renew { .. }))
        })
    }
}

/// The services, and those whose containers would be left in a network namespace that is gone.
fn with_guests(project: &Project, services: &[ServiceName]) -> BTreeSet<ServiceName> {
    let mut all: BTreeSet<ServiceName> = services.iter().cloned().collect();
    // A host comes before its guests.
    for name in order(project) {
        let mode = project
            .services
            .get(&name)
            .and_then(|it| it.network_mode.as_ref());
        if let Some(NetworkMode::Service(host)) = mode
            && all.contains(host)
        {
            all.insert(name);
        }
    }
    all
}
