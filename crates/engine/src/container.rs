//! From the model to the Engine API: the body that creates a container, and the
//! networks it still has to be connected to.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig,
    HostConfigLogConfig, Ipam, IpamConfig, Mount as EngineMount, MountTmpfsOptions, MountType,
    MountVolumeOptions, NetworkConnectRequest, NetworkingConfig, PortBinding, ResourcesUlimits,
    RestartPolicy, RestartPolicyNameEnum,
};
use compose_file::Project;
use compose_file::model::{
    self, Attachment, Cpus, HealthTest, Healthcheck, Mount, NetworkMode, Port,
    RestartPolicy as Restart, Service,
};
use serde_json::{Value, json};

use crate::labels;

/// Everything it takes to create one container.
#[derive(Debug)]
pub struct Blueprint {
    /// The container's name.
    pub name: String,
    /// For `POST /containers/create`.
    pub body: ContainerCreateBody,
    /// Before the start: an engine older than API 1.44 takes one endpoint on creation.
    pub connect: Vec<(String, NetworkConnectRequest)>,
}

impl Blueprint {
    /// The container is to bear the fingerprints of the secrets that it is made with.
    pub fn bear(&mut self, fingerprints: &BTreeMap<&str, Vec<String>>) {
        if !fingerprints.is_empty() {
            let labels = self.body.labels.get_or_insert_default();
            labels.insert(labels::SECRETS.to_owned(), json!(fingerprints).to_string());
        }
    }
}

/// `<project>-<service>-<n>`, or the file's `container_name`.
pub fn name(project: &Project, service_name: &str, service: &Service, number: u32) -> String {
    service
        .container_name
        .clone()
        .unwrap_or_else(|| format!("{}-{service_name}-{number}", project.name))
}

/// Renders container `number` of a service. `settings` is what its labels record
/// (the canonical settings); `joined` is the container whose network namespace it
/// shares, for `network_mode: service:…`.
pub fn blueprint(
    project: &Project,
    service_name: &str,
    service: &Service,
    number: u32,
    settings: &Value,
    joined: Option<&str>,
) -> Blueprint {
    let mut endpoints = service.networks.iter().filter_map(|(key, attachment)| {
        let network = project.networks.get(key)?;
        Some((network.name.clone(), endpoint(service_name, attachment)))
    });
    let first = endpoints.next();
    let connect = endpoints
        .map(|(network, endpoint)| {
            let request = NetworkConnectRequest {
                container: String::new(),
                endpoint_config: Some(endpoint),
            };
            (network, request)
        })
        .collect();
    let network_mode = match (&service.network_mode, &first) {
        (Some(NetworkMode::Service(_)), _) => {
            joined.map(|container| format!("container:{container}"))
        }
        (Some(mode), _) => Some(mode.to_string()),
        (None, Some((network, _))) => Some(network.clone()),
        (None, None) => None,
    };
    let exposed = service
        .expose
        .iter()
        .map(ToString::to_string)
        .chain(service.ports.iter().map(target))
        .collect();
    let body = ContainerCreateBody {
        hostname: service.hostname.clone(),
        user: service.user.clone(),
        exposed_ports: Some(exposed),
        env: Some(
            service
                .environment
                .iter()
                .map(|(k, v)| format!("{k}={v}"))
                .collect(),
        ),
        cmd: service.command.clone(),
        entrypoint: service.entrypoint.clone(),
        healthcheck: service.healthcheck.as_ref().map(healthcheck),
        image: Some(service.image.clone()),
        working_dir: service.working_dir.clone(),
        labels: Some(container_labels(
            project,
            service_name,
            service,
            number,
            settings,
        )),
        stop_signal: service.stop_signal.clone(),
        stop_timeout: service.stop_grace_period.map(whole_seconds),
        host_config: Some(host_config(project, service, network_mode)),
        networking_config: first.map(|(network, endpoint)| NetworkingConfig {
            endpoints_config: Some(HashMap::from([(network, endpoint)])),
        }),
        ..ContainerCreateBody::default()
    };
    Blueprint {
        name: name(project, service_name, service, number),
        body,
        connect,
    }
}

