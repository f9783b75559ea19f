//! Stops containers and starts the same ones again, in batches as `update_config` has them.

use futures_util::future::join_all;

use super::replace::batch_size;
use super::{Board, Launched, Rollout};
use crate::compose::model::{Service, ServiceName};
use crate::concurrency;
use crate::container;
use crate::error::Result;
use crate::plan::{Cause, ServicePlan, Step};
use crate::remove;

impl Rollout<'_> {
    /// Restarts what the plan says. After a failure the others are left as they are.
    pub(super) async fn restart_all(
        &self,
        plan: &ServicePlan,
        service: &Service,
        board: &Board,
    ) -> Result<()> {
        let due: Vec<(u32, &String, &Cause)> = plan
            .containers
            .iter()
            .filter_map(|action| match &action.step {
                Step::Restart { id, cause } => Some((action.number, id, cause)),
                _ => None,
            })
            .collect();
        for (index, batch) in due.chunks(batch_size(service, due.len())).enumerate() {
            if index > 0 {
                tokio::time::sleep(service.deploy.update_config.delay).await;
            }
            // Each to its end: one that is broken off half way would be left stopped.
            let restarts = batch.iter().map(|(number, id, cause)| {
                let container = container::name(self.project, &plan.service, service, *number);
                self.restart(&plan.service, service, id, container, cause, board)
            });
            for result in join_all(restarts).await {
                result?;
            }
        }
        Ok(())
    }

    async fn restart(
        &self,
        name: &ServiceName,
        service: &Service,
        id: &str,
        container: String,
        cause: &Cause,
        board: &Board,
    ) -> Result<()> {
        let subject = format!("container {container}");
        let task = self.output.task(&subject, &format!("restarting ({cause})"));
        let over = async {
            remove::stop(self.engine, id, &container, &task).await?;
            task.state("starting");
            self.start(id, &container).await
        };
        concurrency::one(over).await?;
        board.joinable(name, id);
        let launched = Launched {
            id: id.to_owned(),
            name: container.clone(),
            task: Some(task),
            nameless: Vec::new(),
        };
        self.ready(name, service, launched).await?;
        self.watch(name, service, id, &container).await
    }
}
