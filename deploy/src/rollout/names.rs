//! A new container is found by its service's names only once it is ready, so that no
//! request reaches it before.
//!
//! Docker can't add a name to an endpoint that exists. So the container is connected
//! without any, and when it is ready the endpoint is made anew with them. That cuts the
//! connections that go over this endpoint: none on a network over which the container is
//! only reached, since nobody could find it there; but those to a database, say, on a
//! network that it shares with what it depends on. There it has its names from the start.

use bollard::models::{NetworkConnectRequest, NetworkDisconnectRequest};

use super::Rollout;
use crate::compose::Project;
use crate::compose::model::{NetworkKey, Service, ServiceName};
use crate::container::{self, Blueprint};
use crate::error::{EngineContext, Result};
use crate::plan;
use crate::state::Status;

/// The networks of a service over which it reaches none of its dependencies.
pub(super) fn withholdable(project: &Project, service: &Service) -> Vec<NetworkKey> {
    let dependencies = plan::dependencies(service);
    let reaches_dependency = |key: &NetworkKey| {
        dependencies
            .iter()
            .filter_map(|(name, _)| project.services.get(name))
            .any(|dependency| dependency.networks.contains_key(key))
    };
    let keys = service.networks.keys();
    keys.filter(|key| !reaches_dependency(key))
        .cloned()
        .collect()
}

/// Takes the names on these networks out of a blueprint.
pub(super) fn withhold(project: &Project, blueprint: &mut Blueprint, networks: &[NetworkKey]) {
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

impl Rollout<'_> {
    /// Whether containers of the service serve already, beside the one that is to go.
    pub(super) fn others_serve(&self, service: &ServiceName, going: Option<&str>) -> bool {
        self.state
            .of_service(service)
            .any(|it| it.status == Status::Running && going != Some(it.id.as_str()))
    }

    /// Makes the container's endpoints on `networks` anew, with its names.
    pub(super) async fn give_names(
        &self,
        id: &str,
        container: &str,
        service_name: &ServiceName,
        service: &Service,
        networks: &[NetworkKey],
    ) -> Result<()> {
        let docker = self.engine.docker();
        for key in networks {
            let (Some(network), Some(attachment)) =
                (self.project.networks.get(key), service.networks.get(key))
            else {
                continue;
            };
            let network = &network.name;
            let nameless = NetworkDisconnectRequest {
                container: id.to_owned(),
                force: Some(false),
            };
            docker
                .disconnect_network(network, nameless)
                .await
                .doing(|| format!("disconnect container {container} from network {network}"))?;
            let named = NetworkConnectRequest {
                container: id.to_owned(),
                endpoint_config: Some(container::endpoint(service_name, attachment)),
            };
            docker
                .connect_network(network, named)
                .await
                .doing(|| format!("connect container {container} to network {network}"))?;
        }
        Ok(())
    }
}
