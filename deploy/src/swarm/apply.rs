//! Brings a Swarm's stack to where the file says.

use std::time::Duration;

use compose_file::Project;
use compose_file::model::ServiceName;
use engine::Engine;
use engine::error::Result;
use engine::image::{self, Images, Need, Refresh};
use engine::swarm::object::Object;
use engine::swarm::spec::{self, References};
use engine::swarm::stack::{self, Service, Stack};
use futures_util::future::{join, join_all};
use serde_json::json;

use super::converge::Wait;
use super::objects::{self, Contents};
use super::plan::{self, Observed, Plan, Step};
use super::{clear_jobs, data, preflight, waves};
use crate::apply::Options;
use crate::output::Output;
use crate::releases::{Begun, Releases};
use crate::secrets::{self, Secrets};

/// What was done.
pub(super) struct Applied {
    /// Whether anything had to be.
    pub(super) changed: bool,
    /// What the services are made from.
    pub(super) images: Images,
    /// As it was before.
    pub(super) stack: Stack,
    /// The id of the node that the engine is.
    pub(super) here: String,
}

/// Brings the stack to where the file says.
///
/// # Errors
/// When something stands in its way, or a service didn't come up.
pub(super) async fn apply(
    engine: &Engine,
    output: &Output,
    project: &Project,
    options: &Options,
) -> Result<Applied> {
    let now = Observed::look(engine, project, options).await?;
    let plan = now.plan(engine, project, options).await?;
    output.event(&json!({"event": "plan", "plan": plan.view}));
    plan.view.show(output);
    preflight::check(engine, project, &now, &plan).await?;
    let changed = !plan.view.actions.is_empty();
    if changed {
        let begun = match &options.release {
            Some(release) => Begun::Rollback(release.number),
            None => Begun::Up,
        };
        Releases::read(project)?.begin(project, begun)?;
    }
    generate(output, project, &now, &plan)?;
    if plan.needs.is_empty() {
        carry_out(engine, output, project, options, &now, &plan).await?;
        drop(plan);
        return Ok(Applied::new(changed, now));
    }
    make(engine, output, project, &plan).await?;
    drop(plan);
    // What they came out as decides what is done.
    let made = Options {
        refresh: Refresh::default(),
        ..options.clone()
    };
    let now = Observed::look(engine, project, &made).await?;
    let plan = now.plan(engine, project, &made).await?;
    carry_out(engine, output, project, options, &now, &plan).await?;
    drop(plan);
    Ok(Applied::new(changed, now))
}

impl Applied {
    fn new(changed: bool, now: Observed) -> Self {
        Self {
            changed,
            images: now.images,
            stack: now.stack,
            here: now.here,
        }
    }
}

/// Makes the Swarm as the plan says.
async fn carry_out(
    engine: &Engine,
    output: &Output,
    project: &Project,
    options: &Options,
    now: &Observed,
    plan: &Plan<'_>,
) -> Result<()> {
    let references = place(engine, output, project, &now.stack, plan).await?;
    let work = Work {
        engine,
        output,
        project,
        stack: &now.stack,
        references: &references,
        timeout: options.timeout,
    };
    work.services(plan).await?;
    for service in &plan.gone {
        let task = output.task(&format!("service {}", service.name), "removing");
        service.remove(engine).await?;
        task.done("removed");
    }
    tidy(engine, output, project, &now.stack, &references, plan).await
}

/// Makes the files of secrets.
fn generate(output: &Output, project: &Project, now: &Observed, plan: &Plan<'_>) -> Result<()> {
    for name in &plan.secrets {
        // A certificate's key comes with it.
        let Some(secret) = project.secrets.get(*name) else {
            continue;
        };
        if secret.file.exists() && !now.due.contains_key(*name) {
            continue;
        }
        let made = secrets::generate(project, name, secret)?;
        output
            .task(&format!("secret {name}"), "generating")
            .done(made.how);
        if let Some(note) = made.note {
            output.note(&note);
        }
    }
    Ok(())
}

/// Builds and pulls images.
async fn make(engine: &Engine, output: &Output, project: &Project, plan: &Plan<'_>) -> Result<()> {
    for (service, need) in &plan.needs {
        match (need, &service.build) {
            (Need::Build { hash, .. }, Some(build)) => {
                image::build::run(engine, output, project, service, build, hash).await?;
            }
            _ => image::pull::run(engine, output, &service.image).await?,
        }
    }
    Ok(())
}

