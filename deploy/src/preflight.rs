//! What stands in the way of a plan, found before its first step: names, ports and subnets
//! that belong to others, what the engine can't see, and changes that would cost data.
//! Everything is listed at once.

mod ports;
mod sight;
mod subnets;

use compose_file::Project;
use compose_file::model::{SecretName, ServiceName};
use engine::Engine;
use engine::container;
use engine::error::{EngineContext, Error, Result};
use engine::owner::Kind;
use engine::state::{State, Status};

use crate::capacity;
use crate::origin::{self, Origin};
use crate::plan::{self, Changes, NetworkAction, Step};
use crate::replica_set;
use crate::secrets::file::consumers;
use crate::secrets::{self, Exchanged, Lost, Secrets};
use crate::spec;

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Preflight<'a> {
    /// The engine that the plan is for.
    pub(crate) engine: &'a Engine,
    /// The file.
    pub(crate) project: &'a Project,
    /// What is on the engine.
    pub(crate) state: &'a State,
    /// The secrets that exist.
    pub(crate) secrets: &'a Secrets,
    /// What is to be done.
    pub(crate) changes: &'a Changes,
    /// Only these services; `None`: everything.
    pub(crate) only: Option<&'a [ServiceName]>,
    /// More containers are let in than can be answered for.
    pub(crate) force: bool,
    /// Certificates that nobody could serve with.
    pub(crate) faults: &'a [String],
}

impl Preflight<'_> {
    /// Checks everything that can be known beforehand. Changes nothing.
    ///
    /// # Errors
    /// One error with a line for each conflict, which says what to do.
    pub(crate) async fn check(self) -> Result<()> {
        let Self {
            engine,
            project,
            state,
            changes,
            ..
        } = self;
        let mut conflicts = standing(project, state, self.secrets, changes.takes_over.as_ref());
        conflicts.extend(self.faults.iter().cloned());
        conflicts.extend(secrets::unfit_places(project, &changes.secrets));
        if !self.force {
            conflicts.extend(capacity::contended(project, changes.growing()));
            if changes.growing().next().is_some() {
                conflicts.extend(capacity::lack(engine, project, state, self.only).await?);
            }
        }
        names(project, state, changes, &mut conflicts);
        let members = state
            .containers
            .iter()
            .filter(|it| it.replica_set.is_some());
        let members = members.map(|it| it.service.as_str()).collect();
        conflicts.extend(replica_set::left_alone(
            project.replica_set.as_ref(),
            members,
        ));
        volumes(project, state, &mut conflicts);
        ports::check(self, &mut conflicts).await;
        sight::check(engine, project, &mut conflicts).await?;
        subnets::check(self, &mut conflicts).await?;
        networks_to_go(engine, project, state, changes, &mut conflicts).await?;
        settled(project, conflicts)
    }
}

/// Whether nothing stands in the way.
///
/// # Errors
/// One error with a line for each conflict, which says what to do.
pub(crate) fn settled(project: &Project, conflicts: Vec<String>) -> Result<()> {
    if conflicts.is_empty() {
        return Ok(());
    }
    Err(Error::failed(
        format!(
            "project {} can't be brought up as it is; nothing was changed",
            project.name
        ),
        "settle each of these, then run `deploy up` again",
    )
    .with_details(conflicts))
}

/// What forbids touching the containers that are there, whatever the file says of them: they are
/// somebody else's, or the last ones to have a secret whose file is gone or isn't theirs.
pub(crate) fn standing(
    project: &Project,
    state: &State,
    secrets: &Secrets,
    taken_over: Option<&Origin>,
) -> Vec<String> {
    let lost = secrets::lost(project, state, secrets);
    let exchanged = secrets::exchanged(project, state, secrets);
    let mut conflicts = origin::conflicts(project, state, taken_over);
    conflicts.extend(lost.map(|lost| lost_secret(project, state, &lost)));
    conflicts.extend(exchanged.map(|it| exchanged_secret(project, state, &it)));
    conflicts
}

