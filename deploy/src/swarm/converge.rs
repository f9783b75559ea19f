//! Waits until the engine has brought a service to where it was told, or says why it didn't.

use std::time::{Duration, Instant};

use bollard::models::{ServiceSpec, ServiceUpdateStatusStateEnum as Update, TaskState};
use bollard::query_parameters::LogsOptionsBuilder;
use compose_file::model::{Healthcheck, Mode, Service};
use engine::Engine;
use engine::error::{Error, Result};
use engine::swarm::settings;
use engine::swarm::stack::{self, Stack};
use engine::swarm::task::{self, Task as SwarmTask};
use futures_util::StreamExt;

use crate::output::{Output, Task, text};

/// How often the engine is asked.
const INTERVAL: Duration = Duration::from_millis(300);
/// What was made anew has to run this long; the engine itself watches updates.
const SETTLE: Duration = Duration::from_secs(2);
/// On top of what the health check may take, until something has to have happened.
const PATIENCE: Duration = Duration::from_secs(90);
/// So many tasks that failed are no bad luck.
const FAILURES: usize = 3;
/// So many of their complaints are shown.
const SHOWN: usize = 4;
/// Lines of a log that a failure shows, and how long they are waited for.
const LINES: &str = "10";
const LOG_TIMEOUT: Duration = Duration::from_secs(5);

/// What is waited for.
pub(super) struct Wait<'a> {
    pub(super) engine: &'a Engine,
    pub(super) output: &'a Output,
    /// For the nodes' names.
    pub(super) stack: &'a Stack,
    /// On the engine.
    pub(super) name: &'a str,
    pub(super) service: &'a Service,
    /// Nothing may happen for so long; none: what the health check allows, and more.
    pub(super) timeout: Option<Duration>,
}

impl Wait<'_> {
    /// Until every task is the new one and does its work. `told` is what the service was told to be.
    ///
    /// # Errors
    /// With what the tasks complained of.
    pub(super) async fn until_converged(&self, told: &ServiceSpec, what: &str) -> Result<()> {
        let task = self.output.task(&format!("service {}", self.name), what);
        // Tasks that failed before aren't to blame for anything.
        let earlier: Vec<String> = self.tasks().await?.into_iter().map(|it| it.id).collect();
        let told = settings::of_service(told);
        let mut steady: Option<Instant> = None;
        let mut moved = (Vec::new(), Instant::now());
        loop {
            let service = stack::Service::inspect(self.engine, self.name).await?;
            let tasks = self.tasks().await?;
            let template = service.spec.task_template.clone().unwrap_or_default();
            let is_told = settings::of_service(&service.spec) == told;
            let wanted: Vec<&SwarmTask> = tasks.iter().filter(|it| it.wanted).collect();
            let ready = wanted
                .iter()
                .filter(|it| it.runs() && it.is_of(&template))
                .count();
            let to_be = match self.service.deploy.mode {
                Mode::Replicated => {
                    usize::try_from(self.service.deploy.replicas).unwrap_or(usize::MAX)
                }
                Mode::Global => wanted.len(),
            };
            let failed: Vec<&SwarmTask> = tasks
                .iter()
                .filter(|it| it.failed() && !earlier.contains(&it.id))
                .collect();
            let state = service.update.as_ref().and_then(|it| it.state);
            match state {
                Some(Update::ROLLBACK_STARTED) => {
                    task.detail("the new version failed: the engine goes back to the one before");
                }
                Some(Update::ROLLBACK_COMPLETED) => {
                    return Err(self.failure(
                        "the new version failed, and the engine went back to the one before, which runs",
                        &failed,
                    ).await);
                }
                Some(Update::ROLLBACK_PAUSED) => {
                    return Err(self.failure(
                        "the new version failed, and so did going back to the one before; the engine paused",
                        &failed,
                    ).await);
                }
                Some(Update::PAUSED) => {
                    return Err(self.failure(
                        "the new version failed, and the engine paused the update (failure_action: pause)",
                        &failed,
                    ).await);
                }
                _ if !is_told => {
                    return Err(Error::failed(
                        format!(
                            "service {} was changed by somebody else meanwhile",
                            self.name
                        ),
                        "run `deploy up` again",
                    ));
                }
                Some(Update::UPDATING) => detail(&task, ready, to_be, &wanted),
                // Without a new task there is nothing that the engine would watch.
                _ if failed.len() >= FAILURES && ready == 0 => {
                    return Err(self.failure("its tasks fail", &failed).await);
                }
                _ => {
                    let there = ready == to_be && wanted.len() == to_be;
                    let nowhere = to_be == 0 && self.service.deploy.mode == Mode::Global;
                    if there
                        && !(nowhere && self.stack.nodes.iter().any(|it| it.ready && it.active))
                    {
                        let since = *steady.get_or_insert_with(Instant::now);
                        if state == Some(Update::COMPLETED) || since.elapsed() >= SETTLE {
                            break;
                        }
                    } else {
                        steady = None;
                    }
                    detail(&task, ready, to_be, &wanted);
                }
            }
            let signature: Vec<(String, TaskState)> =
                tasks.iter().map(|it| (it.id.clone(), it.state)).collect();
            if signature != moved.0 {
                moved = (signature, Instant::now());
            }
            if moved.1.elapsed() > self.timeout.unwrap_or_else(|| allowance(self.service)) {
                let still: Vec<&SwarmTask> = wanted.into_iter().filter(|it| !it.runs()).collect();
                let shown = if still.is_empty() { &failed } else { &still };
                return Err(self
                    .failure(
                        &format!(
                            "{ready} of {to_be} tasks run, and nothing has happened for a while"
                        ),
                        shown,
                    )
                    .await);
            }
            tokio::time::sleep(INTERVAL).await;
        }
        let count = self.tasks().await?.iter().filter(|it| it.runs()).count();
        task.done(&match count {
            1 => "1 task runs".to_owned(),
            count => format!("{count} tasks run"),
        });
        Ok(())
    }

    async fn tasks(&self) -> Result<Vec<SwarmTask>> {
        task::of_service(self.engine, self.name).await
    }

    async fn failure(&self, what: &str, tasks: &[&SwarmTask]) -> Error {
        let mut complaints: Vec<String> = Vec::new();
        for task in tasks {
            let Some(complaint) = task.complaint() else {
                continue;
            };
            let node = task.node.as_deref().map(|id| self.stack.node_name(id));
            let node = node.map(|node| format!("on {node}: ")).unwrap_or_default();
            let line = format!("{node}{}", text::escape(&complaint));
            if !complaints.contains(&line) && complaints.len() < SHOWN {
                complaints.push(line);
            }
        }
        if let Some(task) = tasks.iter().find(|it| it.container.is_some()) {
            complaints.extend(self.last_lines(task).await);
        }
        let key = self.name.split_once('_').map_or(self.name, |(_, key)| key);
        Error::failed(
            format!("service {}: {what}", self.name),
            format!("see `deploy logs {key}` and `docker service ps --no-trunc {}`, then run `deploy up` again", self.name),
        )
        .with_details(complaints)
    }
}

