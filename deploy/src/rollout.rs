//! The second half of applying a plan: services, each as soon as those it depends on
//! are in the state it asks for, everything independent side by side.
//!
//! Every step leaves something that the next plan recognises (a container missing,
//! created, stopped, without its names, one too many), so a rollout that was killed
//! anywhere is finished by planning again.

mod names;
mod replace;
mod restart;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bollard::query_parameters::CreateContainerOptions;
use futures_util::future::{join_all, try_join_all};
use tokio::sync::watch;

use crate::compose::Project;
use crate::compose::model::{Condition, NetworkKey, NetworkMode, Service, ServiceName};
use crate::concurrency;
use crate::container::{self, Blueprint};
use crate::engine::Engine;
use crate::error::{EngineContext, Error, Result};
use crate::health::{self, Gate, Goal};
use crate::image::Images;
use crate::output::{Output, Task};
use crate::plan::{self, ContainerAction, Plan, ServicePlan, Step};
use crate::remove;
use crate::secrets::{self, Secrets};
use crate::spec;
use crate::state::{Container, State, Status};

/// Brings the services to where a plan wants them.
#[derive(Debug)]
pub struct Rollout<'a> {
    /// The engine that it happens on.
    pub engine: &'a Engine,
    /// Where progress is shown.
    pub output: &'a Output,
    /// The file.
    pub project: &'a Project,
    /// What was there when the plan was made.
    pub state: &'a State,
    /// All of them present by now.
    pub images: &'a Images,
    /// All of them present by now.
    pub secrets: &'a Secrets,
    /// How long a container may take to become ready; `None`: its health check says.
    pub timeout: Option<Duration>,
}

/// How far a service has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Waiting,
    Started,
    Ready,
    Failed,
}

/// Where services tell each other how far they are.
struct Board {
    stages: HashMap<ServiceName, watch::Sender<Stage>>,
    /// A running container of each service, for those that share its network namespace.
    containers: Mutex<HashMap<String, String>>,
}

