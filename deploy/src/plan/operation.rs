//! What a plan is made of: operations, each one call of the engine or one wait.

use std::fmt;
use std::time::Duration;

use compose_file::model::{Hook, NetworkKey, SecretName, ServiceName};
use engine::health::Goal;

use crate::output::text;

/// An operation's place in a plan. What it needs has lower ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeId(pub(super) usize);

/// Something that an operation needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Known when the plan is made.
    Known(String),
    /// What another operation comes to: the id of a container, the content of an image.
    Unknown(NodeId),
}

/// A container that is there, or will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Its name.
    pub(crate) name: String,
    /// Its id.
    pub(crate) id: Value,
}

/// A container to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Creation {
    /// Its name.
    pub(crate) name: String,
    /// What service it is of.
    pub(crate) service: ServiceName,
    /// Its number within the service.
    pub(crate) number: u32,
    /// The image by the name that it is created from.
    pub(crate) image: String,
    /// What is in the image; `None` where nobody knows.
    pub(crate) content: Option<Value>,
    /// Networks on which it doesn't bear its names yet.
    pub(crate) nameless: Vec<NetworkKey>,
    /// Containers of `network_mode: service:…`; it joins the first one that comes to be.
    pub(crate) joins: Vec<Value>,
}

/// What was recorded of an image, and what a build or a pull comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// In the container's settings.
    pub(crate) recorded: String,
    /// Of the image.
    pub(crate) content: Value,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Makes a secret's file.
    GenerateSecret { name: SecretName },
    /// Tells a service of a secret's value.
    TellSecret {
        name: SecretName,
        service: ServiceName,
    },
    /// Makes these services, which are there by now, members of the replica set.
    JoinReplicaSet { members: Vec<ServiceName> },
    /// Pulls an image. Comes to its content.
    Pull { image: String },
    /// Builds the image of a service. Comes to its content.
    Build {
        image: String,
        service: ServiceName,
        hash: String,
    },
    /// Creates a network of the file.
    CreateNetwork { key: String, name: String },
    /// Removes a network; `why` is for the user, if it deserves a line.
    RemoveNetwork { name: String, why: Option<String> },
    /// Creates a volume of the file.
    CreateVolume { key: String, name: String },
    /// Removes a volume and what is in it.
    RemoveVolume { name: String },
    /// Everything that the service waits for is there. Does nothing; `runs`: something of it runs.
    Begin { service: ServiceName, runs: bool },
    /// All containers that had to be replaced are. Does nothing.
    Replaced(ServiceName),
    /// Creates a container. Comes to its id.
    Create(Box<Creation>),
    /// Does something to a container that is there by then.
    To(Target, Act),
    /// Stops and removes the project's container of this name, if it came to be.
    Discard { name: String },
    /// Answers whether an image isn't what a container was made from.
    Compare {
        container: String,
        contents: Vec<Comparison>,
    },
    /// Between two batches.
    Delay { period: Duration },
}

/// What is done to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    /// Starts it; `why` is for the user. `owes`: that its `post_start` has yet to run is written down.
    Start { why: Option<String>, owes: bool },
    /// Runs these in it, which have to succeed, and writes down that they did.
    PostStart { hooks: Vec<Hook> },
    /// Waits until it does what it is for. `fresh`: it was just started, unhealthy is a verdict.
    Await { goal: Goal, fresh: bool },
    /// Gives it its names on networks where it has none yet.
    GiveNames {
        service: ServiceName,
        networks: Vec<NetworkKey>,
    },
    /// What is ready may still turn out not to be. Clients that look names up every so often find
    /// the new container meanwhile, before one that they know goes.
    Watch { goal: Goal, period: Duration },
    /// Runs these in it, as far as they succeed.
    PreStop { hooks: Vec<Hook> },
    /// Stops it with its own signal and grace period; `why` is for the user.
    Stop { why: String },
    /// Removes it with its anonymous volumes.
    Remove,
    /// Answers whether it still fails, now that what it depends on works.
    LookAgain,
}

impl NodeId {
    /// Where it is in the graph.
    pub(crate) fn index(self) -> usize {
        self.0
    }
}

impl Value {
    /// Fills in what has become known.
    fn fill(&mut self, known: &impl Fn(NodeId) -> Option<String>) {
        if let Self::Unknown(node) = *self
            && let Some(value) = known(node)
        {
            *self = Self::Known(value);
        }
    }

    /// The value, once it is known.
    pub(crate) fn get(&self) -> Option<&str> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }
}

