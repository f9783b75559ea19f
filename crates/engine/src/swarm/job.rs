//! Something that runs once, on a node of the Swarm, and ends: a service of its own (`mode:
//! replicated-job`) that is there for as long. What it reads is a secret of the Swarm, which is gone with
//! it.

use std::time::{Duration, Instant};

use bollard::container::LogOutput;
use bollard::models::{
    HealthConfig, MountTmpfsOptions, MountType, ServiceSpec, ServiceSpecMode,
    ServiceSpecModeReplicatedJob, TaskSpecContainerSpecFile, TaskSpecContainerSpecSecrets,
    TaskSpecPlacement, TaskSpecRestartPolicy, TaskSpecRestartPolicyConditionEnum, TaskState,
};

use super::object::{Kind, New};
use super::stack::Service;
use super::task::{self, Task};
use crate::Engine;
use crate::error::{Error, Result};
use crate::labels;

/// How often the engine is asked.
const INTERVAL: Duration = Duration::from_millis(300);
/// From the node's hearing of it to its end: as long as a command in a container may take, and a start.
const PATIENCE: Duration = Duration::from_secs(180);
/// The log of what has just ended may lag behind.
const LOG_PATIENCE: Duration = Duration::from_secs(10);
/// Where the input is found.
const INPUT: &str = "/run/job-input";

/// What is to run.
#[derive(Debug)]
pub struct Job<'a> {
    /// Whose it is.
    pub project: &'a str,
    /// Its name within the project.
    pub name: &'a str,
    /// It runs with what this one has: image, user, networks, secrets, limits. Not with its data.
    pub like: ServiceSpec,
    /// The node's id.
    pub node: &'a str,
    /// What is run.
    pub command: &'a [String],
    /// What it finds on standard input.
    pub input: &'a [u8],
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    /// 0: well.
    pub status: i64,
    /// What it wrote.
    pub said: String,
}

impl Job<'_> {
    /// Runs it to its end, and leaves nothing of it.
    ///
    /// # Errors
    /// When the engine refuses, or it doesn't end in time.
    pub async fn run(self, engine: &Engine) -> Result<Ended> {
        let (project, key) = (self.project, self.name);
        remove(engine, project, key).await?;
        let input = New::of(Kind::Secret, project, key, self.input);
        let input = input.create(engine).await?;
        let name = service_name(project, key);
        let spec = self.spec(&input.id, &input.name);
        let ended = match Service::create(engine, spec, None).await {
            Ok(_) => until_over(engine, &name).await,
            Err(error) => Err(error),
        };
        // The service first: a secret that one refers to can't go. Both are tried: what is secret isn't to
        // stay because something else does.
        let service = remove(engine, project, key).await;
        let secret = input.remove(engine).await;
        let ended = ended?;
        service.and(secret)?;
        Ok(ended)
    }

    fn spec(self, input_id: &str, input_name: &str) -> ServiceSpec {
        let mut task = self.like.task_template.unwrap_or_default();
        let mut container = task.container_spec.take().unwrap_or_default();
        let shell = ["sh", "-c", "exec \"$@\" <\"$0\"", INPUT];
        container.command = Some(shell.map(str::to_owned).into());
        container.args = Some(self.command.to_vec());
        container.hostname = None;
        container.health_check = Some(HealthConfig {
            test: Some(vec!["NONE".to_owned()]),
            ..HealthConfig::default()
        });
        container
            .secrets
            .get_or_insert_default()
            .push(TaskSpecContainerSpecSecrets {
                file: Some(TaskSpecContainerSpecFile {
                    name: Some(INPUT.to_owned()),
                    uid: Some("0".to_owned()),
                    gid: Some("0".to_owned()),
                    // For whichever user it runs as; it is alone there.
                    mode: Some(super::spec::READABLE),
                }),
                secret_id: Some(input_id.to_owned()),
                secret_name: Some(input_name.to_owned()),
            });
        // In the place of data there is nothing.
        for mount in container.mounts.iter_mut().flatten() {
            if mount.typ == Some(MountType::VOLUME) {
                mount.typ = Some(MountType::TMPFS);
                (mount.source, mount.read_only, mount.volume_options) = (None, None, None);
                mount.tmpfs_options = Some(MountTmpfsOptions {
                    mode: Some(0o1777),
                    ..MountTmpfsOptions::default()
                });
            }
        }
        task.container_spec = Some(container);
        task.force_update = None;
        // Nobody is to find it by the name of the service that it is like.
        for network in task.networks.iter_mut().flatten() {
            network.aliases = None;
        }
        task.placement = Some(TaskSpecPlacement {
            constraints: Some(vec![format!("node.id == {}", self.node)]),
            ..TaskSpecPlacement::default()
        });
        task.restart_policy = Some(TaskSpecRestartPolicy {
            condition: Some(TaskSpecRestartPolicyConditionEnum::NONE),
            ..TaskSpecRestartPolicy::default()
        });
        ServiceSpec {
            name: Some(service_name(self.project, self.name)),
            // Not the stack's: what compares that with a file isn't to meet it.
            labels: Some([(labels::PROJECT.to_owned(), self.project.to_owned())].into()),
            task_template: Some(task),
            mode: Some(ServiceSpecMode {
                replicated_job: Some(ServiceSpecModeReplicatedJob {
                    max_concurrent: Some(1),
                    total_completions: Some(1),
                }),
                ..ServiceSpecMode::default()
            }),
            ..ServiceSpec::default()
        }
    }
}

/// Removes what is left of one that was interrupted.
///
/// # Errors
/// When the engine refuses.
pub async fn remove(engine: &Engine, project: &str, name: &str) -> Result<()> {
    super::stack::remove_service(engine, &service_name(project, name)).await
}

fn service_name(project: &str, name: &str) -> String {
    format!("{project}_{name}")
}

async fn until_over(engine: &Engine, name: &str) -> Result<Ended> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let task = task::of_service(engine, name).await?.into_iter().next();
        if let Some(task) = &task
            && (task.failed() || task.state == TaskState::COMPLETE)
        {
            return over(engine, task).await;
        }
        if Instant::now() > deadline {
            let complaint =
                task.and_then(|it| Some(format!("{:?}: {}", it.state, it.complaint()?)));
            return Err(Error::failed(
                format!(
                    "{name} didn't come to its end within {} s",
                    PATIENCE.as_secs()
                ),
                "see whether its node is well (`deploy nodes`), then run again",
            )
            .with_details(complaint));
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn over(engine: &Engine, task: &Task) -> Result<Ended> {
    let status = match task.state {
        TaskState::COMPLETE => 0,
        _ => task.exit_code.filter(|code| *code != 0).unwrap_or(-1),
    };
    let deadline = Instant::now() + LOG_PATIENCE;
    let mut said = log(engine, task).await;
    while task.container.is_some() && said.is_empty() && Instant::now() < deadline {
        tokio::time::sleep(INTERVAL).await;
        said = log(engine, task).await;
    }
    // It never began: the node's engine says why.
    if said.is_empty() {
        said = task.complaint().unwrap_or_default();
    }
    Ok(Ended { status, said })
}

/// Where its node can't be asked, there is nothing.
async fn log(engine: &Engine, task: &Task) -> String {
    let pieces = task.log(engine).await.unwrap_or_default().into_iter();
    let said: Vec<u8> = pieces.flat_map(LogOutput::into_bytes).collect();
    String::from_utf8_lossy(&said).into_owned()
}
