//! New values for generated secrets while the stack serves: `deploy up --rotate-secrets`.
//!
//! 1. Each file gets the new value, and the old one after it.
//! 2. The stack is applied as ever: whoever reads a secret is replaced, in the order of
//!    dependencies, and from then on accepts both values.
//! 3. A service that keeps the value in its data (`x-rotate`) is told of the new one.
//! 4. Each file gets the new value alone.
//! 5. The stack is applied again: nobody accepts the old value any more.
//!
//! A certificate is replaced with its key in the first step already: clients ask for no particular one,
//! and what replaces the proxy loses no connection.
//!
//! A file with two values is the record that a rotation is under way. Each step can be
//! repeated, so what was killed or failed anywhere is finished by the next `up`.

mod machine;
pub(crate) mod tell;

use std::collections::BTreeSet;
use std::time::SystemTime;

use compose_file::Project;
use compose_file::model::{Generate, Rotate, Secret, SecretName};
use engine::error::{Error, Result};
use engine::image::Refresh;
use serde_json::json;

use crate::apply::Options;
use crate::certificates;
use crate::output::Output;
use crate::secrets::{self, Secrets};
pub(crate) use machine::Machine;

/// Where a stack is whose secrets are rotated: on one machine, or on a Swarm.
pub(crate) trait Place {
    /// What was done to it.
    type Applied;

    /// Brings the stack to where the file says.
    async fn apply(&self, options: &Options) -> Result<Self::Applied>;

    /// Notes that something was changed.
    fn changed(applied: &mut Self::Applied);

    /// Whether anything may hold the old value: the data of the service that would be told, or what has
    /// read it.
    async fn may_know(&self, name: &SecretName, secret: &Secret) -> Result<bool>;

    /// Tells the service that keeps the value in its data of the one in the file.
    async fn tell(&self, secrets: &Secrets, name: &SecretName, rotate: &Rotate) -> Result<()>;
}

/// The secrets that the names on the command line choose; without names all that are generated.
///
/// # Errors
/// When one isn't in the file, or isn't generated.
pub(crate) fn chosen(project: &Project, names: &[String]) -> Result<Vec<SecretName>> {
    let all: Vec<SecretName> = secrets::used(project)
        .filter(|(_, secret)| secret.is_generated_value() || secret.is_of_certificate())
        .map(|(name, _)| name.clone())
        .collect();
    if all.is_empty() {
        return Err(Error::usage(
            "no service has a secret that deploy generates, so there is none to rotate",
            "add `x-generate: password` to a secret of the Compose file",
        ));
    }
    if names.is_empty() {
        return Ok(all);
    }
    let key = secrets::used(project)
        .filter(|(_, secret)| secret.generate == Some(Generate::Key))
        .find(|(name, _)| names.iter().any(|it| it == name.as_str()));
    if let Some((name, _)) = key {
        return Err(Error::usage(
            format!(
                "the secret {name} is a key, which isn't rotated: those who have another one are parted"
            ),
            "leave it out; docs/replica-set.md says how a key is replaced",
        ));
    }
    let unknown = names
        .iter()
        .find(|name| !all.iter().any(|it| it.as_str() == *name));
    if let Some(name) = unknown {
        let all: Vec<&str> = all.iter().map(SecretName::as_str).collect();
        return Err(Error::usage(
            format!("no service has a secret {name} that deploy generates"),
            format!("choose among {}", all.join(", ")),
        ));
    }
    // In the file's order, each once.
    let wanted = |secret: &SecretName| names.iter().any(|name| name == secret.as_str());
    Ok(all.into_iter().filter(wanted).collect())
}

/// A stack whose secrets are rotated.
pub(crate) struct Rotation<'a, P> {
    pub(crate) place: P,
    pub(crate) output: &'a Output,
    pub(crate) project: &'a Project,
}

