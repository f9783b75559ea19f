//! Tasks: what a Swarm runs of a service, each on one node.

use std::collections::HashMap;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::models::{self, TaskSpec, TaskState};
use bollard::query_parameters::{ListTasksOptions, ListTasksOptionsBuilder};
use futures_util::TryStreamExt;

use super::settings;
use crate::Engine;
use crate::api::LogOptions;
use crate::error::{EngineContext, Error, Result};

/// For a log, which comes from another node.
const LOG_TIMEOUT: Duration = Duration::from_secs(15);

/// A task, as the manager last heard of it.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its id.
    pub id: String,
    /// Its number within a replicated service.
    pub slot: Option<i64>,
    /// The node that it was given to.
    pub node: Option<String>,
    /// What it does.
    pub state: TaskState,
    /// Whether it is meant to run, and not history.
    pub wanted: bool,
    /// Since when it does it, RFC 3339.
    pub since: Option<String>,
    /// When it was made, RFC 3339.
    pub created: Option<String>,
    /// Why it doesn't run.
    pub error: Option<String>,
    /// Of its container.
    pub exit_code: Option<i64>,
    /// Of its container, once it has one.
    pub container: Option<String>,
    /// What it was made from.
    pub image: String,
    spec: TaskSpec,
}

impl Task {
    /// Whether it does its work; where there is a health check, that passes.
    pub fn runs(&self) -> bool {
        self.wanted && self.state == TaskState::RUNNING
    }

    /// Whether there is something of it on its node, or is about to be.
    pub fn is_live(&self) -> bool {
        !matches!(
            self.state,
            TaskState::COMPLETE
                | TaskState::SHUTDOWN
                | TaskState::FAILED
                | TaskState::REJECTED
                | TaskState::REMOVE
                | TaskState::ORPHANED
        )
    }

    /// Whether it came to an end that it shouldn't have.
    pub fn failed(&self) -> bool {
        matches!(
            self.state,
            TaskState::FAILED | TaskState::REJECTED | TaskState::ORPHANED
        )
    }

    /// Whether it was made from this. Of health checks nothing is known (see [`HEALTH`](crate::labels::HEALTH)).
    pub fn is_of(&self, template: &TaskSpec) -> bool {
        let unchecked = |template: &TaskSpec| {
            let mut template = template.clone();
            if let Some(container) = &mut template.container_spec {
                container.health_check = None;
            }
            settings::of_task(&template)
        };
        unchecked(&self.spec) == unchecked(template)
            && self.spec.force_update.unwrap_or(0) == template.force_update.unwrap_or(0)
    }

    /// What went wrong, in a line; none where nothing did.
    pub fn complaint(&self) -> Option<String> {
        let error = self.error.as_deref().filter(|it| !it.is_empty())?;
        let code = self
            .exit_code
            .filter(|code| *code != 0 && !error.contains("exit"));
        let code = code.map(|code| format!(" (exit status {code})"));
        Some(format!("{error}{}", code.unwrap_or_default()))
    }

    /// All that it has printed, which the managers pass on from its node.
    ///
    /// # Errors
    /// When the engine refuses, or the log doesn't come.
    pub async fn log(&self, engine: &Engine) -> Result<Vec<LogOutput>> {
        let pieces = engine.task_logs(&self.id, LogOptions::default());
        match tokio::time::timeout(LOG_TIMEOUT, pieces.try_collect()).await {
            Ok(read) => read.doing(|| "read a task's log".to_owned()),
            Err(_) => Err(Error::failed("a task's log didn't come", "run it again")),
        }
    }
}

/// The tasks of a service, the newest first.
///
/// # Errors
/// When the engine isn't a manager, or doesn't answer.
pub async fn of_service(engine: &Engine, service: &str) -> Result<Vec<Task>> {
    let filters = HashMap::from([("service", vec![service])]);
    let options = ListTasksOptionsBuilder::new().filters(&filters).build();
    let tasks = engine.docker().list_tasks(Some(options)).await;
    let tasks = tasks.doing(|| format!("list the tasks of {service}"))?;
    let mut tasks: Vec<Task> = tasks.into_iter().map(Task::from).collect();
    tasks.sort_by(|a, b| b.created.cmp(&a.created));
    Ok(tasks)
}

impl From<models::Task> for Task {
    fn from(task: models::Task) -> Self {
        let status = task.status.unwrap_or_default();
        let container = status.container_status.unwrap_or_default();
        let spec = task.spec.unwrap_or_default();
        Self {
            id: task.id.unwrap_or_default(),
            slot: task.slot.filter(|slot| *slot != 0),
            node: task.node_id.filter(|it| !it.is_empty()),
            state: status.state.unwrap_or(TaskState::NEW),
            wanted: matches!(
                task.desired_state,
                Some(TaskState::RUNNING | TaskState::READY | TaskState::COMPLETE)
            ),
            since: status.timestamp,
            created: task.created_at,
            error: status.err,
            exit_code: container.exit_code,
            container: container.container_id.filter(|it| !it.is_empty()),
            image: spec
                .container_spec
                .as_ref()
                .and_then(|it| it.image.clone())
                .unwrap_or_default(),
            spec,
        }
    }
}

/// The tasks of a service that was removed, which haven't ended yet.
///
/// # Errors
/// When the engine isn't a manager, or doesn't answer.
pub async fn left_of(engine: &Engine, service_id: &str) -> Result<Vec<Task>> {
    let tasks = engine.docker().list_tasks(None::<ListTasksOptions>).await;
    let tasks = tasks.doing(|| "list the Swarm's tasks".into())?.into_iter();
    let of_it = tasks.filter(|it| it.service_id.as_deref() == Some(service_id));
    Ok(of_it.map(Task::from).collect())
}
