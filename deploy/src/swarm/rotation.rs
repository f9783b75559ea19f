//! Secrets of a stack on a Swarm.
//!
//! The service that keeps a value in its data may be on a node that this engine can't run a command on. So
//! the file's command runs as a job of its own beside it, on its node, with all that it has but its data.

use compose_file::Project;
use compose_file::model::{Rotate, Secret, SecretName};
use engine::Engine;
use engine::error::{Error, Result};
use engine::swarm::job::Job;
use engine::swarm::stack::Stack;
use engine::swarm::task;

use super::apply::{self, Applied};
use super::data;
use crate::apply::Options;
use crate::output::Output;
use crate::rotation::Place;
use crate::rotation::tell::{failed, input, what};
use crate::secrets::Secrets;
use crate::secrets::file::consumers;

/// The job's name within the project.
pub(super) const JOB: &str = "x-rotate";

/// The stack on this Swarm.
pub(super) struct Cluster<'a> {
    pub(super) engine: &'a Engine,
    pub(super) output: &'a Output,
    pub(super) project: &'a Project,
}

impl Place for Cluster<'_> {
    type Applied = Applied;

    async fn apply(&self, options: &Options) -> Result<Applied> {
        apply::apply(self.engine, self.output, self.project, options).await
    }

    fn changed(applied: &mut Applied) {
        applied.changed = true;
    }

    async fn may_know(&self, name: &SecretName, secret: &Secret) -> Result<bool> {
        let stack = Stack::observe(self.engine, &self.project.name).await?;
        let runs = |service: &str| stack.services.contains_key(service);
        Ok(match &secret.rotate {
            None => consumers(self.project, name).any(|(service, _)| runs(service)),
            Some(rotate) => {
                let mut keepers = data::keepers(self.project);
                let has_data = |(service, volume): (&str, &str)| {
                    *service == *rotate.service && data::record(&stack, volume).is_some()
                };
                runs(&rotate.service)
                    || keepers.any(|(service, _, volume)| has_data((service, volume)))
            }
        })
    }

    async fn tell(&self, secrets: &Secrets, name: &SecretName, rotate: &Rotate) -> Result<()> {
        let told = &rotate.service;
        let stack = Stack::observe(self.engine, &self.project.name).await?;
        let service = stack.services.get(told.as_str());
        let tasks = match service {
            Some(service) => task::of_service(self.engine, &service.name).await?,
            None => Vec::new(),
        };
        let node = tasks
            .into_iter()
            .find(task::Task::runs)
            .and_then(|it| it.node);
        let (Some(service), Some(node)) = (service, node) else {
            return Err(Error::failed(
                format!("secret {name}: {told} doesn't run, and can't be told of the new value"),
                "see `deploy ps` and `deploy nodes`, then run `deploy up` again",
            ));
        };
        let values = secrets.read_by(self.project, told);
        let task = self
            .output
            .task(&format!("secret {name}"), &format!("telling {told}"));
        let job = Job {
            project: &self.project.name,
            name: JOB,
            like: service.spec.clone(),
            node: &node,
            command: &rotate.command,
            input: &input(name, &values)?,
        };
        let ended = job.run(self.engine).await?;
        if ended.status != 0 {
            let place = format!("on {}", stack.node_name(&node));
            let what = what(name, told);
            return Err(failed(ended.status, &ended.said, &values, &what, &place));
        }
        task.done(&format!("known to {told}"));
        Ok(())
    }
}
