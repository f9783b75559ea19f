//! One service: what runs, where it is attached, and within which limits.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::mount::tmpfs_list;
use super::values::{FileMode, bytes, optional_duration};
use super::{
    Attachment, ConfigMount, Dependency, Deploy, ExposedPort, ExtraHost, Healthcheck, Hook, Mount,
    NetworkKey, NetworkMode, Port, Protocol, SecretMount, ServiceName, TmpfsOptions, is_false,
};

/// An entry of `services`. `None` and empty mean "as the image or the engine has it".
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Service {
    /// It is enabled when one of these is; none: always.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
    /// The image to run. For a service with `build` and no `image`, `<project>-<service>`.
    pub image: String,
    /// How to build the image; `None`: it is pulled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
    /// When to pull an image that isn't built.
    pub pull_policy: PullPolicy,
    /// Instead of `<project>-<service>-<n>`; only with one replica.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_name: Option<String>,
    /// Replaces the image's `CMD`; an empty list clears it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Replaces the image's `ENTRYPOINT`; an empty list clears it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// `env_file` and `environment` merged, the latter winning.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Empty only with a [`network_mode`](Self::network_mode).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<NetworkKey, Attachment>,
    /// Instead of networks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_mode: Option<NetworkMode>,
    /// Published ports, one for each container port.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// Ports declared without being published.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expose: Vec<ExposedPort>,
    /// Volumes, bind mounts and long-form tmpfs mounts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Mount>,
    /// From the short `tmpfs:` key: path in the container → mount options such as
    /// `size=64m,mode=1777`, maybe empty (the Engine API's `HostConfig.Tmpfs`).
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        serialize_with = "tmpfs_list"
    )]
    pub tmpfs: BTreeMap<String, String>,
    /// Secrets granted to the service.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretMount>,
    /// Configs that the service sees.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub configs: Vec<ConfigMount>,
    /// Overrides the image's `HEALTHCHECK`, wholly or in part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Services to be waited for, and for what.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub depends_on: BTreeMap<ServiceName, Dependency>,
    /// Replicas, rollout, resources.
    pub deploy: Deploy,
    /// Swap included, as the Engine API's `MemorySwap`: bytes, −1 for unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memswap_limit: Option<i64>,
    /// Size of `/dev/shm` in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<u64>,
    /// Read-only root file system.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only: bool,
    /// Capabilities beyond the engine's default set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_add: Vec<String>,
    /// Capabilities taken away; `ALL` for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_drop: Vec<String>,
    /// Security options as the engine takes them (`no-new-privileges=true`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub security_opt: Vec<String>,
    /// `user`, `uid`, `user:group` or `uid:gid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Resource limits of processes, by name (`nofile`).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Kernel parameters of the container's namespaces.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
    /// Weight against other containers when processors are short, as in cgroups' `cpu.shares`: 2 to
    /// 262,144; `None` is the engine's 1,024.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_shares: Option<i64>,
    /// What the engine does when the container exits.
    pub restart: RestartPolicy,
    /// What runs in each container after `deploy` has started it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub post_start: Vec<Hook>,
    /// What runs in each container before `deploy` stops it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pre_stop: Vec<Hook>,
    /// From the stop signal to SIGKILL; `None` is the engine's 10 s.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "optional_duration"
    )]
    pub stop_grace_period: Option<Duration>,
    /// Instead of the image's `STOPSIGNAL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Run the engine's init as process 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    /// Instead of the engine's log driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
    /// The file's labels for the containers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The container's own host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Instead of the image's `WORKDIR`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Lines added to `/etc/hosts`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_hosts: Vec<ExtraHost>,
    /// Name servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<IpAddr>,
    /// Search domains.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_search: Vec<String>,
    /// Resolver options.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_opt: Vec<String>,
}

impl Service {
    /// The short `tmpfs:` key as the options of mounts, by their paths: size and mode, all that a Swarm carries
    /// out.
    pub fn memory(&self) -> impl Iterator<Item = (&str, TmpfsOptions)> {
        self.tmpfs.iter().map(|(target, options)| {
            let option = |name: &str| {
                let mut options = options.split(',');
                options.find_map(|it| it.strip_prefix(name)?.strip_prefix('='))
            };
            let mode = option("mode").and_then(|mode| u32::from_str_radix(mode, 8).ok());
            let options = TmpfsOptions {
                size: option("size").and_then(bytes),
                mode: mode.map(FileMode),
            };
            (target.as_str(), options)
        })
    }

    /// The services whose containers must be there before this one's: `depends_on`, and the owner
    /// of a shared network namespace.
    pub fn dependencies(&self) -> impl Iterator<Item = &ServiceName> {
        let owner = match &self.network_mode {
            Some(NetworkMode::Service(name)) => Some(name),
            _ => None,
        };
        self.depends_on.keys().chain(owner)
    }

    /// Whether this TCP port of its containers is published on the host.
    pub fn publishes(&self, port: u16) -> bool {
        let mut ports = self.ports.iter();
        ports.any(|it| it.target == port && it.protocol == Protocol::Tcp)
    }

    /// What all containers of the service write to.
    pub fn shared_places(&self) -> impl Iterator<Item = &Mount> {
        self.volumes.iter().filter(|mount| {
            matches!(
                mount,
                Mount::Bind {
                    read_only: false,
                    ..
                } | Mount::Volume {
                    source: Some(_),
                    read_only: false,
                    ..
                }
            )
        })
    }
}

/// `build`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Build {
    /// Absolute path of the directory that is sent to the engine.
    pub context: PathBuf,
    /// Absolute path.
    pub dockerfile: PathBuf,
    /// Build arguments.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, String>,
    /// The stage to build; `None` is the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Labels of the image.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// `pull_policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PullPolicy {
    /// On every `up`.
    Always,
    /// When the engine doesn't have the image.
    #[default]
    Missing,
    /// A missing image is an error.
    Never,
}

/// One of `ulimits`; −1 for unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Ulimit {
    /// What processes start with.
    pub soft: i64,
    /// What they may raise it to.
    pub hard: i64,
}

/// `restart`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RestartPolicy {
    /// Stay down.
    #[default]
    No,
    /// Start again, also when the engine starts.
    Always,
    /// As always, unless a user stopped the container.
    UnlessStopped,
    /// Start again after a non-zero exit status.
    OnFailure {
        /// `None`: without end.
        max_retries: Option<u32>,
    },
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => f.write_str("no"),
            Self::Always => f.write_str("always"),
            Self::UnlessStopped => f.write_str("unless-stopped"),
            Self::OnFailure { max_retries: None } => f.write_str("on-failure"),
            Self::OnFailure {
                max_retries: Some(n),
            } => write!(f, "on-failure:{n}"),
        }
    }
}

impl Serialize for RestartPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// `logging`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Logging {
    /// `None`: the engine's default driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Options for the driver.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}
