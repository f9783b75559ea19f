//! `deploy secrets recover`: files that are gone, from the containers that still have them mounted.
//!
//! A container keeps the file that it was started with, also when nobody else can reach it any
//! more. The engine's archive API can't: it mounts the path anew. So the file is read from inside,
//! by `cat`; or, where an image has none, through this machine's `/proc`.
//!
//! What a container has may be older than what is in force: who is told of new values (`x-rotate`)
//! isn't replaced by a rotation. So a value counts only if it has the fingerprint that the newest
//! container was made with, or else if the service accepts it as its own.

use std::cmp::Reverse;
use std::fs;
use std::path::PathBuf;

use compose_file::Project;
use compose_file::model::{Secret, SecretName};
use engine::Engine;
use engine::error::{Error, Result};
use engine::exec;
use engine::state::{Container, State, Status};
use engine::swarm::object::{self, Object};

use super::file::{consumers, store};
use super::lost::fingerprint;
use super::{Secrets, lost, used};
use crate::output::Output;
use crate::rotation::tell::Telling;
use crate::running;

/// Where files are recovered.
#[derive(Debug)]
pub(crate) struct Recovery<'a> {
    /// The engine of the containers.
    pub(crate) engine: &'a Engine,
    /// Where it is told.
    pub(crate) output: &'a Output,
    /// The file.
    pub(crate) project: &'a Project,
    /// What is on the engine.
    pub(crate) state: &'a State,
    /// A Swarm's secrets, where a manager was asked.
    pub(crate) objects: &'a [Object],
}