impl Rollout<'_> {
    /// Carries out the services' part of `plan`.
    ///
    /// # Errors
    /// The first failure, with those of other services below it. What doesn't depend
    /// on a failed service is brought up all the same.
    pub async fn run(&self, plan: &Plan) -> Result<()> {
        let board = Board::new(plan, self.state);
        let services = plan
            .services
            .iter()
            .map(|service| self.service(service, &board));
        let mut failures = join_all(services).await.into_iter().filter_map(Result::err);
        let Some(mut first) = failures.next() else {
            return Ok(());
        };
        for other in failures {
            first.details.push(format!("also: {}", other.message));
            first
                .details
                .extend(other.details.into_iter().map(|line| format!("  {line}")));
        }
        Err(first)
    }

    async fn service(&self, plan: &ServicePlan, board: &Board) -> Result<()> {
        let name = &plan.service;
        let Some(service) = self.project.services.get(name) else {
            return Ok(());
        };
        for (dependency, condition) in plan::dependencies(service) {
            if !board.reached(&dependency, condition).await {
                let runs = |it: &Container| it.status == Status::Running;
                let left = if self.state.of_service(name).any(runs) {
                    "left as it is"
                } else {
                    "not brought up"
                };
                self.output
                    .note(&format!("{name}: {left}, because {dependency} failed"));
                board.set(name, Stage::Failed);
                return Ok(());
            }
        }
        let result = self.containers(plan, service, board).await;
        board.set(
            name,
            if result.is_ok() {
                Stage::Ready
            } else {
                Stage::Failed
            },
        );
        result.map_err(|error| error.with_details(self.ways_to(name)))
    }

    /// What comes in reaches a service through those at whose ports it accepts, and its health check may fail for their sake: a proxy's, because it can't reach the listener.
    fn ways_to(&self, name: &ServiceName) -> impl Iterator<Item = String> {
        let services = self.project.services.iter();
        let doors = services.filter(move |(door, _)| self.project.accepted_by(door) == Some(name));
        doors.map(move |(door, _)| {
            format!(
                "what comes in reaches {name} through {door}: if that is what its health check \
                 misses, `deploy restart {door} {name}` starts both over"
            )
        })
    }

    async fn containers(&self, plan: &ServicePlan, service: &Service, board: &Board) -> Result<()> {
        let name = &plan.service;
        let replacing = plan.containers.iter().any(|it| {
            matches!(
                it.step,
                Step::Recreate { .. } | Step::Renew { .. } | Step::Restart { .. }
            )
        });

        // What is missing comes first: it can only help while others are replaced.
        let present: Vec<&ContainerAction> = plan
            .containers
            .iter()
            .filter(|it| {
                matches!(
                    it.step,
                    Step::Keep { .. } | Step::Start { .. } | Step::Create
                )
            })
            .collect();
        let first = present.first().map(|it| it.number);
        let others_serve = self.others_serve(name, None);
        let unstarted = &AtomicUsize::new(present.len());
        // Each batch is ready before the next one starts: many that start at once take the machine
        // down, and of a version that doesn't work only so many are started.
        for batch in present.chunks(concurrency::LIMIT) {
            try_join_all(batch.iter().map(|action| async move {
                let launch = self.launch(name, service, action, others_serve, board);
                let launched = concurrency::one(launch).await?;
                let Some(launched) = launched else {
                    return Ok(());
                };
                if first == Some(action.number) {
                    board.joinable(name, &launched.id);
                }
                if unstarted.fetch_sub(1, Ordering::Relaxed) == 1 && !replacing {
                    board.set(name, Stage::Started);
                }
                let (id, container) = (launched.id.clone(), launched.name.clone());
                let joins = others_serve && launched.task.is_some();
                self.ready(name, service, launched).await?;
                if joins {
                    self.watch(name, service, &id, &container).await?;
                }
                Ok::<(), Error>(())
            }))
            .await?;
        }

        self.restart_all(plan, service, board).await?;
        self.replace_all(plan, service, board).await?;

        // Last, so that what replaced them serves already.
        let surplus = plan
            .containers
            .iter()
            .filter_map(|action| match &action.step {
                Step::Remove { id, reason } => Some((action, id, reason)),
                _ => None,
            });
        concurrency::try_all(surplus.map(|(action, id, reason)| async move {
            let name = container::name(self.project, name, service, action.number);
            let task = self.output.task(&format!("container {name}"), reason);
            remove::container(self.engine, id, &name, &task).await?;
            task.done("removed");
            Ok::<(), Error>(())
        }))
        .await?;
        Ok(())
    }

    /// What others wait for decides what a service has to reach.
    fn goal(&self, name: &ServiceName) -> Goal {
        let awaited = |condition: Condition| {
            let services = self.project.services.values();
            services
                .filter_map(|it| it.depends_on.get(name))
                .any(|it| it.condition == condition)
        };
        if awaited(Condition::ServiceCompletedSuccessfully) {
            Goal::Completed
        } else if awaited(Condition::ServiceHealthy) {
            Goal::Healthy
        } else {
            Goal::Up
        }
    }

    /// Starts or creates; `None` for what isn't there to be launched. A new one stays
    /// without its names until it is ready if others serve under them meanwhile.
    async fn launch(
        &self,
        name: &ServiceName,
        service: &Service,
        action: &ContainerAction,
        others_serve: bool,
        board: &Board,
    ) -> Result<Option<Launched<'_>>> {
        let container = container::name(self.project, name, service, action.number);
        let subject = format!("container {container}");
        match &action.step {
            Step::Keep { id } => Ok(Some(Launched {
                id: id.clone(),
                name: container,
                task: None,
                nameless: Vec::new(),
            })),
            Step::Start { id, reason } => {
                let task = self.output.task(&subject, &format!("starting ({reason})"));
                self.start(id, &container).await?;
                Ok(Some(Launched {
                    id: id.clone(),
                    name: container,
                    task: Some(task),
                    nameless: Vec::new(),
                }))
            }
            Step::Create => {
                let task = self.output.task(&subject, "creating");
                let nameless = if others_serve && self.goal(name) != Goal::Completed {
                    names::withholdable(self.project, service)
                } else {
                    Vec::new()
                };
                let id = self
                    .create(name, service, action.number, &nameless, board)
                    .await?;
                task.state("starting");
                self.start(&id, &container).await?;
                Ok(Some(Launched {
                    id,
                    name: container,
                    task: Some(task),
                    nameless,
                }))
            }
            Step::Recreate { .. }
            | Step::Renew { .. }
            | Step::Restart { .. }
            | Step::Remove { .. } => Ok(None),
        }
    }

    async fn create(
        &self,
        name: &ServiceName,
        service: &Service,
        number: u32,
        nameless: &[NetworkKey],
        board: &Board,
    ) -> Result<String> {
        let image = self.images.get(&service.image);
        let salt = secrets::salt();
        let settings = spec::container(
            self.project,
            name,
            service,
            image.content.as_deref(),
            self.secrets,
            &salt,
        );
        let joined = match &service.network_mode {
            Some(NetworkMode::Service(host)) => Some(board.joined(host)?),
            _ => None,
        };
        let mut blueprint = container::blueprint(
            self.project,
            name,
            service,
            number,
            &settings,
            joined.as_deref(),
        );
        names::withhold(self.project, &mut blueprint, nameless);
        blueprint.bear(
            &self
                .secrets
                .fingerprints(self.project, name, service, &salt),
        );
        if let Some(pinned) = image.pinned {
            blueprint.body.image = Some(pinned);
        }
        let Blueprint {
            name,
            body,
            connect,
        } = blueprint;
        let options = CreateContainerOptions {
            name: Some(name.clone()),
            ..CreateContainerOptions::default()
        };
        let created = self
            .engine
            .docker()
            .create_container(Some(options), body)
            .await
            .doing(|| format!("create container {name}"))?;
        for warning in created.warnings {
            self.output.note(&format!("container {name}: {warning}"));
        }
        for (network, mut request) in connect {
            request.container.clone_from(&created.id);
            self.engine
                .docker()
                .connect_network(&network, request)
                .await
                .doing(|| format!("connect container {name} to network {network}"))?;
        }
        Ok(created.id)
    }

    async fn start(&self, id: &str, name: &str) -> Result<()> {
        let docker = self.engine.docker();
        match docker.start_container(id, None).await {
            Err(bollard::errors::Error::DockerResponseServerError { message, .. })
                if engine::said::is_paused(&message) =>
            {
                docker.unpause_container(id).await
            }
            result => result,
        }
        .doing(|| format!("start container {name}"))
    }

    /// Waits until a container is ready, then gives it the names it has yet to get.
    async fn ready(
        &self,
        service_name: &ServiceName,
        service: &Service,
        launched: Launched<'_>,
    ) -> Result<()> {
        let Launched {
            id,
            name,
            task,
            nameless,
        } = launched;
        let gate = Gate {
            goal: self.goal(service_name),
            fresh: task.is_some(),
            timeout: self.timeout,
        };
        let task = task.unwrap_or_else(|| self.output.silent_task(&format!("container {name}")));
        let reached = health::wait(self.engine, &id, &name, gate, &task).await?;
        self.give_names(&id, &name, service_name, service, &nameless)
            .await?;
        task.done(reached);
        Ok(())
    }

    /// Numbers that no container of the service has or will have.
    fn spare_numbers(&self, plan: &ServicePlan, count: usize) -> Vec<u32> {
        let taken = |number: &u32| {
            plan.containers.iter().any(|it| it.number == *number)
                || self
                    .state
                    .of_service(&plan.service)
                    .any(|it| it.number == *number)
        };
        (1..).filter(|number| !taken(number)).take(count).collect()
    }
}

