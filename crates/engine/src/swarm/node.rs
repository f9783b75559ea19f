//! The nodes of a Swarm.

use std::collections::HashMap;

use bollard::models::{self, NodeSpec, NodeSpecAvailabilityEnum, NodeState};
use bollard::query_parameters::{ListNodesOptions, UpdateNodeOptionsBuilder};
use compose_file::model::Constraint;

use crate::Engine;
use crate::error::{EngineContext, Result};

/// A machine of the Swarm.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// Its id in the Swarm: another one when it has left and joined again.
    pub id: String,
    /// Its host name.
    pub name: String,
    /// Labels that operators gave it.
    pub labels: HashMap<String, String>,
    /// Whether its engine is heard of.
    pub ready: bool,
    /// Whether tasks may run there: neither paused nor drained.
    pub active: bool,
    version: u64,
    spec: NodeSpec,
}

impl Node {
    /// Whether all of these hold for it. What isn't an id, a name or a label is for the engine to judge,
    /// and taken for true.
    pub fn satisfies<'a>(&self, constraints: impl IntoIterator<Item = &'a Constraint>) -> bool {
        constraints.into_iter().all(|constraint| {
            let found = match (constraint.key.as_str(), constraint.label()) {
                ("node.id", _) => Some(self.id.as_str()),
                ("node.hostname", _) => Some(self.name.as_str()),
                (_, Some(label)) => Some(self.labels.get(label).map_or("", String::as_str)),
                _ => None,
            };
            found.is_none_or(|found| (found == constraint.value) == constraint.equal)
        })
    }

    /// Gives it a label.
    ///
    /// # Errors
    /// When the engine refuses, as it does when the node was changed meanwhile.
    pub async fn label(&self, engine: &Engine, key: &str, value: &str) -> Result<()> {
        let mut spec = self.spec.clone();
        let labels = spec.labels.get_or_insert_default();
        labels.insert(key.to_owned(), value.to_owned());
        let options = UpdateNodeOptionsBuilder::new()
            .version(i64::try_from(self.version).unwrap_or(i64::MAX))
            .build();
        let updated = engine.docker().update_node(&self.id, spec, options).await;
        updated.doing(|| format!("label node {}", self.name))
    }
}

/// All nodes, by name.
///
/// # Errors
/// When the engine isn't a manager, or doesn't answer.
pub async fn all(engine: &Engine) -> Result<Vec<Node>> {
    let nodes = engine.docker().list_nodes(None::<ListNodesOptions>).await;
    let nodes = nodes.doing(|| "list the Swarm's nodes".into())?;
    let mut nodes: Vec<Node> = nodes.into_iter().map(Node::from).collect();
    nodes.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    Ok(nodes)
}

impl From<models::Node> for Node {
    fn from(node: models::Node) -> Self {
        let spec = node.spec.unwrap_or_default();
        Self {
            id: node.id.unwrap_or_default(),
            name: node
                .description
                .and_then(|it| it.hostname)
                .unwrap_or_default(),
            labels: spec.labels.clone().unwrap_or_default(),
            ready: node.status.and_then(|it| it.state) == Some(NodeState::READY),
            active: spec.availability == Some(NodeSpecAvailabilityEnum::ACTIVE),
            version: node.version.and_then(|it| it.index).unwrap_or_default(),
            spec,
        }
    }
}