/// Makes what services refer to.
async fn place(
    engine: &Engine,
    output: &Output,
    project: &Project,
    stack: &Stack,
    plan: &Plan<'_>,
) -> Result<References> {
    let mut references = plan::networks(stack);
    references.images = plan.images.carry_out(engine, output).await?;
    references.homes = data::ids(&plan.homes);
    for key in &plan.networks {
        let Some(network) = project.networks.get(*key) else {
            continue;
        };
        let task = output.task(&format!("network {}", network.name), "creating");
        let id = stack::create_network(engine, project, key, network).await?;
        references.networks.insert(network.name.clone(), id);
        task.done("created");
    }
    let secrets = Secrets::read(project)?;
    let contents = Contents::read(project, &secrets)?;
    let new = contents.find(project, stack, &mut references);
    for object in new {
        let task = output.task(&format!("{} {}", object.kind(), object.name()), "creating");
        let Object { id, name, .. } = object.create(engine).await?;
        let secrets = references.secrets.values_mut();
        let configs = references.configs.values_mut();
        for (known, _) in secrets.chain(configs).filter(|(_, it)| *it == name) {
            known.clone_from(&id);
        }
        task.done("created");
    }
    let mut settled = Vec::new();
    for home in &plan.homes {
        if home.is_settled() || settled.contains(&home.volume) {
            continue;
        }
        let subject = format!("volume {}", home.volume);
        let task = output.task(&subject, &format!("giving it to node {}", home.node.name));
        home.settle(engine, project).await?;
        settled.push(home.volume);
        task.done(&format!("is node {}'s", home.node.name));
    }
    Ok(references)
}

/// The services of one run.
pub(super) struct Work<'a> {
    pub(super) engine: &'a Engine,
    pub(super) output: &'a Output,
    pub(super) project: &'a Project,
    pub(super) stack: &'a Stack,
    pub(super) references: &'a References,
    pub(super) timeout: Option<Duration>,
}

impl Work<'_> {
    /// Makes and changes services, each once those that it depends on are up.
    async fn services(&self, plan: &Plan<'_>) -> Result<()> {
        for wave in waves(self.project) {
            let others = wave
                .iter()
                .filter(|it| self.project.replica_set_of(it).is_none());
            let steps =
                others.filter_map(|name| Some(self.service(name, plan.services.get(*name)?)));
            let (results, members) =
                join(join_all(steps), Box::pin(self.members(plan, &wave))).await;
            let mut results = results.into_iter().chain([members]);
            let Some(mut error) = results.by_ref().find_map(Result::err) else {
                continue;
            };
            for further in results.filter_map(Result::err) {
                error = error
                    .with_details([further.message])
                    .with_details(further.details);
            }
            return Err(error);
        }
        Ok(())
    }

    pub(super) async fn service(&self, name: &ServiceName, step: &Step) -> Result<()> {
        let Some(service) = self.project.services.get(name) else {
            return Ok(());
        };
        let there = self.stack.services.get(name.as_str());
        let force = there.and_then(|it| it.spec.task_template.as_ref()?.force_update);
        let force = match step {
            Step::Update(changes) if changes.is_empty() => Some(force.unwrap_or(0) + 1),
            Step::Update(_) | Step::Create => force,
        };
        let spec = spec::service(self.project, name, service, self.references, force);
        let credentials = stack::credentials(self.output, &spec);
        let (remarks, what) = match there {
            Some(there) => (
                there.update(self.engine, spec.clone(), credentials).await?,
                "updating",
            ),
            None => (
                Service::create(self.engine, spec.clone(), credentials).await?,
                "starting",
            ),
        };
        for remark in remarks {
            self.output
                .note(&format!("service {name}: {}", remark.trim()));
        }
        let wait = Wait {
            engine: self.engine,
            output: self.output,
            stack: self.stack,
            name: &spec::name(self.project, name),
            service,
            timeout: self.timeout,
        };
        wait.until_converged(&spec, what).await
    }
}

/// Removes secrets and configs that nothing refers to any more. What a service uses that stays as it is
/// stays too: one of another file, or one that is told of a new value.
async fn tidy(
    engine: &Engine,
    output: &Output,
    project: &Project,
    stack: &Stack,
    references: &References,
    plan: &Plan<'_>,
) -> Result<()> {
    let updated = |key: &str| plan.services.keys().any(|it| it.as_str() == key);
    let gone = |service: &Service| plan.gone.iter().any(|it| it.id == service.id);
    let services = stack.services.iter();
    let staying = services.filter(|(key, it)| !updated(key) && !gone(it));
    let unused = objects::unused(stack, references, staying.map(|(_, it)| it));
    if !unused.is_empty() {
        clear_jobs(engine, &project.name).await?;
    }
    for object in unused {
        let task = output.task(&format!("{} {}", object.kind, object.name), "removing");
        object.remove(engine).await?;
        task.done("removed");
    }
    Ok(())
}
