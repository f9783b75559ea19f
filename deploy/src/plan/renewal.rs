//! Containers that have the right settings and are started over all the same.

use std::fmt;

use compose_file::Project;
use compose_file::model::ServiceName;
use engine::state::{Container, Health, State, Status};

/// Why a container is started over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Its health check fails.
    Unhealthy,
    /// Its process ends again and again.
    Restarting,
    /// No container of this service, which accepts what comes in at its ports, works: what comes in isn't
    /// served.
    LeadsNowhere(ServiceName),
    /// By the user.
    Requested,
}

impl Cause {
    /// Whether the container doesn't work: nobody wants it back.
    pub(super) fn is_ailment(&self) -> bool {
        matches!(self, Self::Unhealthy | Self::Restarting)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unhealthy => f.write_str("it is unhealthy"),
            Self::Restarting => f.write_str("it keeps restarting"),
            Self::LeadsNowhere(service) => {
                write!(f, "no container of {service}, which it leads to, works")
            }
            Self::Requested => f.write_str("as requested"),
        }
    }
}

/// Why a container that doesn't do its work is started over; `None` for one that does.
pub(super) fn cause(project: &Project, state: &State, container: &Container) -> Option<Cause> {
    if let Some(ailment) = ailment(container) {
        return Some(ailment);
    }
    let target = project.accepted_by(&container.service)?;
    let mut behind = state.of_service(target).peekable();
    behind.peek()?;
    behind
        .all(|it| ailment(it).is_some())
        .then(|| Cause::LeadsNowhere(target.clone()))
}

fn ailment(container: &Container) -> Option<Cause> {
    match (container.status, container.health) {
        (Status::Restarting, _) => Some(Cause::Restarting),
        (Status::Running, Some(Health::Unhealthy)) => Some(Cause::Unhealthy),
        _ => None,
    }
}
