//! The first half of applying a plan: secrets, images, networks and volumes, and
//! removing the containers that stand in their way. The services follow in
//! [`rollout`](crate::rollout).

use std::collections::HashMap;

use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest, VolumeCreateRequest};
use bollard::query_parameters::ListNetworksOptionsBuilder;

use crate::compose::Project;
use crate::compose::model;
use crate::concurrency;
use crate::engine::Engine;
use crate::error::{EngineContext, Result};
use crate::image::{self, Need};
use crate::labels;
use crate::output::Output;
use crate::plan::{self, NetworkAction, Plan};
use crate::remove;
use crate::secrets;
use crate::spec;
use crate::state::{Container, State};

/// Carries out everything of `plan` that services need before they start.
pub async fn run(
    engine: &Engine,
    output: &Output,
    project: &Project,
    state: &State,
    plan: &Plan,
) -> Result<()> {
    for name in &plan.secrets {
        let Some(secret) = project.secrets.get(name) else {
            continue;
        };
        let note = secrets::generate(project, name, secret)?;
        output
            .task(&format!("secret {name}"), "generating")
            .done("generated");
        if let Some(note) = note {
            output.note(&note);
        }
    }
    images(engine, output, project, plan).await?;

    let orphans = plan.orphans.iter().map(|orphan| async move {
        let task = output.task(&format!("container {}", orphan.name), &orphan.reason);
        remove::container(engine, &orphan.id, &orphan.name, &task).await?;
        task.done("removed");
        Ok(())
    });
    concurrency::try_all(orphans).await?;
    for action in &plan.networks {
        network(engine, output, project, state, action).await?;
    }
    for key in &plan.volumes {
        if let Some(volume) = project.volumes.get(key.as_str()) {
            create_volume(engine, output, project, key, volume).await?;
        }
    }
    Ok(())
}

/// Pulls run side by side; builds one after the other (see [`image::build`]).
async fn images(engine: &Engine, output: &Output, project: &Project, plan: &Plan) -> Result<()> {
    let pulls = plan
        .images
        .iter()
        .filter(|(_, _, need)| matches!(need, Need::Pull { .. }))
        .map(|(image, ..)| image::pull::run(engine, output, image));
    let builds = async {
        for (_, service, need) in &plan.images {
            if let Need::Build { hash, .. } = need
                && let Some(service) = project.services.get(service)
                && let Some(build) = &service.build
            {
                image::build::run(engine, output, project, service, build, hash).await?;
            }
        }
        Ok(())
    };
    tokio::try_join!(concurrency::try_all(pulls), builds)?;
    Ok(())
}

async fn network(
    engine: &Engine,
    output: &Output,
    project: &Project,
    state: &State,
    action: &NetworkAction,
) -> Result<()> {
    match action {
        NetworkAction::Create { key } => create_network(engine, output, project, key).await,
        NetworkAction::Recreate { key, .. } => {
            if let Some(network) = project.networks.get(key.as_str()) {
                vacate(engine, output, project, state, &network.name).await?;
                remove::network(engine, &network.name).await?;
            }
            create_network(engine, output, project, key).await
        }
        NetworkAction::Remove { name } => {
            vacate(engine, output, project, state, name).await?;
            let task = output.task(&format!("network {name}"), "not in the file any more");
            remove::network(engine, name).await?;
            task.done("removed");
            Ok(())
        }
    }
}

/// Removes our containers from a network that has to go, dependents first. They are
/// made anew with it.
async fn vacate(
    engine: &Engine,
    output: &Output,
    project: &Project,
    state: &State,
    network: &str,
) -> Result<()> {
    let order = plan::order(project);
    let position = |it: &&Container| order.iter().position(|name| it.service == name.as_str());
    let mut containers: Vec<&Container> = state
        .containers
        .iter()
        .filter(|it| it.endpoints.contains_key(network))
        .collect();
    containers.sort_by_key(|it| std::cmp::Reverse(position(it)));
    for container in containers {
        let task = output.task(
            &format!("container {}", container.name),
            "leaving its network",
        );
        remove::container(engine, &container.id, &container.name, &task).await?;
        task.done("removed");
    }
    Ok(())
}

async fn create_network(
    engine: &Engine,
    output: &Output,
    project: &Project,
    key: &str,
) -> Result<()> {
    let Some(network) = project.networks.get(key) else {
        return Ok(());
    };
    let task = output.task(&format!("network {}", network.name), "creating");
    let settings = spec::network(network);
    let compose = [(labels::COMPOSE_NETWORK, key.to_owned())];
    let request = NetworkCreateRequest {
        name: network.name.clone(),
        driver: network.driver.clone(),
        internal: Some(network.internal),
        attachable: Some(network.attachable),
        enable_ipv6: Some(network.enable_ipv6),
        ipam: network.ipam.as_ref().map(ipam),
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
        .docker()
        .create_network(request)
        .await
        .doing(|| format!("create network {}", network.name))?;
    remove_twins(engine, project, &network.name, &created.id).await?;
    task.done("created");
    Ok(())
}

/// Engines before 25 make a second network of one name: where they were still at the first one when
/// the `deploy` that had asked for it was killed, and so nobody saw it. Nothing is on it.
async fn remove_twins(engine: &Engine, project: &Project, name: &str, kept: &str) -> Result<()> {
    let label = format!("{}={}", labels::PROJECT, project.name);
    let filters = HashMap::from([("name", vec![name]), ("label", vec![label.as_str()])]);
    let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
    let networks = engine.docker().list_networks(Some(options)).await;
    let networks = networks.doing(|| "list the engine's networks".into())?;
    // The filter takes parts of names.
    let twins = networks
        .into_iter()
        .filter(|it| it.name.as_deref() == Some(name) && it.id.as_deref() != Some(kept));
    for id in twins.filter_map(|it| it.id) {
        remove::network(engine, &id).await?;
    }
    Ok(())
}

fn ipam(ipam: &model::Ipam) -> Ipam {
    Ipam {
        driver: ipam.driver.clone(),
        config: Some(
            ipam.config
                .iter()
                .map(|pool| IpamConfig {
                    subnet: Some(pool.subnet.to_string()),
                    ip_range: pool.ip_range.map(|range| range.to_string()),
                    gateway: pool.gateway.map(|gateway| gateway.to_string()),
                    ..IpamConfig::default()
                })
                .collect(),
        ),
        ..Ipam::default()
    }
}

async fn create_volume(
    engine: &Engine,
    output: &Output,
    project: &Project,
    key: &str,
    volume: &model::Volume,
) -> Result<()> {
    let task = output.task(&format!("volume {}", volume.name), "creating");
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
        .docker()
        .create_volume(request)
        .await
        .doing(|| format!("create volume {}", volume.name))?;
    task.done("created");
    Ok(())
}
