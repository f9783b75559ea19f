//! What there is of a project on its Swarm, and the calls that change it.

use std::collections::{BTreeMap, HashMap};

use bollard::auth::DockerCredentials;
use bollard::models::{self, NetworkCreateRequest, ServiceSpec, ServiceUpdateStatus};
use bollard::query_parameters::{
    InspectServiceOptions, ListNetworksOptions, ListServicesOptionsBuilder,
    UpdateServiceOptionsBuilder,
};
use compose_file::Project;
use compose_file::model::Network;
use terminal::Output;

use super::UPDATES;
use super::node::{self, Node};
use super::object::{self, Object};
use crate::Engine;
use crate::container;
use crate::error::{EngineContext, Result, is_outdated, unless_gone};
use crate::image::pull;
use crate::labels;
use crate::owner::Owner;

/// A project as its Swarm has it.
#[derive(Debug, Default)]
pub struct Stack {
    /// Its services, by the key in the file.
    pub services: BTreeMap<String, Service>,
    /// Services of a stack of this name that `deploy` didn't make.
    pub foreign: Vec<String>,
    /// Every network that reaches over nodes, by name.
    pub networks: BTreeMap<String, Overlay>,
    /// The project's secrets and configs.
    pub objects: Vec<Object>,
    /// The Swarm's nodes.
    pub nodes: Vec<Node>,
}

/// A service of the project.
#[derive(Debug, Clone)]
pub struct Service {
    /// By which the engine knows it.
    pub id: String,
    /// On the engine: project and key.
    pub name: String,
    /// What it was made from.
    pub spec: ServiceSpec,
    /// The last update; none where it was only created.
    pub update: Option<ServiceUpdateStatus>,
    /// So many tasks run.
    pub running: u64,
    /// So many are to.
    pub desired: u64,
    /// Where its name leads to instead of to its tasks, with the ids of the networks; none where it is
    /// `dnsrr`.
    pub virtual_ips: Vec<(String, String)>,
    version: u64,
}

/// A network that reaches over nodes.
#[derive(Debug, Clone)]
pub struct Overlay {
    /// By which the engine knows it.
    pub id: String,
    /// Who made it.
    pub owner: Owner,
    /// Without a way out.
    pub internal: bool,
    /// Containers that aren't tasks may join.
    pub attachable: bool,
    /// Options for its driver.
    pub options: HashMap<String, String>,
}

impl Stack {
    /// Asks a manager.
    ///
    /// # Errors
    /// When the engine isn't one, or doesn't answer.
    pub async fn observe(engine: &Engine, project: &str) -> Result<Self> {
        let docker = engine.docker();
        let label = format!("{}={project}", labels::STACK);
        let filters = HashMap::from([("label", vec![label.as_str()])]);
        let options = ListServicesOptionsBuilder::new()
            .filters(&filters)
            .status(true)
            .build();
        let (services, networks) = tokio::try_join!(
            docker.list_services(Some(options)),
            docker.list_networks(None::<ListNetworksOptions>),
        )
        .doing(|| "list what is on the Swarm".into())?;
        let (objects, nodes) = tokio::try_join!(object::all(engine, project), node::all(engine))?;
        let mut stack = Self {
            objects,
            nodes,
            ..Self::default()
        };
        for service in services {
            let service = Service::from(service);
            let labels = service.spec.labels.clone().unwrap_or_default();
            let key = labels.get(labels::RESOURCE);
            let ours = labels.get(labels::PROJECT).is_some_and(|it| it == project);
            match key.filter(|_| ours) {
                Some(key) => _ = stack.services.insert(key.clone(), service),
                None => stack.foreign.push(service.name),
            }
        }
        for network in networks {
            if network.scope.as_deref() != Some("swarm") {
                continue;
            }
            let (Some(name), Some(id)) = (network.name, network.id) else {
                continue;
            };
            let overlay = Overlay {
                id,
                owner: Owner::of_resource(&network.labels.unwrap_or_default()),
                internal: network.internal.unwrap_or_default(),
                attachable: network.attachable.unwrap_or_default(),
                options: network.options.unwrap_or_default(),
            };
            stack.networks.insert(name, overlay);
        }
        Ok(stack)
    }

