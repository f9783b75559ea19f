//! Containers that have the right settings and are started over all the same.

use std::fmt;

use super::{Inputs, Step};
use crate::compose::model::{Service, ServiceName};
use crate::state::{Container, Health, Status};

/// Why a container is started over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
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

/// What is done about a container that doesn't do its work; `None` for one that does.
pub(super) fn of(inputs: Inputs<'_>, service: &Service, container: &Container) -> Option<Step> {
    let cause = if let Some(ailment) = ailment(container) {
        ailment
    } else {
        let target = inputs.project.accepted_by(&container.service)?;
        let mut behind = inputs.state.of_service(target).peekable();
        behind.peek()?;
        if !behind.all(|it| ailment(it).is_some()) {
            return None;
        }
        Cause::LeadsNowhere(target.clone())
    };
    let id = container.id.clone();
    Some(if container.anonymous_volumes {
        Step::Restart { id, cause }
    } else {
        Step::Renew { id, cause }
    })
}

fn ailment(container: &Container) -> Option<Cause> {
    match (container.status, container.health) {
        (Status::Restarting, _) => Some(Cause::Restarting),
        (Status::Running, Some(Health::Unhealthy)) => Some(Cause::Unhealthy),
        _ => None,
    }
}
