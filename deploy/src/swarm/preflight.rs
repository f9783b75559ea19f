//! What stands in the way of a plan for a Swarm, found before its first step.

use compose_file::Project;
use engine::Engine;
use engine::error::{EngineContext, Result};
use engine::owner::Kind as Owned;
use engine::state::State;
use engine::swarm::object;

use super::data;
use super::plan::{Observed, Plan};
use crate::preflight::settled;
use crate::replica_set;
use crate::secrets;

/// The first Engine API that keeps processes from gaining privileges in a Swarm's tasks. An older one
/// ignores the setting.
const NO_NEW_PRIVILEGES: (u32, u32) = (1, 44);

/// Checks what can be known beforehand. Changes nothing.
///
/// # Errors
/// One error with a line for each conflict, which says what to do.
pub(super) async fn check(
    engine: &Engine,
    project: &Project,
    now: &Observed,
    plan: &Plan<'_>,
) -> Result<()> {
    let mut conflicts = now.faults.clone();
    conflicts.extend(plan.homeless.iter().cloned());
    conflicts.extend(secrets::unfit_places(
        project,
        &plan
            .secrets
            .iter()
            .map(|it| (*it).clone())
            .collect::<Vec<_>>(),
    ));
    for service in &now.stack.foreign {
        conflicts.push(format!(
            "service {service} belongs to a stack of the name {0} that deploy didn't make: `docker stack rm {0}`, \
             or give this one another name (`-p`)",
            project.name
        ));
    }
    networks(project, now, &mut conflicts);
    told(project, now, &mut conflicts);
    let services = now.stack.services.iter();
    let members = services.filter(|(_, it)| it.replica_set().is_some());
    let members = members.map(|(name, _)| name.as_str()).collect();
    conflicts.extend(replica_set::left_alone(
        project.replica_set.as_ref(),
        members,
    ));
    let machine = State::observe(engine, &project.name).await?;
    if let Some(container) = machine.containers.first() {
        conflicts.push(format!(
            "the stack runs on this machine alone (container {}): take it down first with its own file \
             (`deploy -f compose.yaml down`); its volumes stay, and are gone on with on this node",
            container.name
        ));
    }
    privileges(engine, project, &mut conflicts).await?;
    settled(project, conflicts)
}

fn networks(project: &Project, now: &Observed, conflicts: &mut Vec<String>) {
    for network in project.networks.values() {
        let name = &network.name;
        match now.stack.networks.get(name) {
            None if network.external => conflicts.push(format!(
                "network {name} is external and the Swarm doesn't have it: `docker network create --driver overlay {name}`"
            )),
            Some(there) if !network.external && !there.owner.is_deploy(&project.name) => {
                conflicts.push(format!(
                    "network {name} belongs to {}: {} removes it",
                    there.owner,
                    there.owner.removal(Owned::Network, name)
                ));
            }
            Some(there) if !network.external && !there.is_as(network) => conflicts.push(format!(
                "network {name} isn't as the file says, and can't be changed while services are on it: `deploy down`, \
                 then `deploy up`"
            )),
            _ => {}
        }
    }
}

/// Of secrets that a service keeps in its data, another value locks everybody else out.
fn told(project: &Project, now: &Observed, conflicts: &mut Vec<String>) {
    for (name, secret) in secrets::used(project) {
        let there = object::in_force(&now.stack.objects, name);
        let Some(there) = there.filter(|_| data::is_made_with(secret)) else {
            continue;
        };
        let file = secret.file.display();
        match now.secrets.content(name) {
            None => conflicts.push(format!(
                "secret {name}: {file} is gone, and data was made with it: bring the file back (from the \
                 machine that deployed before, or from a task: `deploy secrets recover`)"
            )),
            Some(content) => {
                let mut values = now.secrets.values(name, secret).into_iter();
                if !there.holds(content) && !values.any(|it| there.has(it)) {
                    let rotated = format!("; `deploy up --rotate-secrets {name}` then gives it a new one");
                    let rotated = Some(rotated).filter(|_| secret.is_generated_value());
                    conflicts.push(format!(
                        "secret {name}: {file} holds another value than the data was made with: put the old one \
                         back{}",
                        rotated.unwrap_or_default()
                    ));
                }
            }
        }
    }
}

async fn privileges(engine: &Engine, project: &Project, conflicts: &mut Vec<String>) -> Result<()> {
    let mut services = project.services.iter();
    let Some((name, _)) = services.find(|(_, it)| !it.security_opt.is_empty()) else {
        return Ok(());
    };
    let version = engine.version().await;
    let version = version.doing(|| "ask for the engine's version".into())?;
    let spoken = version.api_version.unwrap_or_default();
    let parsed = spoken
        .split_once('.')
        .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    if parsed.is_some_and(|it: (u32, u32)| it < NO_NEW_PRIVILEGES) {
        conflicts.push(format!(
            "services.{name}.security_opt: this engine (API {spoken}) ignores no-new-privileges in a Swarm: take \
             Docker 25 or newer on every node, or remove it"
        ));
    }
    Ok(())
}
