//! Replaces the containers of a service, and takes a replacement back that fails.
//!
//! Start-first, an old container is only stopped when its replacement serves, and stays
//! until all are replaced: should a later one fail, it is started again as it was.
//! Stop-first there is nothing left to go back to; `deploy rollback` makes it anew.

use futures_util::future::join_all;

use super::{Board, Rollout};
use crate::compose::model::{FailureAction, Service, ServiceName, UpdateOrder};
use crate::concurrency;
use crate::container;
use crate::error::{Error, Result};
use crate::health::{self, Gate};
use crate::plan::{Cause, ContainerAction, ServicePlan, Step};
use crate::remove;
use crate::state::{Container, Health, Status};

/// A container that is to be replaced, and its replacement.
struct Pair {
    /// Id of the old container.
    old: String,
    old_name: String,
    new_number: u32,
    new_name: String,
    /// `None`: it has other settings.
    cause: Option<Cause>,
}

impl Pair {
    /// The old container doesn't work: nobody wants it back.
    fn is_ailing(&self) -> bool {
        matches!(self.cause, Some(Cause::Unhealthy | Cause::Restarting))
    }
}

impl Rollout<'_> {
    /// Replaces what the plan says, in batches as `update_config` has them.
    pub(super) async fn replace_all(
        &self,
        plan: &ServicePlan,
        service: &Service,
        board: &Board,
    ) -> Result<()> {
        let name = &plan.service;
        let pairs = self.pairs(plan, service);
        let update = &service.deploy.update_config;
        let batch = batch_size(service, pairs.len());
        let mut replaced = Vec::with_capacity(pairs.len());
        let mut first_failure = None;
        for (index, batch) in pairs.chunks(batch).enumerate() {
            if index > 0 {
                tokio::time::sleep(update.delay).await;
            }
            // Each to its end: one that is broken off half way would be left behind.
            let replacements = batch
                .iter()
                .map(|pair| self.replace(plan.order, name, service, pair, board));
            let mut failed = Vec::new();
            let mut failure = None;
            for (pair, result) in batch.iter().zip(join_all(replacements).await) {
                match result {
                    Ok(true) => replaced.push(pair),
                    Ok(false) => {}
                    Err(error) => {
                        failed.push(pair);
                        failure.get_or_insert(error);
                    }
                }
            }
            let Some(error) = failure else { continue };
            match (update.failure_action, plan.order) {
                (FailureAction::Continue, _) => _ = first_failure.get_or_insert(error),
                (FailureAction::Rollback, UpdateOrder::StartFirst) => {
                    let (healed, replaced): (Vec<&Pair>, Vec<&Pair>) =
                        replaced.into_iter().partition(|pair| pair.is_ailing());
                    let error = self.take_back(name, error, &failed, &replaced).await;
                    return Err(match self.retire(&healed).await {
                        Ok(()) => error,
                        Err(also) => error.with_details([format!("also: {}", also.message)]),
                    });
                }
                (FailureAction::Rollback | FailureAction::Pause, _) => {
                    first_failure = Some(error);
                    break;
                }
            }
        }
        if plan.order == UpdateOrder::StartFirst {
            self.retire(&replaced).await?;
        }
        first_failure.map_or(Ok(()), Err)
    }

    fn pairs(&self, plan: &ServicePlan, service: &Service) -> Vec<Pair> {
        let changed: Vec<(u32, &String, Option<&Cause>)> = plan
            .containers
            .iter()
            .filter_map(|action| match &action.step {
                Step::Recreate { id, .. } => Some((action.number, id, None)),
                Step::Renew { id, cause } => Some((action.number, id, Some(cause))),
                _ => None,
            })
            .collect();
        let container = |number| container::name(self.project, &plan.service, service, number);
        // Start-first needs a number for the new container beside the old one's.
        let spare = self.spare_numbers(plan, changed.len());
        changed
            .into_iter()
            .zip(spare)
            .map(|((number, old, cause), spare)| {
                let new_number = match plan.order {
                    UpdateOrder::StopFirst => number,
                    UpdateOrder::StartFirst => spare,
                };
                Pair {
                    old: old.clone(),
                    old_name: container(number),
                    new_number,
                    new_name: container(new_number),
                    cause: cause.cloned(),
                }
            })
            .collect()
    }

    /// Replaces one container; false where that isn't necessary any more.
    async fn replace(
        &self,
        order: UpdateOrder,
        name: &ServiceName,
        service: &Service,
        pair: &Pair,
        board: &Board,
    ) -> Result<bool> {
        let old_subject = format!("container {}", pair.old_name);
        if self.has_recovered(pair).await? {
            let task = self.output.task(&old_subject, "looking at it again");
            task.done("healthy again, and left as it is");
            return Ok(false);
        }
        let going = if order == UpdateOrder::StopFirst {
            let task = self.output.task(&old_subject, "replacing");
            let removal = remove::container(self.engine, &pair.old, &pair.old_name, &task);
            concurrency::one(removal).await?;
            Some(pair.old.as_str())
        } else {
            None
        };
        let new = ContainerAction {
            number: pair.new_number,
            step: Step::Create,
        };
        let others_serve = self.others_serve(name, going);
        let launch = self.launch(name, service, &new, others_serve, board);
        if let Some(launched) = concurrency::one(launch).await? {
            let id = launched.id.clone();
            board.joinable(name, &id);
            self.ready(name, service, launched).await?;
            self.watch(name, service, &id, &pair.new_name).await?;
        }
        if order == UpdateOrder::StartFirst {
            let task = self.output.task(&old_subject, "replaced");
            concurrency::one(remove::stop(self.engine, &pair.old, &pair.old_name, &task)).await?;
            task.done("stopped");
        }
        Ok(true)
    }

    /// Whether what was unhealthy isn't any more, since what it depends on works again.
    async fn has_recovered(&self, pair: &Pair) -> Result<bool> {
        if pair.cause != Some(Cause::Unhealthy) {
            return Ok(false);
        }
        let found = Container::inspect(self.engine, &pair.old).await?;
        Ok(found.is_some_and(|it| it.is_healthy()))
    }

    /// `monitor`: what is ready may still turn out not to be. Clients that look names up
    /// every so often find the new container meanwhile, before one that they know goes.
    pub(super) async fn watch(
        &self,
        name: &ServiceName,
        service: &Service,
        id: &str,
        container: &str,
    ) -> Result<()> {
        let monitor = service.deploy.update_config.monitor;
        if monitor.is_zero() {
            return Ok(());
        }
        let task = self.output.silent_task(&format!("container {container}"));
        task.detail("being watched");
        tokio::time::sleep(monitor).await;
        let gate = Gate {
            goal: self.goal(name),
            fresh: true,
            timeout: self.timeout,
        };
        health::wait(self.engine, id, container, gate, &task).await?;
        Ok(())
    }

    /// Removes the old containers whose replacements serve.
    async fn retire(&self, replaced: &[&Pair]) -> Result<()> {
        let removals = replaced.iter().map(|pair| async move {
            let task = self
                .output
                .silent_task(&format!("container {}", pair.old_name));
            remove::container(self.engine, &pair.old, &pair.old_name, &task).await?;
            Ok(())
        });
        concurrency::all(removals).await.into_iter().collect()
    }

    /// Back to the old containers: those that were stopped already start again before
    /// their replacements go. Returns `cause` with what became of it.
    async fn take_back(
        &self,
        name: &ServiceName,
        cause: Error,
        failed: &[&Pair],
        replaced: &[&Pair],
    ) -> Error {
        let undone = async {
            for pair in failed {
                self.discard(pair).await?;
            }
            for pair in replaced {
                let task = self
                    .output
                    .task(&format!("container {}", pair.old_name), "starting again");
                self.start(&pair.old, &pair.old_name).await?;
                let gate = Gate {
                    goal: self.goal(name),
                    fresh: true,
                    timeout: self.timeout,
                };
                let reached =
                    health::wait(self.engine, &pair.old, &pair.old_name, gate, &task).await?;
                task.done(reached);
                self.discard(pair).await?;
            }
            Ok::<(), Error>(())
        };
        let names = |pairs: &[&Pair]| -> Vec<String> {
            pairs.iter().map(|pair| pair.old_name.clone()).collect()
        };
        let serving = [names(replaced), names(failed)].concat().join(", ");
        let undone = match undone.await {
            Ok(()) => self.down_among(&[failed, replaced].concat()).await,
            Err(err) => Err(err),
        };
        match undone {
            Ok(down) => Error {
                message: format!("{}; rolled back: {serving} as before", cause.message),
                next: if !down.is_empty() {
                    format!(
                        "{} doesn't serve: correct the cause and run `deploy up` again",
                        down.join(", ")
                    )
                } else if failed.iter().all(|pair| pair.is_ailing()) {
                    "correct the cause and run `deploy up` again, which tries it once more"
                        .to_owned()
                } else {
                    "correct the cause and run `deploy up` again; the old version serves meanwhile"
                        .to_owned()
                },
                ..cause
            },
            Err(err) => {
                let line = format!("rolling {name} back failed too: {}", err.message);
                let details = err.details.into_iter().map(|line| format!("  {line}"));
                cause.with_details([line]).with_details(details)
            }
        }
    }

    /// The old containers that don't serve now, with what they are instead.
    async fn down_among(&self, pairs: &[&Pair]) -> Result<Vec<String>> {
        let mut down = Vec::new();
        for pair in pairs.iter().filter(|pair| !pair.is_ailing()) {
            let what = match Container::inspect(self.engine, &pair.old).await? {
                None => "gone".to_owned(),
                Some(it) if it.status != Status::Running => {
                    let code = it.exit_code.map(|code| format!(" with status {code}"));
                    let status = format!("{:?}", it.status).to_lowercase();
                    format!("{status}{}", code.unwrap_or_default())
                }
                Some(it) if it.health == Some(Health::Unhealthy) => "unhealthy".to_owned(),
                Some(_) => continue,
            };
            down.push(format!("{} ({what})", pair.old_name));
        }
        Ok(down)
    }

    /// Removes a replacement, which may not have come to be.
    async fn discard(&self, pair: &Pair) -> Result<()> {
        let new = &pair.new_name;
        // The engine may have refused the replacement because the name is somebody else's.
        let Some(found) = Container::find(self.engine, &self.project.name, new).await? else {
            return Ok(());
        };
        let task = self
            .output
            .task(&format!("container {new}"), "rolling back");
        remove::container(self.engine, &found.id, new, &task).await?;
        task.done("removed");
        Ok(())
    }
}

/// How many of `count` containers are replaced or restarted at a time.
pub(super) fn batch_size(service: &Service, count: usize) -> usize {
    match service.deploy.update_config.parallelism {
        0 => count.clamp(1, concurrency::LIMIT),
        n => usize::try_from(n).unwrap_or(usize::MAX),
    }
}
