//! One service: what runs, where it is attached, and within which limits.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{Cpus, FileMode, NetworkKey, SecretName, ServiceName, VolumeKey, is_false};
use super::{duration, optional_duration};

/// An entry of `services`. `None` and empty mean "as the image or the engine has it".
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Service {
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
    /// Security options as the engine takes them (`no-new-privileges:true`).
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
    /// What the engine does when the container exits.
    pub restart: RestartPolicy,
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
    /// The services whose containers must be there before this one's: `depends_on`, and the owner
    /// of a shared network namespace.
    pub fn dependencies(&self) -> impl Iterator<Item = &ServiceName> {
        let owner = match &self.network_mode {
            Some(NetworkMode::Service(name)) => Some(name),
            _ => None,
        };
        self.depends_on.keys().chain(owner)
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

/// How a service is attached to a network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Attachment {
    /// Further names on this network, beside the service's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// A fixed address; only with one replica.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv4_address: Option<Ipv4Addr>,
    /// A fixed address; only with one replica.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6_address: Option<Ipv6Addr>,
}

/// `network_mode`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkMode {
    /// Loopback only.
    None,
    /// The host's own network.
    Host,
    /// The engine's default bridge.
    Bridge,
    /// The network namespace of a service's container. It is a dependency as if by `depends_on`.
    Service(ServiceName),
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Host => f.write_str("host"),
            Self::Bridge => f.write_str("bridge"),
            Self::Service(name) => write!(f, "service:{name}"),
        }
    }
}

impl Serialize for NetworkMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Port {
    /// In the container.
    pub target: u16,
    /// On the host; `None`: the engine picks a free one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<u16>,
    /// The host's address to listen on; `None`: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_ip: Option<IpAddr>,
    /// Transport protocol.
    pub protocol: Protocol,
}

/// Transport protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Protocol {
    #[default]
    Tcp,
    Udp,
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// A port that is declared and not published. Displays as the Engine API's `9090/tcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExposedPort {
    /// In the container.
    pub port: u16,
    /// Transport protocol.
    pub protocol: Protocol,
}

impl fmt::Display for ExposedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.port, self.protocol)
    }
}

impl Serialize for ExposedPort {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An entry of a service's `volumes`. Targets are absolute paths in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Mount {
    /// A file or directory of the host.
    Bind {
        /// Absolute path on the host.
        source: PathBuf,
        /// Path in the container.
        target: String,
        /// Not writable from the container.
        #[serde(skip_serializing_if = "is_false")]
        read_only: bool,
        /// Options of bind mounts.
        bind: BindOptions,
    },
    /// A volume of the engine.
    Volume {
        /// `None`: anonymous, made for each container.
        #[serde(skip_serializing_if = "Option::is_none")]
        source: Option<VolumeKey>,
        /// Path in the container.
        target: String,
        /// Not writable from the container.
        #[serde(skip_serializing_if = "is_false")]
        read_only: bool,
        /// Options of volume mounts.
        volume: VolumeOptions,
    },
    /// Memory.
    Tmpfs {
        /// Path in the container.
        target: String,
        /// Options of tmpfs mounts.
        tmpfs: TmpfsOptions,
    },
}

impl Mount {
    /// The path in the container.
    pub fn target(&self) -> &str {
        match self {
            Self::Bind { target, .. }
            | Self::Volume { target, .. }
            | Self::Tmpfs { target, .. } => target,
        }
    }
}

/// `bind` of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BindOptions {
    /// Make the directory on the host if there is nothing at the source.
    pub create_host_path: bool,
}

/// `volume` of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct VolumeOptions {
    /// Don't fill a new volume with what the image has at the target.
    pub nocopy: bool,
}

/// `tmpfs` of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct TmpfsOptions {
    /// In bytes; `None`: unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Permissions of the mount point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<FileMode>,
}

/// A secret as a service sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecretMount {
    /// Which.
    pub source: SecretName,
    /// Absolute path in the container; `/run/secrets/<source>` by default.
    pub target: String,
    /// Owner of the file in the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Group of the file in the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// Permissions of the file in the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<FileMode>,
}

