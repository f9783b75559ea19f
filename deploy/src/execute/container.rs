//! Containers. What is gone already counts as stopped and removed, so that a removal killed half way
//! can be repeated.

use std::time::{Duration, Instant};

use compose_file::Project;
use compose_file::model::{NetworkKey, NetworkMode, ServiceName};
use engine::Engine;
use engine::api::{NetworkConnectRequest, NetworkDisconnectRequest};
use engine::container::{self, Blueprint};
use engine::error::{EngineContext, Error, Result, is_conflict, refused, unless_gone};
use engine::state::{Container, Status};

use crate::output::Output;
use crate::plan::{Creation, Value};
use crate::secrets::{self, Secrets};
use crate::spec;

/// Longer than any grace period in use; the engine answers when the container has ended.
const STOP: Duration = Duration::from_secs(60 * 60);
/// A removal or creation that the engine has begun is done after this long, or never.
const BEGUN: Duration = Duration::from_secs(30);
/// How often it is asked again.
const PAUSE: Duration = Duration::from_millis(200);

/// Creates a container on its networks; its id.
pub(super) async fn create(
    engine: &Engine,
    output: &Output,
    project: &Project,
    creation: &Creation,
) -> Result<String> {
    let name = &creation.service;
    let Some(service) = project.services.get(name) else {
        return Err(Error::failed(
            format!("there is no service {name}"),
            "run `deploy up` again",
        ));
    };
    let joined = match &service.network_mode {
        Some(NetworkMode::Service(host)) => {
            let host = || {
                Error::failed(
                    format!("service {host} has no container whose network could be joined"),
                    "give it at least one replica",
                )
            };
            Some(
                creation
                    .joins
                    .iter()
                    .find_map(Value::get)
                    .ok_or_else(host)?,
            )
        }
        _ => None,
    };
    let (secrets, salt) = (Secrets::read(project)?, secrets::salt());
    let content = creation.content.as_ref().and_then(Value::get);
    let settings = spec::container(project, name, service, content, &secrets, &salt);
    let number = creation.number;
    let mut blueprint = container::blueprint(project, name, service, number, &settings, joined);
    withhold(project, &mut blueprint, &creation.nameless);
    blueprint.bear(&secrets.fingerprints(project, name, service, &salt));
    let Blueprint {
        name,
        mut body,
        connect,
    } = blueprint;
    body.image = Some(creation.image.clone());
    let deadline = Instant::now() + BEGUN;
    let created = loop {
        match engine.create_container(Some(&name), body.clone()).await {
            Err(err)
                if is_conflict(&err)
                    && Instant::now() < deadline
                    && leftover(engine, project, &name).await? =>
            {
                tokio::time::sleep(PAUSE).await;
            }
            result => break result.doing(|| format!("create container {name}"))?,
        }
    };
    for warning in created.warnings {
        output.note(&format!("container {name}: {warning}"));
    }
    for (network, mut request) in connect {
        request.container.clone_from(&created.id);
        engine
            .connect_network(&network, request)
            .await
            .doing(|| format!("connect container {name} to network {network}"))?;
    }
    Ok(created.id)
}

/// Whether a name is taken by what the engine made for a `deploy` that was killed meanwhile, or is
/// still making. It is removed.
async fn leftover(engine: &Engine, project: &Project, name: &str) -> Result<bool> {
    match Container::find(engine, &project.name, name).await? {
        Some(found) if found.status == Status::Created => {
            remove(engine, &found.id, name).await?;
            Ok(true)
        }
        Some(_) => Ok(false),
        None => Ok(!Container::exists(engine, name).await?),
    }
}

/// Takes the names on these networks out of a blueprint.
fn withhold(project: &Project, blueprint: &mut Blueprint, networks: &[NetworkKey]) {
    let on_creation = blueprint
        .body
        .networking_config
        .iter_mut()
        .filter_map(|it| it.endpoints_config.as_mut())
        .flatten();
    let afterwards = blueprint
        .connect
        .iter_mut()
        .filter_map(|(network, request)| Some((&*network, request.endpoint_config.as_mut()?)));
    for (network, endpoint) in on_creation.chain(afterwards) {
        let withheld = networks
            .iter()
            .filter_map(|key| project.networks.get(key))
            .any(|it| it.name == *network);
        if withheld {
            endpoint.aliases = None;
        }
    }
}

/// Starts a container, or lets one that is paused go on.
pub(super) async fn start(engine: &Engine, id: &str, name: &str) -> Result<()> {
    match engine.start_container(id).await {
        Err(err) if refused(&err).is_some_and(|(_, why)| engine::said::is_paused(why)) => {
            engine.unpause_container(id).await
        }
        result => result,
    }
    .doing(|| format!("start container {name}"))
}

/// Makes the container's endpoints on these networks anew, with its names.
pub(super) async fn give_names(
    engine: &Engine,
    project: &Project,
    id: &str,
    name: &str,
    service_name: &ServiceName,
    networks: &[NetworkKey],
) -> Result<()> {
    let service = project.services.get(service_name);
    for key in networks {
        let (Some(network), Some(attachment)) = (
            project.networks.get(key),
            service.and_then(|it| it.networks.get(key)),
        ) else {
            continue;
        };
        let network = &network.name;
        let nameless = NetworkDisconnectRequest {
            container: id.to_owned(),
            force: Some(false),
        };
        engine
            .disconnect_network(network, nameless)
            .await
            .doing(|| format!("disconnect container {name} from network {network}"))?;
        let named = NetworkConnectRequest {
            container: id.to_owned(),
            endpoint_config: Some(container::endpoint(service_name, attachment)),
        };
        engine
            .connect_network(network, named)
            .await
            .doing(|| format!("connect container {name} to network {network}"))?;
    }
    Ok(())
}

/// Stops a container with the stop signal and grace period it was created with.
pub(super) async fn stop(engine: &Engine, id: &str, name: &str) -> Result<()> {
    let stopped = engine.stop_container(id, STOP).await;
    unless_gone(stopped).doing(|| format!("stop container {name}"))
}

/// Removes a container together with its anonymous volumes.
pub(super) async fn remove(engine: &Engine, id: &str, name: &str) -> Result<()> {
    let deadline = Instant::now() + BEGUN;
    loop {
        match engine.remove_container(id).await {
            // Begun by a `deploy` that was killed meanwhile, or by somebody else.
            Err(err) if is_conflict(&err) && Instant::now() < deadline => {
                tokio::time::sleep(PAUSE).await;
            }
            result => return unless_gone(result).doing(|| format!("remove container {name}")),
        }
    }
}
