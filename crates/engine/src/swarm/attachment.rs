//! Which networks tasks are on, and with which addresses: a part of tasks that the client library
//! leaves out (`NetworksAttachments`, Engine API 1.41, `GET /tasks`).

use std::collections::HashMap;

use serde::Deserialize;

use crate::Engine;
use crate::error::Result;

/// `{"desired-state":["running"]}`.
const RUNNING: &str = "%7B%22desired-state%22%3A%5B%22running%22%5D%7D";

/// A task's place on a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The network's id.
    pub id: String,
    /// The network's name.
    pub network: String,
    /// Each with the length of the network's prefix: `10.0.1.3/24`.
    pub addresses: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Task {
    #[serde(rename = "ID")]
    id: String,
    networks_attachments: Option<Vec<Attached>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attached {
    network: Network,
    addresses: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Network {
    #[serde(rename = "ID")]
    id: String,
    spec: Spec,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Spec {
    name: String,
}

/// Those of all tasks that are to run, by the task's id.
///
/// # Errors
/// When the engine isn't a manager, or doesn't answer.
pub async fn all(engine: &Engine) -> Result<HashMap<String, Vec<Attachment>>> {
    let path = format!("/tasks?filters={RUNNING}");
    let tasks: Vec<Task> = engine.get(&path, "list the Swarm's tasks").await?;
    let all = tasks.into_iter().map(|task| {
        let attached = task.networks_attachments.unwrap_or_default().into_iter();
        let attachments = attached.map(|it| Attachment {
            id: it.network.id,
            network: it.network.spec.name,
            addresses: it.addresses.unwrap_or_default(),
        });
        (task.id, attachments.collect())
    });
    Ok(all.collect())
}
