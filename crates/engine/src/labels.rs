//! The labels that mark what is ours, and what Docker's own tools group by. Whose an object
//! is by them, [`owner`](crate::owner) decides.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use compose_file::Project;

/// The project that owns a container, network or volume.
pub const PROJECT: &str = "dev.causeway.project";
/// The service a container belongs to, or the network's or volume's key in the file.
pub const RESOURCE: &str = "dev.causeway.resource";
/// A container's number within its service, from 1.
pub const NUMBER: &str = "dev.causeway.number";
/// SHA-256 of [`CONFIG`]: differs exactly when the object must be made anew.
pub const CONFIG_HASH: &str = "dev.causeway.config-hash";
/// The settings the object was made from, as canonical JSON; what a plan compares with.
pub const CONFIG: &str = "dev.causeway.config";
/// Of the generated secrets that a container was made with, the fingerprints of the values that each
/// file had, as JSON: a rotation puts two into it, of which either tells whose file it is.
pub const SECRETS: &str = "dev.causeway.secrets";
/// The first of the Compose files that the object was made from, absolute.
pub const FILE: &str = "dev.causeway.file";
/// The others, which are merged over it, as JSON; not there where there is none.
pub const OVERRIDES: &str = "dev.causeway.overrides";
/// SHA-256 of everything that went into an image's build.
pub const BUILD_HASH: &str = "dev.causeway.build.hash";

/// Of a Swarm's secret or config: SHA-256 of [`SALT`] and its content.
pub const CONTENT: &str = "dev.causeway.content";
/// Of a Swarm's generated secret: the same of each value in it, as JSON.
pub const VALUES: &str = "dev.causeway.values";
/// Of a Swarm's secret or config: what its hashes begin with.
pub const SALT: &str = "dev.causeway.salt";
/// Of a Swarm's task: what is in its image, where the name alone doesn't say.
pub const IMAGE_CONTENT: &str = "dev.causeway.image";
/// Of a Swarm's service: its health check as JSON, which the client that we use doesn't read back.
pub const HEALTH: &str = "dev.causeway.healthcheck";
/// The replica set that a container, or a Swarm's service, is a member of.
pub const REPLICA_SET: &str = "dev.causeway.replica-set";
/// The id of the node that has a service's data.
pub const NODE: &str = "dev.causeway.node";
/// Docker Swarm: the stack that an object belongs to.
pub const STACK: &str = "com.docker.stack.namespace";
/// Docker Swarm: the name of the service that a task's container is of, written by the node's engine.
pub const SWARM_SERVICE: &str = "com.docker.swarm.service.name";

/// What the names of all of Docker Compose's labels begin with.
pub const COMPOSE_PREFIX: &str = "com.docker.compose.";
/// Docker Compose: the project's name.
pub const COMPOSE_PROJECT: &str = "com.docker.compose.project";
/// Docker Compose: the service's name.
pub const COMPOSE_SERVICE: &str = "com.docker.compose.service";
/// Docker Compose: the number within the service.
pub const COMPOSE_NUMBER: &str = "com.docker.compose.container-number";
/// Docker Compose: `True` for `docker compose run`.
pub const COMPOSE_ONEOFF: &str = "com.docker.compose.oneoff";
/// Docker Compose: hash of the service's configuration.
pub const COMPOSE_HASH: &str = "com.docker.compose.config-hash";
/// Docker Compose: the version of the tool that made the object.
pub const COMPOSE_VERSION: &str = "com.docker.compose.version";
/// Docker Compose: directory of the Compose file.
pub const COMPOSE_WORKING_DIR: &str = "com.docker.compose.project.working_dir";
/// Docker Compose: the Compose files, separated by commas.
pub const COMPOSE_FILES: &str = "com.docker.compose.project.config_files";
/// Docker Compose: a network's key in the file.
pub const COMPOSE_NETWORK: &str = "com.docker.compose.network";
/// Docker Compose: a volume's key in the file.
pub const COMPOSE_VOLUME: &str = "com.docker.compose.volume";

/// The labels of everything we create: those of the file, ours over them, and `compose`,
/// the ones that Docker's tools know this kind of object by.
pub fn all<const N: usize>(
    project: &Project,
    resource: &str,
    settings: &Value,
    from_file: &BTreeMap<String, String>,
    compose: [(&str, String); N],
) -> HashMap<String, String> {
    let ours = [
        (PROJECT, project.name.to_string()),
        (RESOURCE, resource.to_owned()),
        (CONFIG, settings.to_string()),
        (CONFIG_HASH, hash(settings)),
        (FILE, project.files.first().display().to_string()),
        (COMPOSE_PROJECT, project.name.to_string()),
        (COMPOSE_VERSION, env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let overrides = project.files.overrides();
    let overrides = (!overrides.is_empty()).then(|| (OVERRIDES, json!(overrides).to_string()));
    let mut labels: HashMap<String, String> = from_file.clone().into_iter().collect();
    labels.extend(
        ours.into_iter()
            .chain(overrides)
            .chain(compose)
            .map(|(key, value)| (key.to_owned(), value)),
    );
    labels
}

/// Hash of canonical settings, [`CONFIG_HASH`].
pub fn hash(settings: &Value) -> String {
    // serde_json's maps are sorted, so equal settings have one text.
    hex::encode(Sha256::digest(settings.to_string()))
}
