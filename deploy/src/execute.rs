//! Carries a plan out, operation by operation, each as soon as what it needs is done. It decides
//! nothing: which way is taken on which outcome is in the plan.

mod container;
mod resource;
mod walk;

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use compose_file::Project;
use compose_file::model::ServiceName;
use engine::Engine;
use engine::concurrency;
use engine::error::{Error, Result};
use engine::exec::Within;
use engine::health::{self, Gate, Goal};
use engine::image::{self, Images};
use engine::state::{Container, Health, Status};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use walk::{Outcome, Walk};

use crate::hooks;
use crate::output::{Output, Task};
use crate::plan::{Act, Graph, Need, NodeId, Operation, Plan, Target, TransactionId};
use crate::replica_set;
use crate::rotation::tell::tell;
use crate::secrets;

/// Carries plans out.
pub(crate) struct Executor<'a> {
    engine: &'a Engine,
    output: &'a Output,
    project: &'a Project,
    timeout: Option<Duration>,
    /// The lines of progress that go on, with what was said last.
    tasks: RefCell<HashMap<String, (Task<'a>, &'static str)>>,
}

/// Something that has come to its end.
enum Event {
    Operation(NodeId, Result<Outcome>),
    Undoing(TransactionId, Result<Vec<String>>),
}

impl<'a> Executor<'a> {
    /// On an engine. `timeout` is how long a container may take to become ready; `None`: its health
    /// check says.
    pub(crate) fn new(
        engine: &'a Engine,
        output: &'a Output,
        project: &'a Project,
        timeout: Option<Duration>,
    ) -> Self {
        Self {
            engine,
            output,
            project,
            timeout,
            tasks: RefCell::default(),
        }
    }

    /// Does everything that the plan says. What was built and pulled is noted in `images`.
    ///
    /// # Errors
    /// The first failure, with those of other services below it. What doesn't depend on what failed
    /// is done all the same.
    pub(crate) async fn run(&self, plan: &Plan, images: &mut Images) -> Result<()> {
        let graph = &plan.graph;
        let mut walk = Walk::new(graph);
        let mut running: FuturesUnordered<LocalBoxFuture<'_, Event>> = FuturesUnordered::new();
        loop {
            for (id, operation) in walk.begin() {
                let goes_on = goes_on(graph, id);
                running.push(Box::pin(async move {
                    let result = self.carry_out(&operation, goes_on).await;
                    let service = graph.node(id).service.as_ref();
                    let explained = |err: Error| err.with_details(self.ways_to(service));
                    Event::Operation(id, result.map_err(explained))
                }));
            }
            for note in walk.take_notes() {
                self.output.note(&note);
            }
            while let Some((transaction, operations)) = walk.undo() {
                let restored = walk.restored(transaction);
                running.push(Box::pin(async move {
                    Event::Undoing(transaction, self.undo(&operations, restored).await)
                }));
            }
            match running.next().await {
                None => break,
                Some(Event::Operation(id, result)) => {
                    let image = match &graph.node(id).operation {
                        Operation::Pull { image } | Operation::Build { image, .. } => Some(image),
                        _ => None,
                    };
                    if let (Some(image), Ok(Outcome::Value(content))) = (image, &result) {
                        images.learn(image, content);
                    }
                    walk.end(id, result);
                }
                Some(Event::Undoing(transaction, result)) => walk.undone(transaction, result),
            }
        }
        self.tasks.borrow_mut().clear();
        walk.finish()
    }

    /// Takes a transaction back. Returns which old containers don't serve although they did their
    /// work when it began, with what they are instead.
    async fn undo(
        &self,
        operations: &[Operation],
        (restored, ailing): (Vec<&Target>, bool),
    ) -> Result<Vec<String>> {
        for (index, operation) in operations.iter().enumerate() {
            let next = operations.get(index + 1).and_then(Operation::subject);
            let goes_on = next.is_some() && next == operation.subject();
            self.carry_out(operation, goes_on).await?;
        }
        let mut down = Vec::new();
        for container in restored.into_iter().filter(|_| !ailing) {
            let found = match container.id.get() {
                Some(id) => Container::inspect(self.engine, id).await?,
                None => None,
            };
            let what = match found {
                None => "gone".to_owned(),
                Some(it) if it.status != Status::Running => {
                    let code = it.exit_code.map(|code| format!(" with status {code}"));
                    let status = format!("{:?}", it.status).to_lowercase();
                    format!("{status}{}", code.unwrap_or_default())
                }
                Some(it) if it.health == Some(Health::Unhealthy) => "unhealthy".to_owned(),
                Some(_) => continue,
            };
            down.push(format!("{} ({what})", container.name));
        }
        Ok(down)
    }

