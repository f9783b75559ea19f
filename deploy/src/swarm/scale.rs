//! `deploy scale` and `deploy restart` on a Swarm: what runs, with another number of tasks, or started
//! anew. Changes of the file are for `up`.

use compose_file::Project;
use compose_file::model::{Mode, ServiceName};
use engine::Engine;
use engine::api::ServiceSpec;
use engine::error::{Error, Result};
use engine::swarm;
use engine::swarm::stack::{self, Stack};
use serde_json::json;

use super::converge::Wait;
use super::{data, waves};
use crate::cli::{Restart, Scale};
use crate::context::{Context, known_services};
use crate::lock::Lock;

pub(super) async fn scale(context: &Context, args: Scale) -> Result<()> {
    let output = &context.output;
    let mut project = context.project()?;
    let names: Vec<String> = args.counts.iter().map(|(name, _)| name.clone()).collect();
    known_services(&project, &names)?;
    for (name, count) in &args.counts {
        check(&project, name, *count)?;
    }
    let mut temporary = Vec::new();
    for (name, count) in &args.counts {
        if let Some(service) = project.services.get_mut(name.as_str()) {
            if service.deploy.replicas != *count {
                temporary.push(format!("{name}={}", service.deploy.replicas));
            }
            service.deploy.replicas = *count;
        }
    }
    let engine = Engine::connect().await?;
    swarm::manager(&engine).await?;
    let patience = args.wait.patience();
    let _lock = Lock::of_swarm(&engine, output, &project.name, "scale", patience).await?;
    let stack = Stack::observe(&engine, &project.name).await?;
    for (name, count) in &args.counts {
        let there = running(&stack, name)?;
        let mut spec = there.spec.clone();
        let mode = spec.mode.get_or_insert_default();
        mode.replicated.get_or_insert_default().replicas = Some((*count).into());
        let change = Change {
            context,
            engine: &engine,
            stack: &stack,
            project: &project,
        };
        change
            .carry_out(there, name, spec, "scaling", args.timeout)
            .await?;
    }
    if !temporary.is_empty() {
        output.note(&format!(
            "the next `deploy up` goes back to the file: {}; set deploy.replicas to keep it",
            temporary.join(", ")
        ));
    }
    Ok(())
}

pub(super) async fn restart(context: &Context, args: Restart) -> Result<()> {
    let output = &context.output;
    let mut project = context.project()?;
    known_services(&project, &args.services)?;
    if args.in_place {
        return Err(Error::usage(
            "`deploy restart --in-place` means nothing on a Swarm: every task is started once, and replaced by another one",
            "leave --in-place out",
        ));
    }
    let engine = Engine::connect().await?;
    swarm::manager(&engine).await?;
    let patience = args.wait.patience();
    let _lock = Lock::of_swarm(&engine, output, &project.name, "restart", patience).await?;
    let stack = Stack::observe(&engine, &project.name).await?;
    let chosen = |name: &&ServiceName| args.services.iter().any(|it| it == name.as_str());
    let names: Vec<ServiceName> = waves(&project)
        .into_iter()
        .flatten()
        .filter(chosen)
        .cloned()
        .collect();
    for name in &names {
        let there = running(&stack, name)?;
        let mut spec = there.spec.clone();
        // Those that run, and not those of the file.
        if let Some(service) = project.services.get_mut(name.as_str())
            && let Some(count) = spec
                .mode
                .as_ref()
                .and_then(|it| it.replicated.as_ref()?.replicas)
        {
            service.deploy.replicas = u32::try_from(count).unwrap_or(u32::MAX);
        }
        let template = spec.task_template.get_or_insert_default();
        template.force_update = Some(template.force_update.unwrap_or(0) + 1);
        let change = Change {
            context,
            engine: &engine,
            stack: &stack,
            project: &project,
        };
        change
            .carry_out(there, name, spec, "restarting", args.timeout)
            .await?;
    }
    let names: Vec<&str> = names.iter().map(ServiceName::as_str).collect();
    output.event(&json!({"event": "restart", "services": names}));
    output.line(&format!("restarted: {}", names.join(", ")));
    Ok(())
}

/// How many tasks a service may be given.
fn check(project: &Project, name: &str, count: u32) -> Result<()> {
    let service = project.services.get(name);
    if service.is_some_and(|it| it.deploy.mode == Mode::Global) {
        return Err(Error::usage(
            format!("can't run {count} tasks of {name}: it runs once on each node (mode: global)"),
            "add a node, or drain one (`docker node update --availability drain NODE`)",
        ));
    }
    let keeper = data::keepers(project).find(|(it, ..)| it.as_str() == name);
    if let Some((_, _, volume)) = keeper.filter(|_| count > 1) {
        return Err(Error::usage(
            format!(
                "can't run {count} tasks of {name}: they would all write to volume {volume} of one node, and two \
                 that write to one place may destroy what is there"
            ),
            "make each a service of its own, with a volume and a node of its own",
        ));
    }
    Ok(())
}

fn running<'a>(stack: &'a Stack, name: &str) -> Result<&'a stack::Service> {
    stack.services.get(name).ok_or_else(|| {
        Error::failed(
            format!("service {name} isn't on the Swarm"),
            "`deploy up` creates it",
        )
    })
}

/// A change to what runs.
struct Change<'a> {
    context: &'a Context,
    engine: &'a Engine,
    stack: &'a Stack,
    project: &'a Project,
}

impl Change<'_> {
    async fn carry_out(
        &self,
        there: &stack::Service,
        name: &str,
        spec: ServiceSpec,
        what: &str,
        timeout: Option<std::time::Duration>,
    ) -> Result<()> {
        let output = &self.context.output;
        let Some(service) = self.project.services.get(name) else {
            return Ok(());
        };
        let credentials = stack::credentials(output, &spec);
        let remarks = there.update(self.engine, spec.clone(), credentials).await?;
        for remark in remarks {
            output.note(&format!("service {name}: {}", remark.trim()));
        }
        let wait = Wait {
            engine: self.engine,
            output,
            stack: self.stack,
            name: &there.name,
            service,
            timeout,
        };
        wait.until_converged(&spec, what).await
    }
}