/// The ways out where the file of a secret isn't the one that data was made with.
fn exchanged_secret(project: &Project, state: &State, exchanged: &Exchanged<'_>) -> String {
    let Exchanged {
        name, container, ..
    } = exchanged;
    let file = exchanged.secret.file.display().to_string();
    let from = secrets::path_in(container, name)
        .filter(|path| *path != file)
        .map(|path| format!(", which was given {path}"));
    let origin = container.files.as_ref();
    let origin = origin.filter(|it| it.first() != project.files.first());
    let origin = origin.map(|it| format!(", brought up from {it}"));
    format!(
        "secret {name}: {file} holds another value than {} was made with: that of container {}{}{}. \
         Put the old value back; or move the file away and take the old one from {} (`deploy secrets \
         recover`); or start over with the data deleted (`deploy down --volumes`). With the old value \
         in its place, `deploy up --rotate-secrets {name}` brings in a new one",
        exchanged.known_to,
        container.name,
        origin.unwrap_or_default(),
        from.unwrap_or_default(),
        running_reader(project, state, name),
    )
}

/// The three ways out of a lost secret.
fn lost_secret(project: &Project, state: &State, lost: &Lost<'_>) -> String {
    let file = lost.secret.file.display().to_string();
    let readers =
        || consumers(project, lost.name).flat_map(|(service, _)| state.of_service(service));
    let put_back = match readers().find_map(|it| Some((it, secrets::path_in(it, lost.name)?))) {
        Some((container, path)) if path != file => {
            format!(
                "Put the file back (container {} was given {path})",
                container.name
            )
        }
        Some(_) => "Put the file back".to_owned(),
        None => "Put the file back (if it never was there, write a value of your own)".to_owned(),
    };
    format!(
        "secret {}: {file} is gone, and {} was made with what it held; another one would not open it. \
         {put_back}, or take it from {} (`deploy secrets recover`), or start over with the data \
         deleted (`deploy down --volumes`)",
        lost.name,
        lost.known_to,
        running_reader(project, state, lost.name),
    )
}

/// A container that still has a secret mounted.
fn running_reader(project: &Project, state: &State, name: &SecretName) -> String {
    let readers = consumers(project, name);
    let mut readers = readers.flat_map(|(service, _)| state.of_service(service));
    readers.find(|it| it.status == Status::Running).map_or_else(
        || "a running container, of which there is none".to_owned(),
        |container| format!("container {}, which runs", container.name),
    )
}

async fn networks_to_go(
    engine: &Engine,
    project: &Project,
    state: &State,
    changes: &Changes,
    conflicts: &mut Vec<String>,
) -> Result<()> {
    for action in &changes.networks {
        let name = match action {
            NetworkAction::Recreate { key, .. } => project
                .networks
                .get(key.as_str())
                .map(|it| it.name.as_str()),
            NetworkAction::Remove { name } => Some(name.as_str()),
            NetworkAction::Create { .. } => None,
        };
        if let Some(name) = name {
            guests(engine, state, name, conflicts).await?;
        }
    }
    Ok(())
}

