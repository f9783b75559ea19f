//! Writes a project back as a Compose file, for `deploy config`.

use serde::Serialize;
use serde_json::{Value, json};
use serde_saphyr::ser_options;

use super::Project;
use super::model::{FileMode, Mount, Service, TmpfsOptions};

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
                // within networks are open. Memory is below.
                let said = ["expose", "restart", "pull_policy", "tmpfs"];
                if !taken && !said.contains(&key.as_str()) {
                    left_out.push(format!("{name}.{key}"));
                }
                if key == "depends_on"
                    && let Some(conditions) = value.as_object()
                {
                    *value = json!(conditions.keys().collect::<Vec<_>>());
                }
                taken
            });
            let Some(service) = self.services.get(name.as_str()) else {
                continue;
            };
            let (memory, modes) = memory(service);
            left_out.extend(modes.map(|target| format!("{name}.tmpfs.mode of {target}")));
            if !memory.is_empty() {
                let volumes = keys.entry("volumes").or_insert_with(|| json!([]));
                let others = volumes.as_array_mut().into_iter().flat_map(|it| {
                    it.retain(|mount| mount["type"] != "tmpfs");
                    it.drain(..)
                });
                *volumes = others.chain(memory).collect();
            }
        }
        Ok((yaml(&file)?, left_out))
    }
}

/// A service's memory as volumes, the only way in which `docker stack deploy` makes it; and the paths with
/// a mode, which it has no word for, unless that is the engine's own.
fn memory(service: &Service) -> (Vec<Value>, impl Iterator<Item = &str>) {
    let long = service.volumes.iter().filter_map(|mount| match mount {
        Mount::Tmpfs { target, tmpfs } => Some((target.as_str(), *tmpfs)),
        _ => None,
    });
    let all: Vec<(&str, TmpfsOptions)> = long.chain(service.memory()).collect();
    let volumes = all.iter().map(|(target, options)| match options.size {
        Some(size) => json!({"type": "tmpfs", "target": target, "tmpfs": {"size": size}}),
        None => json!({"type": "tmpfs", "target": target}),
    });
    let volumes = volumes.collect();
    let own = |mode: FileMode| mode.bits() == 0o1777;
    let other = all
        .into_iter()
        .filter(move |(_, it)| it.mode.is_some_and(|mode| !own(mode)));
    (volumes, other.map(|(target, _)| target))
}

fn yaml(file: &impl Serialize) -> Result<String, RenderError> {
    let options = ser_options! { prefer_block_scalars: false };
    let yaml = serde_saphyr::to_string_with_options(file, options)
        .map_err(|error| RenderError(error.to_string()))?;
    // Every `$` is within a value, since the loader refuses it in keys.
    Ok(yaml.replace('$', "$$"))
}