/// `healthcheck`. What is `None` comes from the image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Healthcheck {
    /// What is run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<HealthTest>,
    /// Between two runs.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "optional_duration"
    )]
    pub interval: Option<Duration>,
    /// Of one run.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "optional_duration"
    )]
    pub timeout: Option<Duration>,
    /// Failures before the container counts as unhealthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// After the start, during which failures don't count.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "optional_duration"
    )]
    pub start_period: Option<Duration>,
    /// Between two runs during the start period. Needs Engine API 1.44; older engines don't know
    /// it and use the interval.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "optional_duration"
    )]
    pub start_interval: Option<Duration>,
}

/// The test of a health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthTest {
    /// None, even if the image has one.
    Disabled,
    /// A program and its arguments.
    Exec(Vec<String>),
    /// A line for the image's shell.
    Shell(String),
}

impl HealthTest {
    /// The Engine API's form: `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", line]`.
    pub fn to_engine(&self) -> Vec<String> {
        match self {
            Self::Disabled => vec!["NONE".to_owned()],
            Self::Exec(words) => std::iter::once("CMD".to_owned())
                .chain(words.clone())
                .collect(),
            Self::Shell(line) => vec!["CMD-SHELL".to_owned(), line.clone()],
        }
    }
}

impl Serialize for HealthTest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_engine().serialize(serializer)
    }
}

/// What is waited for before a dependent service starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Dependency {
    /// The state to be reached.
    pub condition: Condition,
}

/// A state of a service that others wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Its containers have been started.
    #[default]
    ServiceStarted,
    /// Their health checks pass.
    ServiceHealthy,
    /// They have exited with status 0.
    ServiceCompletedSuccessfully,
}

/// `deploy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deploy {
    /// How many containers run; `scale` is folded in. May be 0.
    pub replicas: u32,
    /// How they are replaced.
    pub update_config: UpdateConfig,
    /// `mem_limit`, `mem_reservation`, `cpus` and `pids_limit` are folded in.
    #[serde(skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
}

/// `deploy.update_config`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UpdateConfig {
    /// How many containers are replaced at once; 0 means all.
    pub parallelism: u32,
    /// Between two batches.
    #[serde(serialize_with = "duration")]
    pub delay: Duration,
    /// Which comes first, the new container or the end of the old one.
    pub order: UpdateOrder,
    /// What follows a failed replacement.
    pub failure_action: FailureAction,
    /// How long a new container is watched for failure.
    #[serde(serialize_with = "duration")]
    pub monitor: Duration,
}

/// The Compose Deploy specification's defaults.
impl Default for UpdateConfig {
    fn default() -> Self {
        Self {
            parallelism: 1,
            delay: Duration::ZERO,
            order: UpdateOrder::default(),
            failure_action: FailureAction::default(),
            monitor: Duration::ZERO,
        }
    }
}

/// `update_config.order`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpdateOrder {
    /// The old container goes before the new one comes.
    #[default]
    StopFirst,
    /// The new container is ready before the old one goes.
    StartFirst,
}

/// `update_config.failure_action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureAction {
    /// Go on with the other containers.
    Continue,
    /// Go back to what ran before.
    Rollback,
    /// Stop here.
    #[default]
    Pause,
}

/// `deploy.resources`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Resources {
    /// What a container may use at most.
    #[serde(skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// What is set aside for a container.
    #[serde(skip_serializing_if = "Reservations::is_empty")]
    pub reservations: Reservations,
}

impl Resources {
    fn is_empty(&self) -> bool {
        self.limits.is_empty() && self.reservations.is_empty()
    }
}

/// `deploy.resources.limits`, each for one container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Limits {
    /// CPU time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Cpus>,
    /// In bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Processes and threads; −1 for unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<i64>,
}

impl Limits {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// `deploy.resources.reservations`, each for one container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Reservations {
    /// In bytes; a soft limit on one engine (the Engine API's `MemoryReservation`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
}

impl Reservations {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
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

/// An added line of `/etc/hosts`. Displays as the Engine API's `host:address`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraHost {
    /// The name.
    pub host: String,
    /// An IP address, or `host-gateway` for the host as seen from the container.
    pub address: String,
}

impl fmt::Display for ExtraHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.address)
    }
}

impl Serialize for ExtraHost {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The short form, `path` or `path:options`.
fn tmpfs_list<S: Serializer>(
    mounts: &BTreeMap<String, String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(mounts.iter().map(|(path, options)| {
        if options.is_empty() {
            path.clone()
        } else {
            format!("{path}:{options}")
        }
    }))
}
