//! The typed, resolved project. Nothing in here refers to the file's syntax any more: durations
//! are durations, sizes bytes, ports single numbers, paths absolute, defaults filled in.
//!
//! Everything serialises deterministically (maps are sorted, except that top-level sections keep
//! the file's order) and into valid Compose syntax, so the same form serves as the input of
//! configuration hashes and as the output of [`Project::to_yaml`].

mod backup;
mod certificate;
mod health;
mod hook;
mod mount;
mod network;
mod replica_set;
mod rollout;
mod service;
mod swarm;
mod values;
mod verify;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use indexmap::IndexMap;
use serde::Serialize;

pub use backup::*;
pub use certificate::*;
pub use health::*;
pub use hook::*;
pub use mount::*;
pub use network::*;
pub use replica_set::*;
pub use rollout::*;
pub use service::*;
pub use swarm::*;
pub use values::*;
pub use verify::*;

use super::{Files, Position, Problem};

/// A whole project, its Compose files merged and resolved.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Project {
    /// Prefix of everything that is created for the project.
    pub name: ProjectName,
    /// In the file's order.
    pub services: IndexMap<ServiceName, Service>,
    /// Networks that the file defines, and `default` where a service uses it.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub networks: IndexMap<NetworkKey, Network>,
    /// Named volumes.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub volumes: IndexMap<VolumeKey, Volume>,
    /// Secrets, each a file on this host.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub secrets: IndexMap<SecretName, Secret>,
    /// Which services are one replica set.
    #[serde(rename = "x-replica-set", skip_serializing_if = "Option::is_none")]
    pub replica_set: Option<ReplicaSet>,
    /// Who backs the data up.
    #[serde(rename = "x-backup", skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
    /// Files for the services of a Swarm.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub configs: IndexMap<ConfigName, Config>,
    /// How images get to the nodes of a Swarm.
    #[serde(rename = "x-swarm", skip_serializing_if = "Option::is_none")]
    pub swarm: Option<Swarm>,
    /// What there is to prove that the rest of the file doesn't say.
    #[serde(rename = "x-verify", skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verify>,
    /// What no enabled profile wants.
    #[serde(skip)]
    pub disabled: Disabled,
    /// The Compose files.
    #[serde(skip)]
    pub files: Files,
    /// The directory of the first of them, absolute: what all relative paths are relative to.
    #[serde(skip)]
    pub working_dir: PathBuf,
    /// `.env`, and the files that `env_file` names, absolute; some may not exist.
    #[serde(skip)]
    pub environment_files: Vec<PathBuf>,
    /// Where the files have several containers of a service write to one place.
    #[serde(skip)]
    pub shared_places: BTreeMap<ServiceName, Position>,
    /// What was doubtful but no error, to be shown to the user.
    #[serde(skip)]
    pub warnings: Vec<Problem>,
}

/// Services of profiles that aren't enabled, and what only they use. What there is of them is left
/// alone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Disabled {
    /// In the file's order.
    pub services: IndexMap<ServiceName, Service>,
    /// On which no enabled service is.
    pub networks: IndexMap<NetworkKey, Network>,
    /// Which no enabled service has.
    pub volumes: IndexMap<VolumeKey, Volume>,
    /// Which no enabled service has.
    pub secrets: IndexMap<SecretName, Secret>,
}

/// The driver of networks that reach over the nodes of a Swarm.
pub(crate) const OVERLAY: &str = "overlay";

impl Project {
    /// Whether the file describes a stack for a Swarm: one with a network that reaches over its nodes.
    pub fn is_for_swarm(&self) -> bool {
        let mut networks = self.networks.values();
        networks.any(|it| it.driver.as_deref() == Some(OVERLAY))
    }

    /// Also has these of the services that aren't enabled, with what is theirs.
    #[must_use]
    pub fn with_disabled(mut self, wanted: impl Fn(&str) -> bool) -> Self {
        let disabled = std::mem::take(&mut self.disabled);
        let (services, rest): (IndexMap<_, _>, IndexMap<_, _>) = disabled
            .services
            .into_iter()
            .partition(|(name, _)| wanted(name));
        self.disabled.services = rest;
        if services.is_empty() {
            self.disabled = Disabled {
                services: self.disabled.services,
                ..disabled
            };
            return self;
        }
        self.services.extend(services);
        self.networks.extend(disabled.networks);
        self.volumes.extend(disabled.volumes);
        self.secrets.extend(disabled.secrets);
        self
    }

    /// `FILE:LINE:COLUMN`.
    pub fn place(&self, at: Position) -> String {
        let file = self.files.iter().nth(at.file);
        format!("{}:{at}", file.unwrap_or(self.files.first()).display())
    }

    /// The network that has this name on the engine.
    pub fn network_named(&self, name: &str) -> Option<&Network> {
        self.networks.values().find(|it| it.name == name)
    }