impl Recovery<'_> {
    /// Writes the files of the named secrets, or of all, that aren't there.
    ///
    /// # Errors
    /// When one of them can't be had, after the others were written; when a named one exists.
    pub(crate) async fn run(&self, names: &[String]) -> Result<()> {
        let mut secrets = Secrets::present(self.project)?;
        let gone = self.gone(names, &secrets)?;
        if gone.is_empty() {
            self.output
                .line("every secret has its file; nothing to recover");
            return Ok(());
        }
        self.within_reach(&gone).await?;
        let lost: Vec<SecretName> = lost(self.project, self.state, &secrets)
            .map(|it| it.name.clone())
            .collect();

        let mut missed: Vec<(&SecretName, &Secret, Vec<String>)> = Vec::new();
        let mut found = Vec::new();
        for (name, secret) in gone {
            match self.find(name, &mut secrets).await {
                Ok(container) => found.push((name, secret, container)),
                Err(reasons) => missed.push((name, secret, reasons)),
            }
        }
        // Now that all were read: a command is given those of its whole service.
        for (name, secret, container) in found {
            let task = self
                .output
                .task(&format!("secret {name}"), "asking whether it is in force");
            if let Err(reasons) = self.in_force(name, secret, &secrets).await {
                secrets.0.remove(name);
                missed.push((name, secret, reasons));
                continue;
            }
            let content = secrets.0.get(name).map_or(&[][..], Vec::as_slice);
            let note = store(self.project, name, secret, content)?;
            let file = secret.file.display();
            task.done(&format!(
                "taken from container {} into {file}",
                container.name
            ));
            if let Some(note) = note {
                self.output.note(&note);
            }
        }
        self.conclude(missed, &lost)
    }

    /// The chosen secrets without a file.
    fn gone(&self, names: &[String], secrets: &Secrets) -> Result<Vec<(&SecretName, &Secret)>> {
        let all: Vec<_> = used(self.project).collect();
        let is_known = |name: &&String| all.iter().any(|(it, _)| it.as_str() == *name);
        if let Some(name) = names.iter().find(|name| !is_known(name)) {
            let all: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
            return Err(Error::usage(
                format!("no service has a secret {name}"),
                format!("choose among {}", all.join(", ")),
            ));
        }
        let is_named = |name: &SecretName| names.iter().any(|it| it == name.as_str());
        if let Some((name, secret)) = all
            .iter()
            .find(|(name, _)| is_named(name) && secrets.exists(name))
        {
            return Err(Error::usage(
                format!(
                    "secret {name}: {} exists, and is not overwritten",
                    secret.file.display()
                ),
                "move it away first if what the containers have is to take its place",
            ));
        }
        let wanted = |name: &SecretName| names.is_empty() || is_named(name);
        Ok(all
            .into_iter()
            .filter(|(name, _)| wanted(name) && !secrets.exists(name))
            .collect())
    }

    /// On a Swarm, whether the services that have the values in their data run on this engine: they judge
    /// what is found, and are the ones most likely to have it.
    async fn within_reach(&self, gone: &[(&SecretName, &Secret)]) -> Result<()> {
        let mut told = gone.iter().filter_map(|(_, secret)| secret.rotate.as_ref());
        match told.next().filter(|_| self.project.is_for_swarm()) {
            Some(rotate) => running::container(self.engine, self.project, &rotate.service)
                .await
                .map(drop),
            None => Ok(()),
        }
    }

    /// Puts the value that a container has among `secrets`; or says why none can be had.
    async fn find<'a>(
        &'a self,
        name: &'a SecretName,
        secrets: &mut Secrets,
    ) -> Result<&'a Container, Vec<String>> {
        let mut containers: Vec<&Container> = consumers(self.project, name)
            .flat_map(|(service, _)| self.state.of_service(service))
            .collect();
        // The newest first; what doesn't run has nothing to give, but may tell what was last.
        containers.sort_by_key(|it| (it.status != Status::Running, Reverse(&it.started_at)));
        let last = containers.iter().find_map(|it| fingerprint(it, name));
        let mut reasons = Vec::new();
        for container in containers {
            let label = &container.name;
            let read = match container.status {
                Status::Running => self.read(container, &target(container, name)).await,
                _ => Err("it doesn't run, and what it had mounted is gone with its process".into()),
            };
            let reason = match read {
                Err(reason) => reason,
                Ok(content) if content.is_empty() => "its file is empty".to_owned(),
                Ok(content) => {
                    secrets.0.insert(name.clone(), content);
                    let is_last = last.is_none_or(|(salt, print)| {
                        secrets.fingerprint(name, salt).as_deref() == Some(print)
                    });
                    if is_last {
                        return Ok(container);
                    }
                    secrets.0.remove(name);
                    "its value is older than the one that was in force last".to_owned()
                }
            };
            reasons.push(format!("container {label}: {reason}"));
        }
        if reasons.is_empty() {
            reasons.push("there is no container that reads it".to_owned());
        }
        Err(reasons)
    }

    /// The file as the container sees it. Its content goes nowhere else.
    async fn read(&self, container: &Container, target: &str) -> Result<Vec<u8>, String> {
        let command = ["cat", target].map(ToOwned::to_owned);
        let error = match exec::read(self.engine, container, &command).await {
            Ok(content) => return Ok(content),
            Err(error) => error.message,
        };
        self.read_by_proc(container, target).await.ok_or(error)
    }

    /// The same where this is root on the engine's machine, in its namespace of processes.
    async fn read_by_proc(&self, container: &Container, target: &str) -> Option<Vec<u8>> {
        let inspected = self.engine.inspect_container(&container.id);
        let process = inspected.await.ok()?.state?.pid.filter(|pid| *pid > 0)?;
        let process = PathBuf::from(format!("/proc/{process}"));
        // Elsewhere the number may be another process's.
        let groups = fs::read_to_string(process.join("cgroup")).ok()?;
        if !groups.contains(&container.id) {
            return None;
        }
        fs::read(process.join("root").join(target.trim_start_matches('/'))).ok()
    }

    /// Whether a value is still the one that counts, where no fingerprint tells: the service that
    /// has it in its data is told it as if it were new, and has to accept it.
    async fn in_force(
        &self,
        name: &SecretName,
        secret: &Secret,
        secrets: &Secrets,
    ) -> Result<(), Vec<String>> {
        let by_fingerprint = consumers(self.project, name)
            .flat_map(|(service, _)| self.state.of_service(service))
            .any(|it| fingerprint(it, name).is_some());
        let content = secrets.content(name).unwrap_or_default();
        let in_force = object::in_force(self.objects, name);
        let by_object = in_force.is_some_and(|it| it.holds(content));
        let known = by_fingerprint || by_object;
        let Some(rotate) = secret.rotate.as_ref().filter(|_| !known) else {
            return Ok(());
        };
        let telling = Telling {
            engine: self.engine,
            project: self.project,
            state: self.state,
            secrets,
        };
        telling.run(name, rotate).await.map_err(|err| {
            let mut reasons = vec![format!(
                "the value that its container was started with isn't accepted by {}: a rotation has \
                 replaced it since",
                rotate.service
            )];
            reasons.push(err.message);
            reasons.extend(err.details);
            reasons
        })
    }

    /// What couldn't be had is an error, unless another value does as well.
    fn conclude(
        &self,
        missed: Vec<(&SecretName, &Secret, Vec<String>)>,
        lost: &[SecretName],
    ) -> Result<()> {
        let (replaceable, irreplaceable): (Vec<_>, Vec<_>) = missed
            .into_iter()
            .partition(|(name, secret, _)| secret.generate.is_some() && !lost.contains(name));
        for (name, _, reasons) in replaceable {
            self.output.note(&format!(
                "secret {name}: {}. No data was made with it: the next `deploy up` generates another",
                reasons.join("; ")
            ));
        }
        if irreplaceable.is_empty() {
            return Ok(());
        }
        let details = irreplaceable.into_iter().flat_map(|(name, _, reasons)| {
            let line = move |reason| format!("secret {name}: {reason}");
            reasons.into_iter().map(line)
        });
        Err(Error::failed(
            "not every secret could be recovered",
            "put the files back from another copy of this directory or a backup; or start over with \
             the data deleted: `deploy down --volumes`, then `deploy up`",
        )
        .with_details(details))
    }
}

/// Where a container has the secret's file.
fn target(container: &Container, name: &SecretName) -> String {
    let mounts = container.config.as_ref().and_then(|it| it.get("secrets"));
    let mounts = mounts.and_then(|it| it.as_array()).into_iter().flatten();
    let target = mounts
        .filter(|mount| mount["source"] == name.as_str())
        .find_map(|mount| mount["target"].as_str());
    target.map_or_else(|| format!("/run/secrets/{name}"), ToOwned::to_owned)
}
