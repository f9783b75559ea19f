//! Waits until the engine has brought a service to where it was told, or says why it didn't.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use compose_file::model::{Healthcheck, Mode, Service};
use engine::Engine;
use engine::api::{LogOptions, ServiceSpec, ServiceUpdateStatusStateEnum as Update, TaskState};
use engine::error::{Error, Result};
use engine::said;
use engine::swarm::node::Node;
use engine::swarm::settings;
use engine::swarm::stack::{self, Stack};
use engine::swarm::task::{self, Task as SwarmTask};
use futures_util::StreamExt;
use serde_json::Value;

use crate::output::{Output, text};

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
const LINES: u32 = 10;
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

/// What there is to see of a service at one moment.
struct Look {
    /// What the engine says of the last update.
    update: Option<Update>,
    /// Whether it is still to be what it was told.
    is_told: bool,
    tasks: Vec<SwarmTask>,
    /// So many tasks are the new ones and do their work.
    ready: usize,
    /// So many are to.
    to_be: usize,
    /// Nothing is to run: no replicas, or no node that takes tasks of a global service.
    may_be_none: bool,
}

/// What a look says.
enum Verdict {
    /// On its way.
    Moving,
    /// The engine takes the update back.
    GoingBack,
    /// Every task is the new one and does its work.
    There {
        /// The engine has watched them for long enough.
        watched: bool,
    },
    /// It was told something else meanwhile.
    Changed,
    /// It won't get there.
    Failed(&'static str),
}

impl Look {
    fn wanted(&self) -> impl Iterator<Item = &SwarmTask> {
        self.tasks.iter().filter(|it| it.wanted)
    }

    /// Those that failed, but for `earlier` ones.
    fn failed(&self, earlier: &[String]) -> Vec<&SwarmTask> {
        let failed = self.tasks.iter().filter(|it| it.failed());
        failed.filter(|it| !earlier.contains(&it.id)).collect()
    }

    fn verdict(&self, failed: usize) -> Verdict {
        match self.update {
            Some(Update::ROLLBACK_STARTED) => Verdict::GoingBack,
            Some(Update::ROLLBACK_COMPLETED) => Verdict::Failed(
                "the new version failed, and the engine went back to the one before, which runs",
            ),
            Some(Update::ROLLBACK_PAUSED) => Verdict::Failed(
                "the new version failed, and so did going back to the one before; the engine paused",
            ),
            Some(Update::PAUSED) => Verdict::Failed(
                "the new version failed, and the engine paused the update (failure_action: pause)",
            ),
            _ if !self.is_told => Verdict::Changed,
            Some(Update::UPDATING) => Verdict::Moving,
            // Where nothing was updated, nobody else watches.
            _ if failed >= FAILURES && self.ready == 0 => Verdict::Failed("its tasks fail"),
            update => {
                let all = self.ready == self.to_be && self.wanted().count() == self.to_be;
                // Tasks of a global service are made a moment after it.
                if all && (self.to_be > 0 || self.may_be_none) {
                    let watched = update == Some(Update::COMPLETED);
                    Verdict::There { watched }
                } else {
                    Verdict::Moving
                }
            }
        }
    }

