//! Secrets of a stack on one machine.

use compose_file::Project;
use compose_file::model::{Rotate, Secret, SecretName};
use engine::Engine;
use engine::error::Result;
use engine::state::State;

use super::Place;
use super::tell::Telling;
use crate::apply::{self, Applied, Options};
use crate::output::Output;
use crate::secrets::file::consumers;
use crate::secrets::{self, Secrets};

/// The stack on this engine.
pub(crate) struct Machine<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) output: &'a Output,
    pub(crate) project: &'a Project,
}

impl Place for Machine<'_> {
    type Applied = Applied;

    async fn apply(&self, options: &Options) -> Result<Applied> {
        apply::apply(self.engine, self.output, self.project, options).await
    }

    fn changed(applied: &mut Applied) {
        applied.changed = true;
    }

    async fn may_know(&self, name: &SecretName, secret: &Secret) -> Result<bool> {
        let state = State::observe(self.engine, &self.project.name).await?;
        Ok(may_be_known(self.project, &state, name, secret))
    }

    async fn tell(&self, secrets: &Secrets, name: &SecretName, rotate: &Rotate) -> Result<()> {
        let telling = Telling {
            engine: self.engine,
            project: self.project,
            state: &State::observe(self.engine, &self.project.name).await?,
            secrets,
        };
        telling.run_aloud(self.output, name, rotate).await
    }
}

/// Whether anything may hold the old value: the data of the service that would be told, or
/// a container that has read it.
pub(super) fn may_be_known(
    project: &Project,
    state: &State,
    name: &SecretName,
    secret: &Secret,
) -> bool {
    let has_container = |service: &str| state.of_service(service).next().is_some();
    match &secret.rotate {
        None => consumers(project, name).any(|(service, _)| has_container(service)),
        Some(rotate) => {
            let told = project.services.get(&rotate.service);
            has_container(&rotate.service)
                || told.is_some_and(|it| secrets::data_of(project, state, it).is_some())
        }
    }
}
