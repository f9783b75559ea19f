//! What has to be done to get from what is there to what the file says. Pure: the same inputs give
//! the same plan, and nothing is touched.
//!
//! [`Changes`] are what a user is shown, a [`Graph`] of operations is how they are brought about;
//! both come from one look at the engine, and [`execute`](crate::execute) does nothing else.

mod changes;
mod graph;
mod hooks;
mod inputs;
mod operation;
mod order;
mod preparation;
mod renewal;
mod restart;
mod rollout;
mod service;

use std::fmt;

pub(crate) use self::changes::{Changes, NetworkAction, changes};
#[cfg(test)]
pub(crate) use self::graph::Builder;
pub(crate) use self::graph::{Graph, Need, TransactionId};
pub(crate) use self::inputs::Inputs;
pub(crate) use self::operation::{Act, Creation, NodeId, Operation, Target, Value};
pub(crate) use self::order::order;
pub(crate) use self::service::{ContainerAction, Step};
use compose_file::Project;
use compose_file::model::ServiceName;
use engine::error::Result;
use engine::state::State;

/// Everything to be done. Its text is a line for each operation.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// What differs.
    pub(crate) changes: Changes,
    /// What is done about it.
    pub(crate) graph: Graph,
}

impl Plan {
    /// From what is there to what the file says.
    pub(crate) fn up(inputs: Inputs<'_>) -> Self {
        Self::of(inputs, Changes::compute(inputs))
    }

    /// Restarts every container of `services`, and of those that live in their network namespaces.
    /// Where a service is replaced start-first, a new container takes the place of each, unless
    /// `in_place`, or data in an anonymous volume would go with the old one.
    ///
    /// # Errors
    /// When a service has no container, or when a new container would differ from the old one.
    pub(crate) fn restart(
        inputs: Inputs<'_>,
        services: &[ServiceName],
        in_place: bool,
    ) -> Result<Self> {
        let changes = Changes::restart(inputs, services, in_place)?;
        Ok(Self::of(inputs, changes))
    }

    /// Takes the project's containers away, dependents first, then these networks and volumes.
    pub(crate) fn down(
        project: &Project,
        state: &State,
        networks: &[&str],
        volumes: &[&str],
    ) -> Self {
        let mut graph = graph::Builder::default();
        preparation::take_down(&mut graph, project, state, networks, volumes);
        Self {
            changes: Changes::default(),
            graph: graph.finish(),
        }
    }

    fn of(inputs: Inputs<'_>, changes: Changes) -> Self {
        let mut graph = graph::Builder::default();
        let prepared = preparation::prepare(&mut graph, inputs.project, inputs.state, &changes);
        rollout::roll_out(&mut graph, inputs, &changes, &prepared);
        let graph = graph.finish();
        Self { changes, graph }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.graph.fmt(f)
    }
}

#[cfg(test)]
mod tests;