    /// Does one operation. `goes_on`: its line of progress stays, for the next one.
    async fn carry_out(&self, operation: &Operation, goes_on: bool) -> Result<Outcome> {
        let piece = Box::pin(async {
            let Some(subject) = operation.subject() else {
                return self.without_task(operation).await;
            };
            let (task, before) = self.task(&subject, operation);
            let outcome = self.with_task(operation, &task).await?;
            let said = match outcome {
                Outcome::Done(said) => said,
                _ => before,
            };
            if goes_on {
                self.tasks.borrow_mut().insert(subject, (task, said));
            } else if !said.is_empty() {
                task.done(said);
            }
            Ok(outcome)
        });
        if operation.is_work() {
            concurrency::one(piece).await
        } else {
            piece.await
        }
    }

    /// The line of progress of an operation, and what was said last on it.
    fn task(&self, subject: &str, operation: &Operation) -> (Task<'a>, &'static str) {
        let state = match operation {
            Operation::CreateNetwork { .. }
            | Operation::CreateVolume { .. }
            | Operation::Create(_) => Some("creating"),
            Operation::RemoveNetwork { why, .. } => why.as_deref(),
            Operation::RemoveVolume { .. } | Operation::To(_, Act::Remove) => Some("removing"),
            Operation::To(_, Act::Start { why, .. }) => Some(why.as_deref().unwrap_or("starting")),
            Operation::To(_, Act::PostStart { .. }) => Some("post_start"),
            Operation::To(_, Act::PreStop { .. }) => Some("pre_stop"),
            Operation::To(_, Act::Stop { why }) => Some(why.as_str()),
            _ => None,
        };
        let open = self.tasks.borrow_mut().remove(subject);
        match (open, state) {
            (Some((task, said)), state) => {
                state.inspect(|state| task.state(state));
                (task, said)
            }
            (None, Some(state)) => (self.output.task(subject, state), ""),
            (None, None) => (self.output.silent_task(subject), ""),
        }
    }

    async fn with_task(&self, operation: &Operation, task: &Task<'_>) -> Result<Outcome> {
        let (engine, project) = (self.engine, self.project);
        match operation {
            Operation::CreateNetwork { key, .. } => {
                resource::create_network(engine, project, key).await?;
                Ok(Outcome::Done("created"))
            }
            Operation::CreateVolume { key, .. } => {
                resource::create_volume(engine, project, key).await?;
                Ok(Outcome::Done("created"))
            }
            Operation::RemoveVolume { name } => {
                resource::remove_volume(engine, name).await?;
                Ok(Outcome::Done("removed"))
            }
            Operation::Create(creation) => {
                let id = container::create(engine, self.output, project, creation).await?;
                Ok(Outcome::Value(id))
            }
            Operation::To(container, act) => self.act(container, act, task).await,
            other => self.without_task(other).await,
        }
    }

    async fn act(
        &self,
        Target { name, id }: &Target,
        act: &Act,
        task: &Task<'_>,
    ) -> Result<Outcome> {
        let (engine, project) = (self.engine, self.project);
        let id = id.get().ok_or_else(|| {
            Error::failed(
                format!("container {name} wasn't created"),
                "run `deploy up` again; if it stays, report it with this message",
            )
        })?;
        let outcome = match act {
            Act::Start { owes, .. } => {
                if *owes {
                    hooks::owe(project, id)?;
                }
                container::start(engine, id, name).await?;
                Outcome::Done("started")
            }
            Act::PostStart { hooks } => {
                let timeout = self.timeout;
                hooks::run_post_start(engine, project, Within { id, name }, hooks, timeout).await?;
                Outcome::Quiet
            }
            Act::PreStop { hooks } => {
                let container = Within { id, name };
                hooks::run_pre_stop(engine, self.output, project, container, hooks).await;
                Outcome::Quiet
            }
            Act::Await { goal, fresh } => {
                let gate = self.gate(*goal, *fresh);
                Outcome::Done(health::wait(engine, id, name, gate, task).await?)
            }
            Act::GiveNames { service, networks } => {
                container::give_names(engine, project, id, name, service, networks).await?;
                Outcome::Quiet
            }
            Act::Watch { goal, period } => {
                task.detail("being watched");
                tokio::time::sleep(*period).await;
                health::wait(engine, id, name, self.gate(*goal, true), task).await?;
                Outcome::Quiet
            }
            Act::Stop { .. } => {
                task.state("stopping");
                container::stop(engine, id, name).await?;
                Outcome::Done("stopped")
            }
            Act::Remove => {
                container::remove(engine, id, name).await?;
                hooks::settle(project, id)?;
                Outcome::Done("removed")
            }
            Act::LookAgain => {
                let found = Container::inspect(engine, id).await?;
                let recovered = found.is_some_and(|it| it.is_healthy());
                if recovered {
                    let subject = format!("container {name}");
                    let task = self.output.task(&subject, "looking at it again");
                    task.done("healthy again, and left as it is");
                }
                Outcome::Answer(!recovered)
            }
        };
        Ok(outcome)
    }

