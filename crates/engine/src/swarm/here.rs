//! Tasks by their containers. A command in one runs on its node's own engine alone, manager or worker: so
//! it is found there by what the Swarm wrote on it, and where there is none, a manager says who has one.

use std::cmp::Reverse;

use bollard::query_parameters::ListContainersOptionsBuilder;

use super::node::Node;
use super::stack::Stack;
use super::task;
use crate::Engine;
use crate::concurrency;
use crate::error::{EngineContext, Result};
use crate::labels;
use crate::owner::Owner;
use crate::state::{Container, Health, Status, with_owners};

/// The containers of the stack's tasks that this engine runs, those that are well first, and of these the
/// newest.
///
/// # Errors
/// When the engine doesn't answer.
pub async fn containers(engine: &Engine, project: &str) -> Result<Vec<Container>> {
    let options = ListContainersOptionsBuilder::new().build();
    let listed = engine.docker().list_containers(Some(options)).await;
    let listed = listed.doing(|| "list what runs on the engine".into())?;
    let prefix = format!("{project}_");
    let listed = with_owners(engine, project, listed).await?.into_iter();
    let tasks = listed.filter_map(|(summary, owner)| {
        let ours = matches!(owner, Owner::Swarm { stack } if stack == project);
        let labels = summary.labels.filter(|_| ours)?;
        let service = labels.get(labels::SWARM_SERVICE)?.strip_prefix(&prefix)?;
        Some((service.to_owned(), summary.id?))
    });
    let inspected = tasks.map(|(service, id)| async move {
        let container = Container::inspect(engine, &id).await?;
        Ok(container.map(|it| Container { service, ..it }))
    });
    let inspected = concurrency::try_all(inspected).await?;
    let mut containers: Vec<Container> = inspected.into_iter().flatten().collect();
    containers.retain(|it| it.status == Status::Running);
    let is_well = |it: &Container| matches!(it.health, None | Some(Health::Healthy));
    containers.sort_by_key(|it| Reverse((is_well(it), it.created)));
    Ok(containers)
}

/// The nodes that run a task of the service which does its work.
///
/// # Errors
/// When the engine isn't a manager, or doesn't answer.
pub async fn nodes_of(engine: &Engine, project: &str, service: &str) -> Result<Vec<Node>> {
    let stack = Stack::observe(engine, project).await?;
    let Some(service) = stack.services.get(service) else {
        return Ok(Vec::new());
    };
    let tasks = task::of_service(engine, &service.name).await?;
    let running: Vec<_> = tasks.iter().filter(|it| it.runs()).collect();
    let has_one = |node: &Node| {
        running
            .iter()
            .any(|it| it.node.as_deref() == Some(&node.id))
    };
    let mut nodes = stack.nodes;
    nodes.retain(|it| it.ready && has_one(it));
    Ok(nodes)
}