/// Grace periods shorter than a second still get one: the engine counts in seconds.
fn whole_seconds(duration: Duration) -> i64 {
    let rounded = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i64::try_from(rounded).unwrap_or(i64::MAX)
}

fn container_labels(
    project: &Project,
    service_name: &str,
    service: &Service,
    number: u32,
    settings: &Value,
) -> HashMap<String, String> {
    let number = number.to_string();
    let files: Vec<String> = project
        .files
        .iter()
        .map(|it| it.display().to_string())
        .collect();
    let mut labels = labels::all(
        project,
        service_name,
        settings,
        &service.labels,
        [
            (labels::NUMBER, number.clone()),
            (labels::COMPOSE_SERVICE, service_name.to_owned()),
            (labels::COMPOSE_NUMBER, number),
            (labels::COMPOSE_ONEOFF, "False".to_owned()),
            (labels::COMPOSE_HASH, labels::hash(settings)),
            (
                labels::COMPOSE_WORKING_DIR,
                project.working_dir.display().to_string(),
            ),
            (labels::COMPOSE_FILES, files.join(",")),
        ],
    );
    if let Some(set) = project.replica_set_of(service_name) {
        labels.insert(labels::REPLICA_SET.to_owned(), set.name.clone());
    }
    labels
}

fn host_config(project: &Project, service: &Service, network_mode: Option<String>) -> HostConfig {
    let limits = &service.deploy.resources.limits;
    let reservations = &service.deploy.resources.reservations;
    let (binds, mounts) = mounts(project, service);
    let mut ports: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in &service.ports {
        ports
            .entry(target(port))
            .or_default()
            .get_or_insert_default()
            .push(PortBinding {
                host_ip: port.host_ip.map(|ip| ip.to_string()),
                host_port: port.published.map(|port| port.to_string()),
            });
    }
    HostConfig {
        binds: Some(binds),
        mounts: Some(mounts),
        tmpfs: Some(service.tmpfs.clone().into_iter().collect()),
        network_mode,
        port_bindings: Some(ports),
        restart_policy: Some(restart(service.restart)),
        nano_cpus: limits.cpus.map(Cpus::nanos),
        memory: limits.memory.map(signed),
        memory_swap: service.memswap_limit,
        memory_reservation: reservations.memory.map(signed),
        cpu_shares: service.cpu_shares,
        pids_limit: limits.pids,
        shm_size: service.shm_size.map(signed),
        readonly_rootfs: Some(service.read_only),
        cap_add: Some(service.cap_add.clone()),
        cap_drop: Some(service.cap_drop.clone()),
        security_opt: Some(service.security_opt.clone()),
        ulimits: Some(
            service
                .ulimits
                .iter()
                .map(|(name, limit)| ResourcesUlimits {
                    name: Some(name.clone()),
                    soft: Some(limit.soft),
                    hard: Some(limit.hard),
                })
                .collect(),
        ),
        sysctls: Some(service.sysctls.clone().into_iter().collect()),
        init: service.init,
        log_config: service.logging.as_ref().map(|logging| HostConfigLogConfig {
            typ: logging.driver.clone(),
            config: Some(logging.options.clone().into_iter().collect()),
        }),
        extra_hosts: Some(
            service
                .extra_hosts
                .iter()
                .map(ToString::to_string)
                .collect(),
        ),
        dns: Some(service.dns.iter().map(ToString::to_string).collect()),
        dns_search: Some(service.dns_search.clone()),
        dns_options: Some(service.dns_opt.clone()),
        ..HostConfig::default()
    }
}