/// A container on its way; without a task when it was there already.
struct Launched<'a> {
    id: String,
    name: String,
    task: Option<Task<'a>>,
    /// Networks on which it doesn't bear its names yet.
    nameless: Vec<NetworkKey>,
}

impl Board {
    fn new(plan: &Plan, state: &State) -> Self {
        let stages = plan
            .services
            .iter()
            .map(|it| (it.service.clone(), watch::Sender::new(Stage::Waiting)))
            .collect();
        let containers = state
            .containers
            .iter()
            .map(|it| (it.service.clone(), it.id.clone()))
            .collect();
        Self {
            stages,
            containers: Mutex::new(containers),
        }
    }

    fn set(&self, service: &ServiceName, stage: Stage) {
        if let Some(sender) = self.stages.get(service) {
            sender.send_replace(stage);
        }
    }

    /// Waits for a dependency; false when it failed.
    async fn reached(&self, service: &ServiceName, condition: Condition) -> bool {
        let needed = match condition {
            Condition::ServiceStarted => Stage::Started,
            Condition::ServiceHealthy | Condition::ServiceCompletedSuccessfully => Stage::Ready,
        };
        let Some(sender) = self.stages.get(service) else {
            return true;
        };
        let mut stage = sender.subscribe();
        let reached = stage.wait_for(|stage| *stage >= needed).await;
        reached.is_ok_and(|stage| *stage != Stage::Failed)
    }

    fn joinable(&self, service: &ServiceName, container: &str) {
        let mut containers = self
            .containers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        containers.insert(service.to_string(), container.to_owned());
    }

    fn joined(&self, service: &ServiceName) -> Result<String> {
        let containers = self
            .containers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        containers.get(service.as_str()).cloned().ok_or_else(|| {
            Error::failed(
                format!("service {service} has no container whose network could be joined"),
                "give it at least one replica",
            )
        })
    }
}