    /// The name of a node, or its id where it left the Swarm.
    pub fn node_name<'a>(&'a self, id: &'a str) -> &'a str {
        let node = self.nodes.iter().find(|it| it.id == id);
        node.map_or(id, |it| it.name.as_str())
    }
}

impl Overlay {
    /// Whether it is as the file says, as far as the engine tells.
    pub fn is_as(&self, network: &Network) -> bool {
        let wanted = |(key, value): (&String, &String)| self.options.get(key) == Some(value);
        let is_encrypted = |it: bool| it == self.options.contains_key("encrypted");
        self.internal == network.internal
            && self.attachable == network.attachable
            && network.driver_opts.iter().all(wanted)
            && is_encrypted(network.driver_opts.contains_key("encrypted"))
    }
}

impl From<models::Service> for Service {
    fn from(service: models::Service) -> Self {
        let mut spec = service.spec.unwrap_or_default();
        // What isn't read back would be taken away by the next change.
        let labels = spec.labels.as_ref();
        let check = labels.and_then(|it| serde_json::from_str(it.get(labels::HEALTH)?).ok());
        if let Some(check) = check {
            let template = spec.task_template.get_or_insert_default();
            template.container_spec.get_or_insert_default().health_check = Some(check);
        }
        let status = service.service_status.unwrap_or_default();
        let endpoint = service.endpoint.unwrap_or_default();
        let virtual_ips = endpoint.virtual_ips.unwrap_or_default().into_iter();
        Self {
            id: service.id.unwrap_or_default(),
            name: spec.name.clone().unwrap_or_default(),
            spec,
            update: service.update_status,
            running: status.running_tasks.unwrap_or_default(),
            desired: status.desired_tasks.unwrap_or_default(),
            virtual_ips: virtual_ips
                .filter_map(|it| Some((it.network_id?, it.addr?)))
                .collect(),
            version: service.version.and_then(|it| it.index).unwrap_or_default(),
        }
    }
}

impl Service {
    /// The replica set that it was made a member of.
    pub fn replica_set(&self) -> Option<&str> {
        let name = self.spec.labels.as_ref()?.get(labels::REPLICA_SET);
        name.map(String::as_str)
    }

    /// Of the nodes that its tasks may be on.
    pub fn constraints(&self) -> &[String] {
        let template = self.spec.task_template.as_ref();
        let placement = template.and_then(|it| it.placement.as_ref());
        let constraints = placement.and_then(|it| it.constraints.as_deref());
        constraints.unwrap_or_default()
    }

    /// The ids of the secrets and configs that its tasks see.
    pub fn objects(&self) -> impl Iterator<Item = &str> {
        let template = self.spec.task_template.as_ref();
        let container = template.and_then(|it| it.container_spec.as_ref());
        let secrets = container.and_then(|it| it.secrets.as_deref());
        let configs = container.and_then(|it| it.configs.as_deref());
        let secrets = secrets.unwrap_or_default().iter();
        let configs = configs.unwrap_or_default().iter();
        let ids = secrets.map(|it| it.secret_id.as_deref());
        ids.chain(configs.map(|it| it.config_id.as_deref()))
            .flatten()
    }

    /// As it is now.
    ///
    /// # Errors
    /// When it is gone.
    pub async fn inspect(engine: &Engine, name: &str) -> Result<Self> {
        let found = engine
            .docker()
            .inspect_service(name, None::<InspectServiceOptions>)
            .await;
        Ok(found.doing(|| format!("inspect service {name}"))?.into())
    }

