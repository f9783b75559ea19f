//! The database's services as one replica set, on a Swarm: a member on each of several nodes, made,
//! updated and taken in one after the other, so that most of them serve at any time.
//!
//! A member may be on a node that this engine can't run a command on. So the file's command runs as a job
//! of its own beside the members, on one of their nodes, with all that a member has but its data.

use compose_file::model::{ReplicaSet, ServiceName};
use engine::error::{Error, Result};
use engine::swarm::job::Job;
use engine::swarm::spec;
use engine::swarm::stack::Stack;
use engine::swarm::task;

use super::apply::Work;
use super::plan::{Plan, Step};
use crate::replica_set::{Said, heard, wanted, what};
use crate::rotation::tell::failed;
use crate::secrets::Secrets;

/// The job's name within the project.
pub(super) const JOB: &str = "x-replica-set";

impl Work<'_> {
    /// Makes and changes those of `wave` that are members, and the set of them.
    pub(super) async fn members(&self, plan: &Plan<'_>, wave: &[&ServiceName]) -> Result<()> {
        let Some(set) = &self.project.replica_set else {
            return Ok(());
        };
        let of_wave = set.members.iter().filter(|it| wave.contains(it));
        let members: Vec<&ServiceName> = of_wave.collect();
        if members.is_empty() {
            return Ok(());
        }
        let mut steps: Vec<(&ServiceName, &Step)> = members
            .into_iter()
            .filter_map(|name| Some((name, plan.services.get(name)?)))
            .collect();
        if steps.is_empty() {
            return self.join(set).await.map(drop);
        }
        if let Some(primary) = self.primary(set, &steps).await {
            // The others first: it steps down for one that has been changed already.
            steps.sort_by_key(|(name, _)| name.as_str() == primary);
        }
        for (name, step) in steps {
            self.service(name, step).await?;
            self.join(set).await?;
        }
        Ok(())
    }

    /// Which member takes writes, where several are there and one of them is going to be updated. A set
    /// that has none is not kept from being updated.
    async fn primary(&self, set: &ReplicaSet, steps: &[(&ServiceName, &Step)]) -> Option<String> {
        let updates = steps.iter().any(|(_, it)| matches!(it, Step::Update(_)));
        let there = set.members.iter().filter(|it| {
            self.stack
                .services
                .get(it.as_str())
                .is_some_and(|it| it.replica_set().is_some())
        });
        if !updates || there.count() < 2 {
            return None;
        }
        self.join(set).await.ok()?.primary
    }

    /// Has those members that run made one set.
    async fn join(&self, set: &ReplicaSet) -> Result<Said> {
        let stack = Stack::observe(self.engine, &self.project.name).await?;
        let mut present = Vec::new();
        for name in &set.members {
            let Some(service) = stack.services.get(name.as_str()) else {
                continue;
            };
            let tasks = task::of_service(self.engine, &service.name).await?;
            match tasks.into_iter().find(task::Task::runs) {
                Some(task) => present.push((name.clone(), task.node.unwrap_or_default())),
                None => self.output.note(&format!(
                    "replica set {}: {name} doesn't run; `deploy ps` says why",
                    set.name
                )),
            }
        }
        let Some((member, node)) = present.first() else {
            return Err(Error::failed(
                format!("replica set {}: none of its members runs", set.name),
                "see `deploy ps` and `deploy nodes`, then run `deploy up` again",
            ));
        };
        let Some(service) = self.project.services.get(member) else {
            return Err(Error::failed(
                format!("replica set {}: {member} isn't enabled", set.name),
                "enable its profile, then run `deploy up` again",
            ));
        };
        let names: Vec<ServiceName> = present.iter().map(|(name, _)| name.clone()).collect();
        let secrets = Secrets::read(self.project)?;
        let values = secrets.read_by(self.project, member);
        let input = wanted(set, &names, &values)?;
        let job = Job {
            project: &self.project.name,
            name: JOB,
            like: spec::service(self.project, member, service, self.references, None),
            node,
            command: &set.command,
            input: &input,
        };
        let ended = job.run(self.engine).await?;
        if ended.status != 0 {
            let place = format!("on {}", stack.node_name(node));
            let (status, said) = (ended.status, &ended.said);
            let failed = failed(status, said, &values, &what(set), &place);
            return Err(failed);
        }
        heard(self.output, set, &ended.said)
    }
}
