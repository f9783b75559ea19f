//! Writes a project back as a Compose file, for `deploy config`.

use serde::Serialize;
use serde_json::{Value, json};
use serde_saphyr::ser_options;

use super::Project;

/// What `docker stack deploy` takes of a service (its schema [`VERSION`]). It refuses a file with anything else.
const OF_A_STACK: &[&str] = &[
    "cap_add",
    "cap_drop",
    "command",
    "configs",
    "depends_on",
    "deploy",
    "dns",
    "dns_search",
    "domainname",
    "entrypoint",
    "environment",
    "extra_hosts",
    "healthcheck",
    "hostname",
    "image",
    "init",
    "labels",
    "logging",
    "networks",
    "ports",
    "read_only",
    "secrets",
    "security_opt",
    "stdin_open",
    "stop_grace_period",
    "stop_signal",
    "sysctls",
    "tmpfs",
    "tty",
    "ulimits",
    "user",
    "volumes",
    "working_dir",
];

/// The oldest with all that is written here; Docker 20.10 reads it.
const VERSION: &str = "3.9";

/// A project couldn't be written as YAML.
#[derive(Debug, thiserror::Error)]
#[error("can't write the project as YAML: {0}")]
pub struct RenderError(String);

impl Project {
    /// The project as a Compose file with everything resolved: no variables, no short syntax, no
    /// relative paths. Loading it again gives the same project. Secrets appear as file names only.
    ///
    /// # Errors
    /// When a value has no YAML form; none that [`load`](super::load) makes is known to.
    pub fn to_yaml(&self) -> Result<String, RenderError> {
        yaml(self)
    }

    /// The same as `docker stack deploy --compose-file - NAME` reads it, which gives the project its name
    /// itself; and what of the services it has no words for, as `SERVICE.KEY`.
    ///
    /// # Errors
    /// As of [`to_yaml`](Self::to_yaml).
    pub fn to_stack_yaml(&self) -> Result<(String, Vec<String>), RenderError> {
        let mut file =
            serde_json::to_value(self).map_err(|error| RenderError(error.to_string()))?;
        let mut left_out = Vec::new();
        if let Some(sections) = file.as_object_mut() {
            sections.remove("name");
            sections.insert("version".to_owned(), json!(VERSION));
        }
        let services = file.get_mut("services").and_then(Value::as_object_mut);
        for (name, service) in services.into_iter().flatten() {
            let Some(keys) = service.as_object_mut() else {
                continue;
            };
            keys.retain(|key, value| {
                let taken = OF_A_STACK.contains(&key.as_str());
                // In a Swarm, deploy.restart_policy says it, nodes look for images by themselves, and ports
                // within networks are open.
                if !taken && !["expose", "restart", "pull_policy"].contains(&key.as_str()) {
                    left_out.push(format!("{name}.{key}"));
                }
                if key == "depends_on"
                    && let Some(conditions) = value.as_object()
                {
                    *value = json!(conditions.keys().collect::<Vec<_>>());
                }
                taken
            });
        }
        Ok((yaml(&file)?, left_out))
    }
}

fn yaml(file: &impl Serialize) -> Result<String, RenderError> {
    let options = ser_options! { prefer_block_scalars: false };
    let yaml = serde_saphyr::to_string_with_options(file, options)
        .map_err(|error| RenderError(error.to_string()))?;
    // Every `$` is within a value, since the loader refuses it in keys.
    Ok(yaml.replace('$', "$$"))
}
