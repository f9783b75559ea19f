//! What a Swarm doesn't carry out, or would carry out so that data is lost, in a file for one.

use super::Check;
use crate::model::{
    Condition, EndpointMode, Mode, Mount, PublishMode, PullPolicy, RestartPolicy, Service, Volume,
};

impl Check<'_> {
    /// Reports what the service says that has no effect on a Swarm, and data that isn't kept together
    /// with its service.
    pub(super) fn on_swarm(&self, name: &str, service: &Service) {
        let refused = |key: &str, why: &str| {
            let message = format!("a Swarm doesn't carry {key} out: {why}");
            self.report(&["services", name, key], message);
        };
        let alone = "it is for one machine; remove it (`!reset null` in the file for the Swarm)";
        for (key, set) in [
            ("container_name", service.container_name.is_some()),
            ("network_mode", service.network_mode.is_some()),
            ("memswap_limit", service.memswap_limit.is_some()),
            ("shm_size", service.shm_size.is_some()),
            ("cpu_shares", service.cpu_shares.is_some()),
            ("pull_policy", service.pull_policy != PullPolicy::default()),
        ] {
            if set {
                refused(key, alone);
            }
        }
        for (key, hooks) in [
            ("post_start", &service.post_start),
            ("pre_stop", &service.pre_stop),
        ] {
            if !hooks.is_empty() {
                refused(
                    key,
                    "its nodes start and stop tasks by themselves; remove it (`!reset null` in the file for the Swarm)",
                );
            }
        }
        if matches!(service.restart, RestartPolicy::OnFailure { .. }) {
            refused("restart", "use deploy.restart_policy");
        }
        if service
            .security_opt
            .iter()
            .any(|it| !is_no_new_privileges(it))
        {
            refused("security_opt", "only no-new-privileges=true");
        }
        let options = |it: &String| it.split(',').any(|it| !is_tmpfs_option_of_swarm(it));
        if service.tmpfs.values().any(options) {
            refused("tmpfs", "of the options only size and mode");
        }
        let mut conditions = service.depends_on.values();
        if conditions.any(|it| it.condition == Condition::ServiceCompletedSuccessfully) {
            refused("depends_on", "tasks that end are started again");
        }
        self.ports_on_swarm(name, service);
        self.networks_on_swarm(name, service);
        self.data_on_swarm(name, service);
    }

    fn ports_on_swarm(&self, name: &str, service: &Service) {
        let keys = ["services", name, "ports"];
        for port in &service.ports {
            if port.host_ip.is_some_and(|ip| !ip.is_unspecified()) {
                let message = "a Swarm publishes on every address of a node: remove the host's address, \
                               and close the port in the nodes' firewall";
                self.report(&keys, message);
            }
            let host = port.mode == Some(PublishMode::Host);
            if service.deploy.endpoint_mode == Some(EndpointMode::Dnsrr) && !host {
                let message = format!(
                    "port {}: with endpoint_mode: dnsrr, a port is published with mode: host",
                    port.target
                );
                self.report(&keys, message);
            }
        }
    }

    fn networks_on_swarm(&self, name: &str, service: &Service) {
        for (key, attachment) in &service.networks {
            if attachment.ipv4_address.is_some() || attachment.ipv6_address.is_some() {
                let keys = ["services", name, "networks", key.as_str()];
                self.report(&keys, "a Swarm gives tasks no fixed address: remove it");
            }
            let network = self.sections.networks.get(key);
            let reaches = network.is_none_or(|it| {
                it.external || it.driver.as_deref() == Some(crate::model::OVERLAY)
            });
            if !reaches {
                let message = format!(
                    "{name} is on it, and tasks can be on overlay networks only: driver: overlay"
                );
                self.report(&["networks", key.as_str()], message);
            }
        }
    }

    /// A volume is one node's. A service that may be started on another one finds an empty one there.
    fn data_on_swarm(&self, name: &str, service: &Service) {
        for mount in &service.volumes {
            match mount {
                Mount::Bind { source, .. } => {
                    let message = format!(
                        "{} has to be on every node that may run {name}; a config brings a file along",
                        source.display()
                    );
                    let keys = ["services", name, "volumes"];
                    let at = super::locate(self.root, &keys);
                    self.context.warn(Some(at), &keys.join("."), message);
                }
                Mount::Volume {
                    source: Some(key),
                    read_only: false,
                    ..
                } if service.deploy.mode == Mode::Replicated => {
                    let volume = self.sections.volumes.get(key);
                    if volume.is_none_or(|it| !it.is_of_one_node()) {
                        continue;
                    }
                    if service.deploy.placement.pins().next().is_none() {
                        let message = format!(
                            "{name} keeps data in it, which is on one node, and could be started on \
                             another one, without its data: add a constraint to deploy.placement.constraints \
                             (node.labels.NAME == VALUE) that one node satisfies"
                        );
                        self.report(&["services", name, "volumes", key.as_str()], message);
                    } else if service.deploy.replicas > 1 {
                        let replicas = service.deploy.replicas;
                        let message =
                            format!("{replicas} tasks on one node would write to it; one can");
                        self.report(&["services", name, "volumes", key.as_str()], message);
                    }
                }
                Mount::Volume { .. } | Mount::Tmpfs { .. } => {}
            }
        }
    }
}

impl Volume {
    /// Whether what is in it stays on the node where it was written.
    pub fn is_of_one_node(&self) -> bool {
        let local = self.driver.as_deref().is_none_or(|it| it == "local");
        let option = |key: &str| self.driver_opts.get(key).map(String::as_str);
        let elsewhere = matches!(option("type"), Some("tmpfs" | "nfs" | "nfs4" | "cifs"));
        local && !elsewhere
    }
}

fn is_no_new_privileges(option: &str) -> bool {
    let words = [
        "no-new-privileges",
        "no-new-privileges=true",
        "no-new-privileges:true",
    ];
    words.contains(&option)
}

fn is_tmpfs_option_of_swarm(option: &str) -> bool {
    option.is_empty() || option.starts_with("size=") || option.starts_with("mode=")
}
