//! A database whose services are one replica set.

use indexmap::IndexMap;
use serde::Serialize;

use super::{Project, ServiceName};

/// `x-replica-set`, an extension that other tools skip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplicaSet {
    /// The name that its members have of it (`--replSet`).
    pub name: String,
    /// The services that are its members. The first one's data is what a set that is new begins with.
    pub members: Vec<ServiceName>,
    /// Settings of the set as a whole.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub settings: IndexMap<String, i64>,
    /// What makes it so, run in a member's container with all this on standard input.
    pub command: Vec<String>,
}

impl Project {
    /// The replica set that a service is a member of.
    pub fn replica_set_of(&self, service: &str) -> Option<&ReplicaSet> {
        let set = self.replica_set.as_ref()?;
        let mut members = set.members.iter();
        members.any(|it| it.as_str() == service).then_some(set)
    }
}