impl Target {
    /// A container that is there.
    pub(crate) fn known(name: &str, id: &str) -> Self {
        Self {
            name: name.to_owned(),
            id: Value::Known(id.to_owned()),
        }
    }
}

impl Operation {
    /// The operation with everything that has become known filled in.
    #[must_use]
    pub(crate) fn filled(&self, known: &impl Fn(NodeId) -> Option<String>) -> Self {
        let mut filled = self.clone();
        match &mut filled {
            Self::Create(creation) => {
                let values = creation.content.iter_mut().chain(&mut creation.joins);
                for value in values {
                    value.fill(known);
                }
            }
            Self::Compare { contents, .. } => {
                for comparison in contents {
                    comparison.content.fill(known);
                }
            }
            Self::To(container, _) => container.id.fill(known),
            _ => {}
        }
        filled
    }

    /// What it is done to, for the line of progress; steps in a row on one thing share it.
    pub(crate) fn subject(&self) -> Option<String> {
        match self {
            Self::CreateNetwork { name, .. } | Self::RemoveNetwork { name, why: Some(_) } => {
                Some(format!("network {name}"))
            }
            Self::CreateVolume { name, .. } | Self::RemoveVolume { name } => {
                Some(format!("volume {name}"))
            }
            Self::Create(creation) => Some(format!("container {}", creation.name)),
            Self::To(container, _) => Some(format!("container {}", container.name)),
            _ => None,
        }
    }

    /// Whether the engine works on it. What a builder, a container or a clock holds up must not
    /// hold up the engine.
    pub(crate) fn is_work(&self) -> bool {
        match self {
            Self::To(_, act) => matches!(
                act,
                Act::Start { .. } | Act::GiveNames { .. } | Act::Stop { .. } | Act::Remove
            ),
            Self::GenerateSecret { .. }
            | Self::TellSecret { .. }
            | Self::JoinReplicaSet { .. }
            | Self::Build { .. }
            | Self::Begin { .. }
            | Self::Replaced(_)
            | Self::Compare { .. }
            | Self::Delay { .. } => false,
            _ => true,
        }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0 + 1)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(value) => f.write_str(value),
            Self::Unknown(node) => write!(f, "what {node} comes to"),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GenerateSecret { name } => write!(f, "generate secret {name}"),
            Self::TellSecret { name, service } => write!(f, "tell {service} of secret {name}"),
            Self::JoinReplicaSet { members } => {
                let members: Vec<&str> = members.iter().map(ServiceName::as_str).collect();
                write!(f, "replica set of {}", members.join(", "))
            }
            Self::Pull { image } => write!(f, "pull image {image}"),
            Self::Build { image, .. } => write!(f, "build image {image}"),
            Self::CreateNetwork { name, .. } => write!(f, "create network {name}"),
            Self::RemoveNetwork { name, .. } => write!(f, "remove network {name}"),
            Self::CreateVolume { name, .. } => write!(f, "create volume {name}"),
            Self::RemoveVolume { name } => write!(f, "remove volume {name}"),
            Self::Begin { service, .. } => write!(f, "begin {service}"),
            Self::Replaced(service) => write!(f, "{service} replaced"),
            Self::Create(creation) => {
                write!(f, "create {}", creation.name)?;
                for key in &creation.nameless {
                    write!(f, " (no names on {key})")?;
                }
                let joins: Vec<String> = creation.joins.iter().map(ToString::to_string).collect();
                if joins.is_empty() {
                    return Ok(());
                }
                write!(f, " (joins {})", joins.join(" or "))
            }
            Self::To(container, act) => {
                let name = &container.name;
                match act {
                    Act::Start { .. } => write!(f, "start {name}"),
                    Act::Await { goal, .. } => write!(f, "await {name} {goal}"),
                    Act::GiveNames { networks, .. } => {
                        let networks: Vec<&str> = networks.iter().map(NetworkKey::as_str).collect();
                        write!(f, "name {name} on {}", networks.join(", "))
                    }
                    Act::Watch { period, .. } => {
                        write!(f, "watch {name} {}", text::duration(*period))
                    }
                    Act::PostStart { .. } => write!(f, "post_start {name}"),
                    Act::PreStop { .. } => write!(f, "pre_stop {name}"),
                    Act::Stop { .. } => write!(f, "stop {name}"),
                    Act::Remove => write!(f, "remove {name}"),
                    Act::LookAgain => write!(f, "does {name} still fail?"),
                }
            }
            Self::Discard { name } => write!(f, "discard {name}"),
            Self::Compare { container, .. } => write!(f, "does the image of {container} differ?"),
            Self::Delay { period } => write!(f, "wait {}", text::duration(*period)),
        }
    }
}
