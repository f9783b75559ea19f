//! What stands in the way of a plan, found before its first step: names and ports
//! that belong to others, and changes that would cost data. Everything is listed at once.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use crate::compose::Project;
use crate::compose::model::{Port, Protocol};
use crate::container;
use crate::engine::Engine;
use crate::error::{EngineContext, Error, Result};
use crate::origin;
use crate::owner::Kind;
use crate::plan::{self, NetworkAction, Plan, Step};
use crate::spec;
use crate::state::State;

/// Checks everything that can be known beforehand.
///
/// # Errors
/// One error with a line for each conflict; nothing has been changed then.
pub async fn check(engine: &Engine, project: &Project, state: &State, plan: &Plan) -> Result<()> {
    let mut conflicts = origin::conflicts(project, state, plan);
    names(project, state, plan, &mut conflicts);
    volumes(project, state, &mut conflicts);
    ports(engine, project, state, plan, &mut conflicts);
    for action in &plan.networks {
        let name = match action {
            NetworkAction::Recreate { key, .. } => project
                .networks
                .get(key.as_str())
                .map(|it| it.name.as_str()),
            NetworkAction::Remove { name } => Some(name.as_str()),
            NetworkAction::Create { .. } => None,
        };
        if let Some(name) = name {
            guests(engine, state, name, &mut conflicts).await?;
        }
    }
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

fn names(project: &Project, state: &State, plan: &Plan, conflicts: &mut Vec<String>) {
    let foreign = &state.foreign;
    for service_plan in &plan.services {
        let Some(service) = project.services.get(&service_plan.service) else {
            continue;
        };
        for action in &service_plan.containers {
            let name = container::name(project, &service_plan.service, service, action.number);
            if let (Step::Create, Some(owner)) = (&action.step, foreign.containers.get(&name)) {
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

fn ports(
    engine: &Engine,
    project: &Project,
    state: &State,
    plan: &Plan,
    conflicts: &mut Vec<String>,
) {
    for service_plan in &plan.services {
        let Some(service) = project.services.get(&service_plan.service) else {
            continue;
        };
        if service_plan
            .containers
            .iter()
            .all(plan::ContainerAction::is_keep)
        {
            continue;
        }
        for port in &service.ports {
            let Some(published) = port.published else {
                continue;
            };
            let key = (published, port.protocol.to_string());
            // Ours holds it: it is let go before it is taken again.
            if state
                .containers
                .iter()
                .any(|container| container.published.contains(&key))
            {
                continue;
            }
            let service = &service_plan.service;
            let holder = state
                .foreign
                .ports
                .iter()
                .find(|it| it.clashes(port.host_ip, published, &key.1));
            if let Some(holder) = holder.map(|it| &it.container) {
                conflicts.push(format!(
                    "port {published}/{} (service {service}) is published by container {holder}, \
                     which is not this project's. Stop it (`docker stop {holder}`) or publish another port",
                    port.protocol
                ));
            } else if engine.is_local() && in_use(port, published) {
                conflicts.push(format!(
                    "port {published}/{} (service {service}) is in use by a process on this machine \
                     (`ss -lntup 'sport = :{published}'` shows which). Stop it or publish another port",
                    port.protocol
                ));
            }
        }
    }
}

/// Tries the port as the engine will. Only "in use" counts: a port that we may not
/// bind ourselves may still be open to the engine.
fn in_use(port: &Port, published: u16) -> bool {
    let address = port.host_ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let address = SocketAddr::new(address, published);
    let tried = match port.protocol {
        Protocol::Tcp => TcpListener::bind(address).map(drop),
        Protocol::Udp => UdpSocket::bind(address).map(drop),
        Protocol::Sctp => Ok(()),
    };
    tried.is_err_and(|err| err.kind() == ErrorKind::AddrInUse)
}

/// Others' containers on a network that has to go.
async fn guests(
    engine: &Engine,
    state: &State,
    network: &str,
    conflicts: &mut Vec<String>,
) -> Result<()> {
    for guest in foreign_endpoints(engine, state, network).await? {
        conflicts.push(format!(
            "network {network} has to be removed, but container {guest}, which is not of this \
             project's file, is connected to it: `docker network disconnect {network} {guest}`"
        ));
    }
    Ok(())
}

/// Names of the containers on a network that aren't the project's.
pub async fn foreign_endpoints(
    engine: &Engine,
    state: &State,
    network: &str,
) -> Result<Vec<String>> {
    let found = engine
        .docker()
        .inspect_network(network, None)
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
