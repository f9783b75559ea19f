//! A lock that all managers see: a config that no service reads. The managers agree on who made one of a
//! name first, so the name is what is had or not; its label says who has it.

use std::collections::HashMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bollard::models::ConfigSpec;

use super::object::of_project;
use crate::Engine;
use crate::error::{EngineContext, Result, is_conflict, is_missing, unless_gone};

/// The key of its name, `<project>_deploy.lock`.
const KEY: &str = "deploy.lock";
/// The engine's own limit on names is 64.
const MAX_PROJECT: usize = 50;
/// The label with what its holder says of itself.
const HOLDER: &str = "dev.causeway.lock";

/// A lock that is held, by us or by another.
#[derive(Debug)]
pub struct Lock {
    id: String,
    /// On the engine.
    pub name: String,
    /// What its holder says of itself.
    pub holder: String,
}

impl Lock {
    /// Has it; none: another does.
    ///
    /// # Errors
    /// When the engine refuses, as it does where the managers have no majority.
    pub async fn attempt(engine: &Engine, project: &str, holder: &str) -> Result<Option<Self>> {
        let name = name(project);
        let mut labels = of_project(project, KEY);
        labels.insert(HOLDER.to_owned(), holder.to_owned());
        let spec = ConfigSpec {
            name: Some(name.clone()),
            labels: Some(labels),
            data: Some(BASE64_STANDARD.encode("its labels say it")),
            ..ConfigSpec::default()
        };
        match engine.docker().create_config(spec).await {
            Ok(made) => Ok(Some(Self {
                id: made.id,
                name,
                holder: holder.to_owned(),
            })),
            Err(err) if is_conflict(&err) => Ok(None),
            Err(err) => Err(err).doing(|| format!("create config {name}")),
        }
    }

    /// The one that is held; none: it is free by now.
    ///
    /// # Errors
    /// When the engine doesn't answer.
    pub async fn find(engine: &Engine, project: &str) -> Result<Option<Self>> {
        let name = name(project);
        match engine.docker().inspect_config(&name).await {
            Ok(found) => {
                let labels = found.spec.and_then(|it| it.labels);
                let holder = labels.and_then(|mut it: HashMap<_, _>| it.remove(HOLDER));
                Ok(Some(Self {
                    id: found.id.unwrap_or_default(),
                    name,
                    holder: holder.unwrap_or_default(),
                }))
            }
            Err(err) if is_missing(&err) => Ok(None),
            Err(err) => Err(err).doing(|| format!("inspect config {name}")),
        }
    }

    /// Frees it, and no later one of its name.
    ///
    /// # Errors
    /// When the engine doesn't answer.
    pub async fn remove(&self, engine: &Engine) -> Result<()> {
        let removed = engine.docker().delete_config(&self.id).await;
        unless_gone(removed).doing(|| format!("remove config {}", self.name))
    }
}

fn name(project: &str) -> String {
    let project: String = project.chars().take(MAX_PROJECT).collect();
    format!("{project}_{KEY}")
}