impl<P: Place> Rotation<'_, P> {
    /// Brings the stack to where the file says, then gives the `chosen` secrets new values. A rotation
    /// that is under way comes to its end either way.
    pub(crate) async fn apply(
        &self,
        options: &Options,
        chosen: &[SecretName],
    ) -> Result<P::Applied> {
        let result = self.rotate(options, chosen).await;
        result.map_err(|err| self.explained(err))
    }

    async fn rotate(&self, options: &Options, chosen: &[SecretName]) -> Result<P::Applied> {
        self.forget_what_nobody_knows().await?;
        let before = Secrets::read(self.project)?;
        let mut applied = self.place.apply(options).await?;
        // Images were made anew by the first one, if that was asked for.
        let again = Options {
            refresh: Refresh::default(),
            force_recreate: false,
            ..options.clone()
        };
        if self.begin(chosen, &before)? {
            applied = self.place.apply(&again).await?;
            P::changed(&mut applied);
        }
        if self.end().await? {
            applied = self.place.apply(&again).await?;
            P::changed(&mut applied);
        }
        Ok(applied)
    }

    /// A rotation ends at once where nothing holds the old value any more: a database that is
    /// going to be created must not be given two lines for one password.
    async fn forget_what_nobody_knows(&self) -> Result<()> {
        let secrets = Secrets::read(self.project)?;
        for (name, secret) in secrets.rotating(self.project) {
            if !self.place.may_know(name, secret).await? {
                let task = self
                    .output
                    .task(&format!("secret {name}"), "ending its rotation");
                secrets.end_rotation(name, secret)?;
                task.done("rotated: nothing held the old value any more");
            }
        }
        Ok(())
    }

    /// Writes new values; false where there are none to write. `before` is what there was
    /// before the stack was applied.
    fn begin(&self, chosen: &[SecretName], before: &Secrets) -> Result<bool> {
        let secrets = Secrets::read(self.project)?;
        let mut fresh = Vec::with_capacity(chosen.len());
        let mut replaced = BTreeSet::new();
        for name in chosen {
            let Some(secret) = self.project.secrets.get(name) else {
                continue;
            };
            let under_way = secrets.rotating(self.project).any(|(it, _)| it == name);
            if certificates::is_own(self.project, name) {
                self.output.note(&format!(
                    "secret {name}: it is your own and not rotated: put a new one in its place"
                ));
            } else if !before.exists(name) {
                self.output.note(&format!(
                    "secret {name}: its first value was generated just now, so it isn't rotated"
                ));
            } else if secret.is_of_certificate() {
                replaced.extend(certificates::named(self.project, name));
            } else if !under_way {
                fresh.push((name, secret));
            }
        }
        secrets.begin_rotation(&fresh)?;
        for name in &replaced {
            certificates::rotate(self.project, name, SystemTime::now())?;
            let task = self.output.task(&format!("secret {name}"), "rotating");
            task.done("has a new key, and is from the same authority");
        }
        for (name, _) in &fresh {
            let task = self.output.task(&format!("secret {name}"), "rotating");
            task.done("has a new value beside the old one");
        }
        Ok(!fresh.is_empty() || !replaced.is_empty())
    }

    /// Tells whoever has to be told, and leaves the new values alone in their files; false where
    /// no rotation is under way.
    async fn end(&self) -> Result<bool> {
        let secrets = Secrets::read(self.project)?;
        let rotating: Vec<_> = secrets.rotating(self.project).collect();
        if rotating.is_empty() {
            return Ok(false);
        }
        for (name, secret) in &rotating {
            if let Some(rotate) = &secret.rotate {
                self.place.tell(&secrets, name, rotate).await?;
            }
        }
        for (name, secret) in &rotating {
            let task = self
                .output
                .task(&format!("secret {name}"), "dropping the old value");
            secrets.end_rotation(name, secret)?;
            task.done("rotated");
        }
        let names: Vec<&str> = rotating.iter().map(|(name, _)| name.as_str()).collect();
        self.output
            .event(&json!({"event": "rotated", "secrets": names}));
        Ok(true)
    }

    /// The error, and what it means for a rotation that it stopped.
    fn explained(&self, err: Error) -> Error {
        let Ok(secrets) = Secrets::read(self.project) else {
            return err;
        };
        err.with_details(secrets.rotation_under_way(self.project))
    }
}

#[cfg(test)]
mod tests;