impl Wait<'_> {
    /// What a task printed last; nothing where its node can't be asked.
    async fn last_lines(&self, task: &SwarmTask) -> Vec<String> {
        let options = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .tail(LINES)
            .build();
        let lines = self.engine.docker().task_logs(&task.id, Some(options));
        let lines = lines.filter_map(async |it| Some(text::printable(&it.ok()?.into_bytes())));
        let lines: Vec<String> = tokio::time::timeout(LOG_TIMEOUT, lines.map(Into::into).collect())
            .await
            .unwrap_or_default();
        if lines.is_empty() {
            return lines;
        }
        let heading = "the last lines of its log:".to_owned();
        let lines = lines.into_iter().map(|line| format!("  {line}"));
        std::iter::once(heading).chain(lines).collect()
    }
}

fn detail(task: &Task<'_>, ready: usize, to_be: usize, wanted: &[&SwarmTask]) {
    let waiting = wanted.iter().find(|it| it.state == TaskState::PENDING);
    let why = waiting.and_then(|it| it.complaint());
    let why = why.map(|why| format!(": {}", text::escape(&why)));
    task.detail(&format!(
        "{ready} of {to_be} tasks run{}",
        why.unwrap_or_default()
    ));
}

/// How long nothing may happen: a task that is being checked is in one state all the while.
fn allowance(service: &Service) -> Duration {
    let none = Healthcheck::default();
    let check = service.healthcheck.as_ref().unwrap_or(&none);
    let time = |set: Option<Duration>| set.unwrap_or(Duration::from_secs(30));
    let round = time(check.interval).saturating_add(time(check.timeout));
    let rounds = round.saturating_mul(check.retries.unwrap_or(3));
    let stop = service.stop_grace_period.unwrap_or(Duration::from_secs(10));
    check
        .start_period
        .unwrap_or_default()
        .saturating_add(rounds)
        .saturating_add(stop)
        .saturating_add(PATIENCE)
}