    fn gate(&self, goal: Goal, fresh: bool) -> Gate {
        let timeout = self.timeout;
        Gate {
            goal,
            fresh,
            timeout,
        }
    }

    /// Operations that have no line of progress, or lines of their own.
    async fn without_task(&self, operation: &Operation) -> Result<Outcome> {
        let (engine, output, project) = (self.engine, self.output, self.project);
        match operation {
            Operation::GenerateSecret { name } => {
                if let Some(secret) = project.secrets.get(name) {
                    let made = secrets::generate(project, name, secret)?;
                    let task = output.task(&format!("secret {name}"), "generating");
                    task.done(made.how);
                    if let Some(note) = made.note {
                        output.note(&note);
                    }
                }
            }
            Operation::TellSecret { name, .. } => {
                Box::pin(tell(engine, output, project, name)).await?;
            }
            Operation::JoinReplicaSet { members } => {
                Box::pin(replica_set::join(engine, output, project, members)).await?;
            }
            Operation::Pull { image } => {
                Box::pin(image::pull::run(engine, output, image)).await?;
                return self.content(image).await;
            }
            Operation::Build {
                image,
                service,
                hash,
            } => {
                if let Some(service) = project.services.get(service)
                    && let Some(build) = &service.build
                {
                    let build = image::build::run(engine, output, project, service, build, hash);
                    Box::pin(build).await?;
                }
                return self.content(image).await;
            }
            Operation::RemoveNetwork { name, why } => {
                resource::remove_network(engine, name).await?;
                return Ok(why
                    .as_ref()
                    .map_or(Outcome::Quiet, |_| Outcome::Done("removed")));
            }
            // The engine may have refused it because the name is somebody else's.
            Operation::Discard { name } => {
                if let Some(found) = Container::find(engine, &project.name, name).await? {
                    let task = output.task(&format!("container {name}"), "rolling back");
                    if found.status == Status::Running {
                        let hooks = hooks::pre_stop(found.config.as_ref());
                        hooks::run_pre_stop(engine, output, project, (&found).into(), &hooks).await;
                    }
                    task.state("stopping");
                    container::stop(engine, &found.id, name).await?;
                    task.state("removing");
                    container::remove(engine, &found.id, name).await?;
                    hooks::settle(project, &found.id)?;
                    task.done("removed");
                }
            }
            Operation::Compare { contents, .. } => {
                let mut contents = contents.iter();
                let differs = contents.any(|it| it.content.get() != Some(&it.recorded));
                return Ok(Outcome::Answer(differs));
            }
            Operation::Delay { period } => tokio::time::sleep(*period).await,
            _ => {}
        }
        Ok(Outcome::Quiet)
    }

    async fn content(&self, image: &str) -> Result<Outcome> {
        let content = image::content_of(self.engine, image).await?;
        content.map(Outcome::Value).ok_or_else(|| {
            Error::failed(
                format!("image {image} is gone from the engine"),
                "something removed it meanwhile: run `deploy up` again",
            )
        })
    }

    /// What comes in reaches a service through those at whose ports it accepts, and its health check may
    /// fail for their sake: a proxy's, because it can't reach the listener.
    fn ways_to<'s>(
        &'s self,
        service: Option<&'s ServiceName>,
    ) -> impl Iterator<Item = String> + 's {
        let services = self.project.services.iter();
        let doors = services.filter(move |(door, _)| {
            service.is_some() && self.project.accepted_by(door) == service
        });
        doors
            .zip(std::iter::repeat(service))
            .filter_map(|((door, _), service)| {
                let name = service?;
                Some(format!(
                    "what comes in reaches {name} through {door}: if that is what its health check \
                 misses, `deploy restart {door} {name}` starts both over"
                ))
            })
    }
}

/// Whether the next operation on the same thing follows at once.
fn goes_on(graph: &Graph, id: NodeId) -> bool {
    let operation = &graph.node(id).operation;
    let mut next = graph
        .nodes()
        .filter(|(_, it)| it.needs.contains(&Need::Done(id)));
    next.any(|(_, it)| {
        let watched = matches!(it.operation, Operation::To(_, Act::Watch { .. }));
        !watched && it.operation.subject() == operation.subject()
    })
}
