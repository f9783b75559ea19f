//! What only a Swarm carries out: where tasks go, how they are found, and configs.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::values::optional_duration;
use super::{ConfigName, FileMount};

/// `deploy.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// As many tasks as `replicas` says.
    #[default]
    Replicated,
    /// One task on each node.
    Global,
}

/// `deploy.endpoint_mode`: what a service's name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EndpointMode {
    /// One address, behind which the kernel (IPVS) chooses a task for each connection.
    Vip,
    /// The addresses of all tasks.
    Dnsrr,
}

/// `deploy.placement`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Placement {
    /// What is to be so of a node, all of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<Constraint>,
    /// Over which kinds of nodes tasks are spread.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub preferences: Vec<Preference>,
    /// How many tasks of the service one node takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_replicas_per_node: Option<u32>,
}

impl Placement {
    /// The constraints that tell one node from the others: by its label, name or id.
    pub fn pins(&self) -> impl Iterator<Item = &Constraint> {
        self.constraints.iter().filter(|it| it.is_pin())
    }
}

/// One of `deploy.placement.constraints`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint {
    /// `node.labels.db`, `node.role`, …
    pub key: String,
    /// `==`, not `!=`.
    pub equal: bool,
    /// What it is compared with.
    pub value: String,
}

impl Constraint {
    /// Reads one as the file and the engine write it: `node.labels.db == 1`. None where it isn't one.
    pub fn parse(text: &str) -> Option<Self> {
        let (at, equal) = match (text.find("=="), text.find("!=")) {
            (Some(at), None) => (at, true),
            (None, Some(at)) => (at, false),
            _ => return None,
        };
        let (key, value) = (text[..at].trim(), text[at + 2..].trim());
        let label = ["node.labels.", "engine.labels."]
            .iter()
            .any(|prefix| key.strip_prefix(prefix).is_some_and(|it| !it.is_empty()));
        let known = matches!(
            key,
            "node.id"
                | "node.hostname"
                | "node.ip"
                | "node.role"
                | "node.platform.os"
                | "node.platform.arch"
        );
        let valid = (label || known) && !value.is_empty() && !key.contains(char::is_whitespace);
        valid.then(|| Self {
            key: key.to_owned(),
            equal,
            value: value.to_owned(),
        })
    }

    /// The node's label that it is about.
    pub fn label(&self) -> Option<&str> {
        self.key.strip_prefix("node.labels.")
    }

    fn is_pin(&self) -> bool {
        let names = matches!(self.key.as_str(), "node.id" | "node.hostname");
        self.equal && (names || self.label().is_some())
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operator = if self.equal { "==" } else { "!=" };
        write!(f, "{} {operator} {}", self.key, self.value)
    }
}

impl Serialize for Constraint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One of `deploy.placement.preferences`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preference {
    /// Evenly over the values of this (`node.labels.zone`).
    pub spread: String,
}

/// `deploy.restart_policy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TaskRestart {
    /// When a task that ended is replaced.
    pub condition: RestartCondition,
    /// Before it is.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "optional_duration"
    )]
    pub delay: Option<Duration>,
    /// So many times; `None`: without end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// Within this time; `None`: ever.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "optional_duration"
    )]
    pub window: Option<Duration>,
}

/// `deploy.restart_policy.condition`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartCondition {
    /// Never.
    None,
    /// When it failed.
    OnFailure,
    /// However it ended.
    #[default]
    Any,
}

/// A part of a whole, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio(pub(crate) u32);

impl Ratio {
    /// From 0 to 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 1e6
    }
}

impl Serialize for Ratio {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.fraction())
    }
}

/// `mode` of a published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PublishMode {
    /// On every node, which leads to some task (the routing mesh).
    Ingress,
    /// On the nodes that have a task, which leads to that.
    Host,
}

/// An entry of the top-level `configs`: a file that services see and that is no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Config {
    /// A file on this host, absolute. Whether it exists isn't checked on loading.
    File(PathBuf),
    /// The content itself.
    Content(String),
}

/// A config as a service sees it; at `/<source>` by default.
pub type ConfigMount = FileMount<ConfigName>;

/// `x-swarm`, an extension that other tools skip: how what is on one node gets to the others.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Swarm {
    /// Where images are pushed to, and nodes pull them from: `HOST[:PORT][/PREFIX]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    /// Where a node's SSH server is: `[USER@]HOST[:PORT]`, with `{address}` or `{name}` for the node's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh: Option<String>,
}