    /// Makes a service. Returns what the engine has to remark.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn create(
        engine: &Engine,
        spec: ServiceSpec,
        credentials: Option<DockerCredentials>,
    ) -> Result<Vec<String>> {
        let name = spec.name.clone().unwrap_or_default();
        let made = engine.docker().create_service(spec, credentials).await;
        let made = made.doing(|| format!("create service {name}"))?;
        Ok(made.warnings.unwrap_or_default())
    }

    /// Has the engine bring it to another specification, task by task. Returns what it has to remark.
    ///
    /// # Errors
    /// When the engine refuses, as it does when somebody else changed the service meanwhile.
    pub async fn update(
        &self,
        engine: &Engine,
        spec: ServiceSpec,
        credentials: Option<DockerCredentials>,
    ) -> Result<Vec<String>> {
        let doing = || format!("update service {}", self.name);
        let docker = engine.docker();
        let mut version = self.version;
        let mut again = 1..UPDATES;
        loop {
            let options = UpdateServiceOptionsBuilder::new()
                .version(i32::try_from(version).unwrap_or(i32::MAX))
                .build();
            let updated =
                docker.update_service(&self.id, spec.clone(), options, credentials.clone());
            match updated.await {
                Err(err) if is_outdated(&err) && again.next().is_some() => {
                    let options = None::<InspectServiceOptions>;
                    let now = docker.inspect_service(&self.id, options).await;
                    let now = now.doing(doing)?;
                    // The managers write into it how the last update went.
                    if now.spec.as_ref() != Some(&self.spec) {
                        return Err(err).doing(doing);
                    }
                    version = now.version.and_then(|it| it.index).unwrap_or_default();
                }
                updated => return Ok(updated.doing(doing)?.warnings.unwrap_or_default()),
            }
        }
    }

    /// Takes it away, and its tasks. One that is gone already is removed.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn remove(&self, engine: &Engine) -> Result<()> {
        let removed = engine.docker().delete_service(&self.id).await;
        unless_gone(removed).doing(|| format!("remove service {}", self.name))
    }
}

/// Takes away the service of this name or id. One that is gone already is removed.
///
/// # Errors
/// When the engine refuses.
pub async fn remove_service(engine: &Engine, service: &str) -> Result<()> {
    let removed = engine.docker().delete_service(service).await;
    unless_gone(removed).doing(|| format!("remove service {service}"))
}

/// What nodes log in with at the registry that a service's image comes from; none where it was loaded
/// into them.
pub fn credentials(output: &Output, spec: &ServiceSpec) -> Option<DockerCredentials> {
    let container = spec.task_template.as_ref()?.container_spec.as_ref()?;
    let (image, _) = container.image.as_deref()?.split_once('@')?;
    pull::credentials(output, "nodes pull from", pull::registry(image))
}

/// Makes the project's network with this key. Returns its id.
///
/// # Errors
/// When the engine refuses.
pub async fn create_network(
    engine: &Engine,
    project: &Project,
    key: &str,
    network: &Network,
) -> Result<String> {
    let mut labels: HashMap<String, String> = network.labels.clone().into_iter().collect();
    for (label, value) in [
        (labels::PROJECT, project.name.as_str()),
        (labels::RESOURCE, key),
        (labels::STACK, project.name.as_str()),
    ] {
        labels.insert(label.to_owned(), value.to_owned());
    }
    let request = NetworkCreateRequest {
        name: network.name.clone(),
        driver: network.driver.clone(),
        scope: Some("swarm".to_owned()),
        internal: Some(network.internal),
        attachable: Some(network.attachable),
        enable_ipv6: Some(network.enable_ipv6),
        ipam: network.ipam.as_ref().map(container::ipam),
        options: Some(network.driver_opts.clone().into_iter().collect()),
        labels: Some(labels),
        ..NetworkCreateRequest::default()
    };
    let made = engine.docker().create_network(request).await;
    Ok(made
        .doing(|| format!("create network {}", network.name))?
        .id)
}