    fn detail(&self) -> String {
        let waiting = self.wanted().find(|it| it.state == TaskState::PENDING);
        let why = waiting.and_then(SwarmTask::complaint);
        let why = why.map(|why| format!(": {}", text::escape(&why)));
        let Self { ready, to_be, .. } = self;
        format!("{ready} of {to_be} tasks run{}", why.unwrap_or_default())
    }
}

impl Wait<'_> {
    /// Until every task is the new one and does its work. `told` is what the service was told to be.
    ///
    /// # Errors
    /// With what the tasks complained of.
    pub(super) async fn until_converged(&self, told: &ServiceSpec, what: &str) -> Result<()> {
        let task = self.output.task(&format!("service {}", self.name), what);
        let told = settings::of_service(told);
        // Tasks that failed before aren't to blame for anything.
        let earlier = self.look(&told).await?.tasks.into_iter();
        let earlier: Vec<String> = earlier.filter(SwarmTask::failed).map(|it| it.id).collect();
        let mut steady: Option<Instant> = None;
        let mut moved = (Vec::new(), Instant::now());
        loop {
            let look = self.look(&told).await?;
            let failed = look.failed(&earlier);
            match look.verdict(failed.len()) {
                Verdict::There { watched } => {
                    let since = *steady.get_or_insert_with(Instant::now);
                    if watched || since.elapsed() >= SETTLE {
                        task.done(&match look.ready {
                            1 => "1 task runs".to_owned(),
                            count => format!("{count} tasks run"),
                        });
                        return Ok(());
                    }
                }
                Verdict::Moving => steady = None,
                Verdict::GoingBack => {
                    task.detail("the new version failed: the engine goes back to the one before");
                }
                Verdict::Changed => {
                    return Err(Error::failed(
                        format!(
                            "service {} was changed by somebody else meanwhile",
                            self.name
                        ),
                        "run `deploy up` again",
                    ));
                }
                Verdict::Failed(why) => return Err(self.failure(why, &failed).await),
            }
            if look.update != Some(Update::ROLLBACK_STARTED) {
                task.detail(&look.detail());
            }
            let states = look.tasks.iter().map(|it| (it.id.clone(), it.state));
            let states: Vec<(String, TaskState)> = states.collect();
            if states != moved.0 {
                moved = (states, Instant::now());
            }
            if moved.1.elapsed() > self.timeout.unwrap_or_else(|| allowance(self.service)) {
                let why = format!("{}, and nothing has happened for a while", look.detail());
                let still: Vec<&SwarmTask> = look.wanted().filter(|it| !it.runs()).collect();
                let shown = if still.is_empty() { &failed } else { &still };
                return Err(self.failure(&why, shown).await);
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    async fn look(&self, told: &Value) -> Result<Look> {
        let service = stack::Service::inspect(self.engine, self.name).await?;
        let tasks = self.tasks().await?;
        let template = service.spec.task_template.clone().unwrap_or_default();
        let new = |it: &&SwarmTask| it.runs() && it.is_of(&template);
        let global = self.service.deploy.mode == Mode::Global;
        let to_be = if global {
            let wanted = tasks.iter().filter(|it| it.wanted);
            wanted.map(|it| &it.node).collect::<BTreeSet<_>>().len()
        } else {
            usize::try_from(self.service.deploy.replicas).unwrap_or(usize::MAX)
        };
        Ok(Look {
            update: service.update.as_ref().and_then(|it| it.state),
            is_told: settings::of_service(&service.spec) == *told,
            ready: tasks.iter().filter(new).count(),
            to_be,
            may_be_none: !global || !self.stack.nodes.iter().any(Node::takes_tasks),
            tasks,
        })
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
        let without =
            |it: &&SwarmTask| it.complaint().is_some_and(|it| said::is_without_image(&it));
        let node = tasks
            .iter()
            .copied()
            .find(without)
            .and_then(|it| it.node.as_deref());
        let node = self.stack.nodes.iter().find(|it| Some(&*it.id) == node);
        let next = match node {
            Some(node) => format!(
                "CAUSEWAY_NODE_SSH or CAUSEWAY_REGISTRY in .env has `deploy up` bring the image to node {} (docs/swarm.md); \
                 by hand it is `docker save {} | ssh root@{} docker load`",
                node.name, self.service.image, node.address
            ),
            None => format!(
                "see `deploy logs {key}` and `docker service ps --no-trunc {}`, then run `deploy up` again",
                self.name
            ),
        };
        Error::failed(format!("service {}: {what}", self.name), next).with_details(complaints)
    }
}

impl Wait<'_> {
    /// What a task printed last; nothing where its node can't be asked.
    async fn last_lines(&self, task: &SwarmTask) -> Vec<String> {
        let last = LogOptions {
            tail: Some(LINES),
            ..LogOptions::default()
        };
        let lines = self.engine.task_logs(&task.id, last);
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