fn mounts(project: &Project, service: &Service) -> (Vec<String>, Vec<EngineMount>) {
    let mut binds = Vec::new();
    let mut mounts = Vec::new();
    for mount in &service.volumes {
        match mount {
            // Of the two forms of the Engine API only `Binds` makes a missing source directory.
            Mount::Bind {
                source,
                target,
                read_only,
                bind,
            } if bind.create_host_path => {
                let mode = if *read_only { "ro" } else { "rw" };
                binds.push(format!("{}:{target}:{mode}", source.display()));
            }
            Mount::Bind {
                source,
                target,
                read_only,
                ..
            } => mounts.push(EngineMount {
                typ: Some(MountType::BIND),
                source: Some(source.display().to_string()),
                target: Some(target.clone()),
                read_only: Some(*read_only),
                ..EngineMount::default()
            }),
            Mount::Volume {
                source,
                target,
                read_only,
                volume,
            } => mounts.push(EngineMount {
                typ: Some(MountType::VOLUME),
                source: source
                    .as_ref()
                    .and_then(|key| Some(project.volumes.get(key)?.name.clone())),
                target: Some(target.clone()),
                read_only: Some(*read_only),
                volume_options: Some(MountVolumeOptions {
                    no_copy: Some(volume.nocopy),
                    ..MountVolumeOptions::default()
                }),
                ..EngineMount::default()
            }),
            Mount::Tmpfs { target, tmpfs } => mounts.push(EngineMount {
                typ: Some(MountType::TMPFS),
                target: Some(target.clone()),
                tmpfs_options: Some(MountTmpfsOptions {
                    size_bytes: tmpfs.size.map(signed),
                    mode: tmpfs.mode.map(|mode| i64::from(mode.bits())),
                    ..MountTmpfsOptions::default()
                }),
                ..EngineMount::default()
            }),
        }
    }
    for secret in &service.secrets {
        if let Some(source) = project.secrets.get(&secret.source) {
            mounts.push(EngineMount {
                typ: Some(MountType::BIND),
                source: Some(source.file.display().to_string()),
                target: Some(secret.target.clone()),
                read_only: Some(true),
                ..EngineMount::default()
            });
        }
    }
    (binds, mounts)
}

/// Address pools, as the engine takes them.
pub fn ipam(ipam: &model::Ipam) -> Ipam {
    Ipam {
        driver: ipam.driver.clone(),
        config: Some(
            ipam.config
                .iter()
                .map(|pool| IpamConfig {
                    subnet: Some(pool.subnet.to_string()),
                    ip_range: pool.ip_range.map(|range| range.to_string()),
                    gateway: pool.gateway.map(|gateway| gateway.to_string()),
                    ..IpamConfig::default()
                })
                .collect(),
        ),
        ..Ipam::default()
    }
}

/// How a service's containers are attached to one network, and what they are called there.
pub fn endpoint(service_name: &str, attachment: &Attachment) -> EndpointSettings {
    let mut aliases = vec![service_name.to_owned()];
    aliases.extend(
        attachment
            .aliases
            .iter()
            .filter(|it| *it != service_name)
            .cloned(),
    );
    let fixed = attachment.ipv4_address.is_some() || attachment.ipv6_address.is_some();
    EndpointSettings {
        aliases: Some(aliases),
        ipam_config: fixed.then(|| EndpointIpamConfig {
            ipv4_address: attachment.ipv4_address.map(|address| address.to_string()),
            ipv6_address: attachment.ipv6_address.map(|address| address.to_string()),
            ..EndpointIpamConfig::default()
        }),
        ..EndpointSettings::default()
    }
}

pub(crate) fn healthcheck(check: &Healthcheck) -> HealthConfig {
    let nanos = |duration: Option<Duration>| {
        duration.map(|duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    };
    HealthConfig {
        test: check.test.as_ref().map(HealthTest::to_engine),
        interval: nanos(check.interval),
        timeout: nanos(check.timeout),
        retries: check.retries.map(i64::from),
        start_period: nanos(check.start_period),
        start_interval: nanos(check.start_interval),
    }
}

fn restart(policy: Restart) -> RestartPolicy {
    let (name, retries) = match policy {
        Restart::No => (RestartPolicyNameEnum::NO, None),
        Restart::Always => (RestartPolicyNameEnum::ALWAYS, None),
        Restart::UnlessStopped => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
        Restart::OnFailure { max_retries } => (RestartPolicyNameEnum::ON_FAILURE, max_retries),
    };
    RestartPolicy {
        name: Some(name),
        maximum_retry_count: retries.map(i64::from),
    }
}

fn target(port: &Port) -> String {
    format!("{}/{}", port.target, port.protocol)
}

pub(crate) fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
