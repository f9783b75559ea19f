//! The nodes of a Swarm.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use bollard::models::{
    self, NodeSpec, NodeSpecAvailabilityEnum as Availability, NodeState, Reachability,
};
use bollard::query_parameters::{ListNodesOptions, UpdateNodeOptionsBuilder};
use compose_file::model::Constraint;

use super::UPDATES;
use crate::Engine;
use crate::error::{EngineContext, Result, is_outdated};

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
    /// Whether tasks may run there.
    pub availability: Option<Availability>,
    /// Whether it is a manager, and which.
    pub role: Role,
    /// The version of its engine.
    pub engine: String,
    /// Where the other nodes reach it.
    pub address: String,
    version: u64,
    spec: NodeSpec,
}

/// What a node is in its Swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// Runs tasks.
    #[default]
    Worker,
    /// Keeps the Swarm's state as well, with the other managers.
    Manager {
        /// The one that decides at the moment.
        leader: bool,
        /// Whether the leader reaches it.
        reachable: bool,
    },
}

impl Node {
    /// Whether the engine gives it tasks: it is heard of, and neither paused nor drained.
    pub fn takes_tasks(&self) -> bool {
        self.ready && self.availability == Some(Availability::ACTIVE)
    }

    /// Its address as a URL has it.
    pub fn host(&self) -> String {
        if self.address.contains(':') {
            format!("[{}]", self.address)
        } else {
            self.address.clone()
        }
    }

    /// Whether all of these hold for it. What isn't an id, a name, a role or a label is for the engine to
    /// judge, and taken for true.
    pub fn satisfies<'a>(&self, constraints: impl IntoIterator<Item = &'a Constraint>) -> bool {
        constraints.into_iter().all(|constraint| {
            let found = match (constraint.key.as_str(), constraint.label()) {
                ("node.id", _) => Some(self.id.as_str()),
                ("node.hostname", _) => Some(self.name.as_str()),
                ("node.role", _) => Some(match self.role {
                    Role::Worker => "worker",
                    Role::Manager { .. } => "manager",
                }),
                (_, Some(label)) => Some(self.labels.get(label).map_or("", String::as_str)),
                _ => None,
            };
            found.is_none_or(|found| (found == constraint.value) == constraint.equal)
        })
    }

    /// Whether it is given tasks that have these constraints.
    pub fn may_run(&self, constraints: &[String]) -> bool {
        let constraints = constraints.iter().filter_map(|it| Constraint::parse(it));
        self.takes_tasks() && constraints.into_iter().all(|it| self.satisfies([&it]))
    }

    /// Gives it a label.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn label(&self, engine: &Engine, key: &str, value: &str) -> Result<()> {
        let change = |spec: &mut NodeSpec| {
            let labels = spec.labels.get_or_insert_default();
            labels.insert(key.to_owned(), value.to_owned());
        };
        self.change(engine, "label", change).await
    }

    /// Has the engine give it tasks, or take those that it has away.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn make(&self, engine: &Engine, availability: Availability) -> Result<()> {
        let change = |spec: &mut NodeSpec| spec.availability = Some(availability);
        let what = if availability == Availability::DRAIN {
            "drain"
        } else {
            "activate"
        };
        self.change(engine, what, change).await
    }

    /// Of its specification as it is then: the managers change it, too, as when one is promoted.
    async fn change(
        &self,
        engine: &Engine,
        what: &str,
        change: impl Fn(&mut NodeSpec),
    ) -> Result<()> {
        let doing = || format!("{what} node {}", self.name);
        let mut now = self.clone();
        let mut again = 1..UPDATES;
        loop {
            change(&mut now.spec);
            let options = UpdateNodeOptionsBuilder::new()
                .version(i64::try_from(now.version).unwrap_or(i64::MAX))
                .build();
            let updated = engine.docker().update_node(&self.id, now.spec, options);
            match updated.await {
                Err(err) if is_outdated(&err) && again.next().is_some() => {
                    let read = engine.docker().inspect_node(&self.id).await;
                    now = read.doing(doing)?.into();
                }
                updated => return updated.doing(doing),
            }
        }
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

/// What a machine needs to join: the token of the role, and where this manager (its id) listens.
///
/// # Errors
/// When the engine isn't a manager, or doesn't answer.
pub async fn join_token(engine: &Engine, here: &str, manager: bool) -> Result<(String, String)> {
    let docker = engine.docker();
    let (swarm, node) = tokio::try_join!(docker.inspect_swarm(), docker.inspect_node(here))
        .doing(|| "ask how a machine joins the Swarm".into())?;
    let tokens = swarm.join_tokens.unwrap_or_default();
    let token = if manager {
        tokens.manager
    } else {
        tokens.worker
    };
    let address = node.manager_status.and_then(|it| it.addr);
    Ok((token.unwrap_or_default(), address.unwrap_or_default()))
}

impl From<models::Node> for Node {
    fn from(node: models::Node) -> Self {
        let spec = node.spec.unwrap_or_default();
        let description = node.description.unwrap_or_default();
        let status = node.status.unwrap_or_default();
        // What a manager that others joined says of itself may be no address.
        let told = status.addr.unwrap_or_default();
        let manager = node.manager_status.as_ref().and_then(|it| it.addr.as_ref());
        let manager = manager.and_then(|it| it.parse::<SocketAddr>().ok());
        let address = match told.parse::<IpAddr>() {
            Ok(it) if it.is_unspecified() || it.is_loopback() => {
                manager.map_or(told, |it| it.ip().to_string())
            }
            _ => told,
        };
        let role = node
            .manager_status
            .map_or(Role::Worker, |it| Role::Manager {
                leader: it.leader == Some(true),
                reachable: it.reachability == Some(Reachability::REACHABLE),
            });
        Self {
            id: node.id.unwrap_or_default(),
            name: description.hostname.unwrap_or_default(),
            labels: spec.labels.clone().unwrap_or_default(),
            ready: status.state == Some(NodeState::READY),
            availability: spec.availability,
            role,
            engine: description
                .engine
                .and_then(|it| it.engine_version)
                .unwrap_or_default(),
            address,
            version: node.version.and_then(|it| it.index).unwrap_or_default(),
            spec,
        }
    }
}