    /// The networks that the file attaches a service to, with the service's names there. None for a
    /// service with a network mode.
    pub fn attachments(&self, service: &str) -> Option<Vec<(&Network, &Attachment)>> {
        let service = self.services.get(service);
        let service = service.filter(|it| it.network_mode.is_none())?;
        let networks = service.networks.iter();
        let known = networks.filter_map(|(key, it)| Some((self.networks.get(key)?, it)));
        Some(known.collect())
    }

    /// Where requests come in at the service's ports.
    pub fn entry_point(&self, service: &str) -> Option<&EntryPoint> {
        self.verify.as_ref()?.entry_points.get(service)
    }

    /// The certificates that are generated, each with its key.
    pub fn certificates(&self) -> impl Iterator<Item = Certificate<'_>> {
        Certificate::all(&self.secrets)
    }

    /// Who accepts what comes in at the service's ports, where that is another service.
    pub fn accepted_by(&self, service: &str) -> Option<&ServiceName> {
        self.entry_point(service)?.accepted_by.as_ref()
    }
}

/// An entry of the top-level `networks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches of the specification"
)]
pub struct Network {
    /// The name on the engine: `name:`, or `<project>_<key>`.
    pub name: String,
    /// Exists already and is managed by somebody else; then nothing below is set.
    #[serde(skip_serializing_if = "is_false")]
    pub external: bool,
    /// `None` leaves the choice to the engine (`bridge`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Options for the driver.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_opts: BTreeMap<String, String>,
    /// Without a route to the outside.
    #[serde(skip_serializing_if = "is_false")]
    pub internal: bool,
    /// Containers from outside the project may join.
    #[serde(skip_serializing_if = "is_false")]
    pub attachable: bool,
    /// Give containers IPv6 addresses too.
    #[serde(skip_serializing_if = "is_false")]
    pub enable_ipv6: bool,
    /// Address management; `None` leaves it to the engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipam: Option<Ipam>,
    /// The file's labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// `ipam` of a network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Ipam {
    /// `None` is the engine's default driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Address pools.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub config: Vec<IpamPool>,
}

/// One address pool of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IpamPool {
    /// In CIDR notation.
    pub subnet: Cidr,
    /// The part of the subnet that containers get addresses from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_range: Option<Cidr>,
    /// The router's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
}

/// An entry of the top-level `volumes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// The name on the engine: `name:`, or `<project>_<key>`.
    pub name: String,
    /// Exists already and is managed by somebody else; then nothing below is set.
    #[serde(skip_serializing_if = "is_false")]
    pub external: bool,
    /// `None` leaves the choice to the engine (`local`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Options for the driver.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_opts: BTreeMap<String, String>,
    /// The file's labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// An entry of the top-level `secrets`: a file on this host. Its content is never part of the
/// model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Secret {
    /// Absolute. Whether it exists isn't checked on loading.
    pub file: PathBuf,
    /// What to write into the file if it doesn't exist (`x-generate`, an extension that other
    /// readers of Compose files skip).
    #[serde(rename = "x-generate", skip_serializing_if = "Option::is_none")]
    pub generate: Option<Generate>,
    /// Who has to be told of a new value; `None`: its readers see it in the file (`x-rotate`, an
    /// extension like `x-generate`, and only beside it).
    #[serde(rename = "x-rotate", skip_serializing_if = "Option::is_none")]
    pub rotate: Option<Rotate>,
    /// What a generated certificate is for, beside the machine itself (`x-names`, an extension of the
    /// same kind).
    #[serde(
        rename = "x-names",
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "certificate::joined"
    )]
    pub names: Vec<CertificateName>,
}

impl Secret {
    /// Whether it is a generated value, of which the file holds one a line.
    pub fn is_generated_value(&self) -> bool {
        matches!(self.generate, Some(Generate::Password | Generate::Token))
    }

    /// Whether it is a generated certificate, or the key of one.
    pub fn is_of_certificate(&self) -> bool {
        self.generate == Some(Generate::Certificate)
    }

    /// Whether this service learns a new value from a command, and not from the file.
    pub fn is_told_to(&self, service: &str) -> bool {
        let told = self.rotate.as_ref();
        told.is_some_and(|rotate| rotate.service.as_str() == service)
    }
}

/// How to make a secret that doesn't exist yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Generate {
    /// Random letters and digits, which data may be made with: if the file is lost, no other one is
    /// generated in its place.
    Password,
    /// The same, which nothing knows but those who read it: if the file is lost, another one does as
    /// well.
    Token,
    /// The same, which those who read it know each other by: another one would part them until all have
    /// it, and so none is put in its place.
    Key,
    /// A certificate (`NAME.crt`) from an authority of this machine's own, or its key (`NAME.key`).
    Certificate,
}

/// How a service that keeps a secret's value in its own data is told of a new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rotate {
    /// It mounts the secret.
    pub service: ServiceName,
    /// Run in its containers, with the values on standard input.
    pub command: Vec<String>,
    /// With this secret the command can set the value whatever the data has: where there is none yet,
    /// or where nobody knows it any more. Who reads it can do without it meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<SecretName>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde calls"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde calls"
)]
fn is_true(value: &bool) -> bool {
    *value
}
