//! What isn't the project's: the names and ports that it takes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bollard::models::ContainerSummary;
use compose_file::model::exclude_each_other;

use crate::owner::Owner;

/// What belongs to others.
#[derive(Debug, Default)]
pub struct Foreign {
    /// Containers by name.
    pub containers: BTreeMap<String, Owner>,
    /// Networks by name.
    pub networks: BTreeMap<String, Owner>,
    /// Volumes by name.
    pub volumes: BTreeMap<String, Owner>,
    /// Host ports that foreign containers publish.
    pub ports: Vec<Published>,
}

/// A host port that a foreign container publishes.
#[derive(Debug, Clone)]
pub struct Published {
    /// The host's address it listens on; `None`: the engine doesn't say.
    pub ip: Option<IpAddr>,
    /// The host's port.
    pub port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// The container's name.
    pub container: String,
}

impl Published {
    /// Whether publishing `port` on `ip` as well would fail.
    pub fn clashes(&self, ip: Option<IpAddr>, port: u16, protocol: &str) -> bool {
        self.port == port && self.protocol == protocol && exclude_each_other(self.ip, ip)
    }
}

impl Foreign {
    pub(super) fn add_container(&mut self, summary: &ContainerSummary, owner: Owner) {
        let name = summary
            .names
            .iter()
            .flatten()
            .next()
            .map_or_else(String::new, |name| name.trim_start_matches('/').to_owned());
        for port in summary.ports.iter().flatten() {
            if let Some(public) = port.public_port {
                let protocol = port
                    .typ
                    .map_or_else(|| "tcp".to_owned(), |typ| typ.to_string());
                self.ports.push(Published {
                    ip: port.ip.as_ref().and_then(|ip| ip.parse().ok()),
                    port: public,
                    protocol,
                    container: name.clone(),
                });
            }
        }
        self.containers.insert(name, owner);
    }
}
