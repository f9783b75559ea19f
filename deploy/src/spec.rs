//! What containers, networks and volumes should be made from: the part of the file
//! that matters to each, in a canonical form whose hash decides whether one that is
//! there may stay.

use compose_file::Project;
use compose_file::model::{Mount, Network, Service, Volume};
use serde_json::{Map, Value, json};

use crate::diff;
use crate::secrets::Secrets;

/// Raised when the way we render the same settings into an engine call changes, so
/// that existing containers are made anew.
const RENDERING: u32 = 1;
/// The salt of secret fingerprints is kept under this key.
const SALT: &str = "secret_salt";
/// What is in the image is kept under this key.
pub(crate) const IMAGE_CONTENT: &str = "image_content";

/// Settings of the service that rule how `deploy` acts, not what a container is.
const NOT_OF_THE_CONTAINER: [&str; 4] = ["build", "depends_on", "profiles", "pull_policy"];

/// The canonical settings of a service's containers.
///
/// `image_content` is `None` while the image isn't there; nothing equals that, so
/// a container with it is always made anew. `salt` comes from the container that
/// is compared with, see [`salt_of`].
///
/// The content of a secret is left out where the service is told of a new one by a
/// command (`x-rotate`): its containers have it in their data already.
pub(crate) fn container(
    project: &Project,
    name: &str,
    service: &Service,
    image_content: Option<&str>,
    secrets: &Secrets,
    salt: &str,
) -> Value {
    let mut settings = match serde_json::to_value(service) {
        Ok(Value::Object(settings)) => settings,
        // A model made of maps with string keys, lists and scalars always serialises.
        Ok(_) | Err(_) => Map::new(),
    };
    for key in NOT_OF_THE_CONTAINER {
        settings.remove(key);
    }
    if let Some(Value::Object(deploy)) = settings.get_mut("deploy") {
        deploy.retain(|key, _| key == "resources");
    }
    settings.insert("rendering".into(), RENDERING.into());
    settings.insert(IMAGE_CONTENT.into(), image_content.into());
    // A network that is made anew takes its containers with it.
    let networks: Map<String, Value> = service
        .networks
        .keys()
        .filter_map(|key| Some((key.to_string(), network(project.networks.get(key)?))))
        .collect();
    settings.insert("network_settings".into(), networks.into());
    let volumes: Map<String, Value> = service
        .volumes
        .iter()
        .filter_map(|mount| match mount {
            Mount::Volume {
                source: Some(key), ..
            } => Some((
                key.to_string(),
                project.volumes.get(key)?.name.clone().into(),
            )),
            _ => None,
        })
        .collect();
    settings.insert("volume_names".into(), volumes.into());
    if !service.secrets.is_empty() {
        let contents: Map<String, Value> = service
            .secrets
            .iter()
            .filter(|mount| {
                let secret = project.secrets.get(&mount.source);
                !secret.is_some_and(|secret| secret.is_told_to(name))
            })
            .map(|mount| {
                let print = secrets.fingerprint(&mount.source, salt);
                (mount.source.to_string(), print.into())
            })
            .collect();
        settings.insert(diff::SECRETS.into(), contents.into());
        settings.insert(SALT.into(), salt.into());
        let files: Map<String, Value> = service
            .secrets
            .iter()
            .filter_map(|mount| {
                let file = &project.secrets.get(&mount.source)?.file;
                Some((mount.source.to_string(), file.display().to_string().into()))
            })
            .collect();
        settings.insert("secret_files".into(), files.into());
    }
    settings.into()
}

/// The salt in recorded container settings.
pub(crate) fn salt_of(recorded: &Value) -> Option<&str> {
    recorded.get(SALT)?.as_str()
}

/// What was in the image, in recorded container settings.
pub(crate) fn image_content_of(recorded: &Value) -> Option<&str> {
    recorded.get(IMAGE_CONTENT)?.as_str()
}

/// The canonical settings of a network.
pub(crate) fn network(network: &Network) -> Value {
    json!(network)
}

/// The canonical settings of a volume.
pub(crate) fn volume(volume: &Volume) -> Value {
    json!(volume)
}

/// The canonical settings of a volume as the engine reports one that it made from them: with
/// the driver that it chooses where the file names none.
pub(crate) fn volume_on_engine(volume: &Volume) -> Value {
    let mut settings = self::volume(volume);
    if volume.driver.is_none() {
        settings["driver"] = "local".into();
    }
    settings
}