fn names(project: &Project, state: &State, changes: &Changes, conflicts: &mut Vec<String>) {
    let foreign = &state.foreign;
    for service_plan in &changes.services {
        let Some(service) = project.services.get(&service_plan.service) else {
            continue;
        };
        for action in &service_plan.containers {
            let name = container::name(project, &service_plan.service, service, action.number);
            if !matches!(action.step, Step::Create) {
                continue;
            }
            if state.disabled.containers.iter().any(|it| it.name == name) {
                conflicts.push(format!(
                    "container name {name} is taken by one whose profile isn't enabled \
                     (`docker rm -f {name}` removes it)"
                ));
            }
            if state.elsewhere.containers.iter().any(|it| it.name == name) {
                conflicts.push(format!(
                    "container name {name} is taken by one that another Compose file brought up \
                     (--remove-orphans removes it)"
                ));
            }
            if let Some(owner) = foreign.containers.get(&name) {
                // One that is part of a stack was told of with that.
                if !owner.is_compose(&project.name) {
                    conflicts.push(format!(
                        "container name {name} is taken by somebody else's container; owner: {owner}. \
                         Remove it ({}) or choose another project name (-p)",
                        owner.removal(Kind::Container, &name)
                    ));
                }
            }
        }
    }
    for (key, network) in &project.networks {
        let name = &network.name;
        let owner = foreign.networks.get(name);
        match (network.external, owner) {
            (false, Some(owner)) if !owner.is_compose(&project.name) => conflicts.push(format!(
                "network {name} exists and is not this project's; owner: {owner}. Remove it \
                 ({}), give networks.{key} another `name:`, or declare it `external: true`",
                owner.removal(Kind::Network, name)
            )),
            (true, None) if !state.networks.iter().any(|it| it.name == *name) => {
                conflicts.push(format!(
                    "network {name} is `external` but doesn't exist: `docker network create {name}`"
                ));
            }
            _ => {}
        }
    }
}

fn volumes(project: &Project, state: &State, conflicts: &mut Vec<String>) {
    for (key, volume) in &project.volumes {
        let name = &volume.name;
        match (volume.external, state.foreign.volumes.get(name)) {
            (false, Some(owner)) => conflicts.push(format!(
                "volume {name} exists and is not this project's; owner: {owner}. Declare \
                 volumes.{key} `external: true` to use it all the same, or give it another `name:`"
            )),
            (true, None) if !state.volumes.iter().any(|it| it.name == *name) => {
                conflicts.push(format!(
                    "volume {name} is `external` but doesn't exist: `docker volume create {name}`"
                ));
            }
            (false, None) => {
                let found = state.volumes.iter().find(|it| it.name == *name);
                let changes = found.map(|it| {
                    let settings = if it.by_compose {
                        spec::volume_on_engine(volume)
                    } else {
                        spec::volume(volume)
                    };
                    plan::changes(it, &settings)
                });
                for change in changes.into_iter().flatten() {
                    conflicts.push(format!(
                        "volume {name} was created with other settings ({change}), and making it anew \
                         would lose its data. Restore the setting in volumes.{key}, or save the data \
                         and `docker volume rm {name}`"
                    ));
                }
            }
            _ => {}
        }
    }
}

/// Others' containers on a network that has to go.
async fn guests(
    engine: &Engine,
    state: &State,
    network: &str,
    conflicts: &mut Vec<String>,
) -> Result<()> {
    for guest in foreign_endpoints(engine, state, network).await? {
        let mut disabled = state.disabled.containers.iter();
        if disabled.any(|it| it.name == guest) {
            conflicts.push(format!(
                "network {network} has to be removed, but container {guest}, whose profile isn't enabled, \
                 is connected to it: enable it too (`--profile`), or remove it (`docker rm -f {guest}`)"
            ));
            continue;
        }
        conflicts.push(format!(
            "network {network} has to be removed, but container {guest}, which is not of this \
             project's file, is connected to it: `docker network disconnect {network} {guest}`"
        ));
    }
    Ok(())
}

/// Names of the containers on a network that aren't the project's.
async fn foreign_endpoints(engine: &Engine, state: &State, network: &str) -> Result<Vec<String>> {
    let found = engine
        .inspect_network(network)
        .await
        .doing(|| format!("inspect network {network}"))?;
    let ours = |id: &String| state.containers.iter().any(|container| container.id == *id);
    Ok(found
        .containers
        .unwrap_or_default()
        .into_iter()
        .filter(|(id, _)| !ours(id))
        .map(|(id, endpoint)| endpoint.name.unwrap_or(id))
        .collect())
}
