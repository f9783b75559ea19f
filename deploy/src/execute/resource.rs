//! Networks and volumes. What is gone already counts as removed, so that a removal killed half way
//! can be repeated.

use compose_file::Project;
use engine::Engine;
use engine::api::{NetworkCreateRequest, VolumeCreateRequest};
use engine::container;
use engine::error::{EngineContext, Error, Result, refused, unless_gone};
use engine::labels;

use crate::spec;

/// Creates the project's network with this key.
pub(super) async fn create_network(engine: &Engine, project: &Project, key: &str) -> Result<()> {
    let Some(network) = project.networks.get(key) else {
        return Ok(());
    };
    let settings = spec::network(network);
    let compose = [(labels::COMPOSE_NETWORK, key.to_owned())];
    let request = NetworkCreateRequest {
        name: network.name.clone(),
        driver: network.driver.clone(),
        internal: Some(network.internal),
        attachable: Some(network.attachable),
        enable_ipv6: Some(network.enable_ipv6),
        ipam: network.ipam.as_ref().map(container::ipam),
        options: Some(network.driver_opts.clone().into_iter().collect()),
        labels: Some(labels::all(
            project,
            key,
            &settings,
            &network.labels,
            compose,
        )),
        ..NetworkCreateRequest::default()
    };
    let created = engine
        .create_network(request)
        .await
        .doing(|| format!("create network {}", network.name))?;
    remove_twins(engine, project, &network.name, &created.id).await
}

/// Engines before 25 make a second network of one name: where they were still at the first one when
/// the `deploy` that had asked for it was killed, and so nobody saw it. Nothing is on it.
async fn remove_twins(engine: &Engine, project: &Project, name: &str, kept: &str) -> Result<()> {
    let label = format!("{}={}", labels::PROJECT, project.name);
    let pass = [("name", name), ("label", label.as_str())];
    let networks = engine.list_networks(&pass).await;
    let networks = networks.doing(|| "list the engine's networks".into())?;
    // The filter takes parts of names.
    let twins = networks
        .into_iter()
        .filter(|it| it.name.as_deref() == Some(name) && it.id.as_deref() != Some(kept));
    for id in twins.filter_map(|it| it.id) {
        remove_network(engine, &id).await?;
    }
    Ok(())
}

/// Removes a network; one that something is connected to stays.
pub(super) async fn remove_network(engine: &Engine, name: &str) -> Result<()> {
    let removed = engine.remove_network(name).await;
    if let Err(err) = &removed
        && matches!(refused(err), Some((403, _)))
    {
        let found = engine.inspect_network(name).await;
        let found = found.doing(|| format!("inspect network {name}"))?;
        let endpoints = found.containers.unwrap_or_default().into_iter();
        let guests: Vec<String> = endpoints
            .map(|(id, endpoint)| endpoint.name.unwrap_or(id))
            .collect();
        let guests = guests.join(" ");
        return Err(Error::failed(
            format!(
                "network {name} can't be removed: {guests}, not this project's, is connected to it"
            ),
            format!("`docker network disconnect {name} {guests}`, then run again"),
        ));
    }
    unless_gone(removed).doing(|| format!("remove network {name}"))
}

/// Creates the project's volume with this key.
pub(super) async fn create_volume(engine: &Engine, project: &Project, key: &str) -> Result<()> {
    let Some(volume) = project.volumes.get(key) else {
        return Ok(());
    };
    let settings = spec::volume(volume);
    let compose = [(labels::COMPOSE_VOLUME, key.to_owned())];
    let request = VolumeCreateRequest {
        name: Some(volume.name.clone()),
        driver: volume.driver.clone(),
        driver_opts: Some(volume.driver_opts.clone().into_iter().collect()),
        labels: Some(labels::all(
            project,
            key,
            &settings,
            &volume.labels,
            compose,
        )),
        ..VolumeCreateRequest::default()
    };
    engine
        .create_volume(request)
        .await
        .doing(|| format!("create volume {}", volume.name))?;
    Ok(())
}

/// Removes a volume and what is in it.
pub(super) async fn remove_volume(engine: &Engine, name: &str) -> Result<()> {
    let removed = engine.remove_volume(name).await;
    if let Err(err) = &removed
        && let Some((409, message)) = refused(err)
    {
        return Err(Error::failed(
            format!("could not remove volume {name}: {}", message.trim()),
            format!(
                "remove the container that uses it (`docker ps -a --filter volume={name}`), then run again"
            ),
        ));
    }
    unless_gone(removed).doing(|| format!("remove volume {name}"))
}
