//! From the model to the Engine API's service: what `docker stack deploy` makes of the same file.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::models::{
    EndpointPortConfig, EndpointPortConfigProtocolEnum, EndpointPortConfigPublishModeEnum,
    EndpointSpec, EndpointSpecModeEnum, Limit, Mount as EngineMount, MountTmpfsOptions, MountType,
    MountVolumeOptions, MountVolumeOptionsDriverConfig, NetworkAttachmentConfig, ResourceObject,
    ResourcesUlimits, ServiceSpec, ServiceSpecMode, ServiceSpecModeReplicated,
    ServiceSpecRollbackConfig, ServiceSpecRollbackConfigFailureActionEnum,
    ServiceSpecRollbackConfigOrderEnum, ServiceSpecUpdateConfig,
    ServiceSpecUpdateConfigFailureActionEnum, ServiceSpecUpdateConfigOrderEnum, TaskSpec,
    TaskSpecContainerSpec, TaskSpecContainerSpecConfigs, TaskSpecContainerSpecDnsConfig,
    TaskSpecContainerSpecFile, TaskSpecContainerSpecFile1, TaskSpecContainerSpecPrivileges,
    TaskSpecContainerSpecSecrets, TaskSpecLogDriver, TaskSpecPlacement,
    TaskSpecPlacementPreferences, TaskSpecPlacementSpread, TaskSpecResources,
    TaskSpecRestartPolicy, TaskSpecRestartPolicyConditionEnum,
};
use compose_file::Project;
use compose_file::model::{
    ConfigName, Cpus, EndpointMode, FailureAction, FileMode, Mode, Mount, Placement, Port,
    Protocol, PublishMode, Ratio, RestartCondition, SecretName, Service, ServiceName, TaskRestart,
    TmpfsOptions, UpdateConfig, UpdateOrder, Volume,
};
use serde_json::json;

use crate::container::{healthcheck, signed};
use crate::labels;

/// What the engine has under names and ids of its own.
#[derive(Debug, Default)]
pub struct References {
    /// The ids of networks, by their names.
    pub networks: BTreeMap<String, String>,
    /// Id and name of each secret.
    pub secrets: BTreeMap<SecretName, (String, String)>,
    /// Id and name of each config.
    pub configs: BTreeMap<ConfigName, (String, String)>,
    /// By the name in the file.
    pub images: BTreeMap<String, Image>,
    /// Of services that keep data on one node, the id of that node: should somebody move the labels that
    /// the file's constraints are about, the engine is still not to start them elsewhere.
    pub homes: BTreeMap<ServiceName, String>,
}

/// What nodes are told to run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// The name, with the digest where a registry gave one.
    pub reference: String,
    /// What is in it, where the reference doesn't say.
    pub content: Option<String>,
}

/// A service's name on the engine.
pub fn name(project: &Project, service_name: &str) -> String {
    format!("{}_{service_name}", project.name)
}

/// The service, whole. `force` is how often its tasks were started anew without a change.
pub fn service(
    project: &Project,
    service_name: &str,
    service: &Service,
    references: &References,
    force: Option<u64>,
) -> ServiceSpec {
    let deploy = &service.deploy;
    let mut labels: HashMap<String, String> = deploy.labels.clone().into_iter().collect();
    for (label, value) in [
        (labels::PROJECT, project.name.to_string()),
        (labels::RESOURCE, service_name.to_owned()),
        (labels::FILE, project.files.first().display().to_string()),
        (labels::STACK, project.name.to_string()),
    ] {
        labels.insert(label.to_owned(), value);
    }
    if let Some(set) = project.replica_set_of(service_name) {
        labels.insert(labels::REPLICA_SET.to_owned(), set.name.clone());
    }
    if let Some(check) = &service.healthcheck {
        let check = json!(healthcheck(check)).to_string();
        labels.insert(labels::HEALTH.to_owned(), check);
    }
    let mode = match deploy.mode {
        Mode::Global => ServiceSpecMode {
            global: Some([].into()),
            ..ServiceSpecMode::default()
        },
        Mode::Replicated => ServiceSpecMode {
            replicated: Some(ServiceSpecModeReplicated {
                replicas: Some(deploy.replicas.into()),
            }),
            ..ServiceSpecMode::default()
        },
    };
    ServiceSpec {
        name: Some(name(project, service_name)),
        labels: Some(labels),
        task_template: Some(task(project, service_name, service, references, force)),
        mode: Some(mode),
        update_config: Some(update_config(&deploy.update_config)),
        rollback_config: deploy.rollback_config.as_ref().map(rollback_config),
        networks: None,
        endpoint_spec: Some(EndpointSpec {
            mode: Some(match deploy.endpoint_mode {
                Some(EndpointMode::Dnsrr) => EndpointSpecModeEnum::DNSRR,
                Some(EndpointMode::Vip) | None => EndpointSpecModeEnum::VIP,
            }),
            ports: Some(service.ports.iter().map(port).collect()),
        }),
    }
}

fn task(
    project: &Project,
    service_name: &str,
    service: &Service,
    references: &References,
    force: Option<u64>,
) -> TaskSpec {
    let deploy = &service.deploy;
    let limits = &deploy.resources.limits;
    let reservations = &deploy.resources.reservations;
    let attachments = service.networks.iter().filter_map(|(key, attachment)| {
        let network = project.networks.get(key)?;
        let mut aliases = vec![service_name.to_owned()];
        let further = attachment.aliases.iter().filter(|it| *it != service_name);
        aliases.extend(further.cloned());
        Some(NetworkAttachmentConfig {
            target: references.networks.get(&network.name).cloned(),
            aliases: Some(aliases),
            driver_opts: None,
        })
    });
    TaskSpec {
        container_spec: Some(container(project, service, references)),
        resources: Some(TaskSpecResources {
            limits: Some(Limit {
                nano_cpus: limits.cpus.map(Cpus::nanos),
                memory_bytes: limits.memory.map(signed),
                // The engine's word for no limit is 0.
                pids: limits.pids.map(|pids| pids.max(0)),
            }),
            reservations: Some(ResourceObject {
                nano_cpus: reservations.cpus.map(Cpus::nanos),
                memory_bytes: reservations.memory.map(signed),
                ..ResourceObject::default()
            }),
            ..TaskSpecResources::default()
        }),
        restart_policy: deploy.restart_policy.as_ref().map(restart_policy),
        placement: Some(placement(
            &deploy.placement,
            references.homes.get(service_name),
        )),
        force_update: force,
        networks: Some(attachments.collect()),
        log_driver: service.logging.as_ref().map(|logging| TaskSpecLogDriver {
            name: logging.driver.clone(),
            options: Some(logging.options.clone().into_iter().collect()),
        }),
        ..TaskSpec::default()
    }
}

fn container(
    project: &Project,
    service: &Service,
    references: &References,
) -> TaskSpecContainerSpec {
    let image = references.images.get(&service.image).cloned();
    let image = image.unwrap_or_default();
    let mut labels: HashMap<String, String> = service.labels.clone().into_iter().collect();
    labels.insert(labels::STACK.to_owned(), project.name.to_string());
    if let Some(content) = image.content {
        labels.insert(labels::IMAGE_CONTENT.to_owned(), content);
    }
    let environment = service.environment.iter();
    TaskSpecContainerSpec {
        image: Some(image.reference),
        labels: Some(labels),
        command: service.entrypoint.clone(),
        args: service.command.clone(),
        hostname: service.hostname.clone(),
        env: Some(environment.map(|(k, v)| format!("{k}={v}")).collect()),
        dir: service.working_dir.clone(),
        user: service.user.clone(),
        privileges: (!service.security_opt.is_empty()).then(|| TaskSpecContainerSpecPrivileges {
            no_new_privileges: Some(true),
            ..TaskSpecContainerSpecPrivileges::default()
        }),
        read_only: Some(service.read_only),
        mounts: Some(mounts(project, service)),
        stop_signal: service.stop_signal.clone(),
        stop_grace_period: service.stop_grace_period.map(nanos),
        health_check: service.healthcheck.as_ref().map(healthcheck),
        hosts: Some(
            service
                .extra_hosts
                .iter()
                .map(|it| format!("{} {}", it.address, it.host))
                .collect(),
        ),
        dns_config: Some(TaskSpecContainerSpecDnsConfig {
            nameservers: Some(service.dns.iter().map(ToString::to_string).collect()),
            search: Some(service.dns_search.clone()),
            options: Some(service.dns_opt.clone()),
        }),
        secrets: Some(secrets(service, references)),
        configs: Some(configs(service, references)),
        init: service.init,
        sysctls: Some(service.sysctls.clone().into_iter().collect()),
        capability_add: Some(service.cap_add.iter().map(|it| capability(it)).collect()),
        capability_drop: Some(service.cap_drop.iter().map(|it| capability(it)).collect()),
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
        ..TaskSpecContainerSpec::default()
    }
}

/// As the engine writes them.
fn capability(name: &str) -> String {
    let name = name.to_ascii_uppercase();
    if name == "ALL" || name.starts_with("CAP_") {
        name
    } else {
        format!("CAP_{name}")
    }
}

fn secrets(service: &Service, references: &References) -> Vec<TaskSpecContainerSpecSecrets> {
    let mounts = service.secrets.iter().filter_map(|mount| {
        let (id, name) = references.secrets.get(&mount.source)?;
        Some(TaskSpecContainerSpecSecrets {
            file: Some(TaskSpecContainerSpecFile {
                name: Some(mount.target.clone()),
                uid: Some(mount.uid.unwrap_or(0).to_string()),
                gid: Some(mount.gid.unwrap_or(0).to_string()),
                mode: Some(readable(mount.mode)),
            }),
            secret_id: Some(id.clone()),
            secret_name: Some(name.clone()),
        })
    });
    mounts.collect()
}

fn configs(service: &Service, references: &References) -> Vec<TaskSpecContainerSpecConfigs> {
    let mounts = service.configs.iter().filter_map(|mount| {
        let (id, name) = references.configs.get(&mount.source)?;
        Some(TaskSpecContainerSpecConfigs {
            file: Some(TaskSpecContainerSpecFile1 {
                name: Some(mount.target.clone()),
                uid: Some(mount.uid.unwrap_or(0).to_string()),
                gid: Some(mount.gid.unwrap_or(0).to_string()),
                mode: Some(readable(mount.mode)),
            }),
            config_id: Some(id.clone()),
            config_name: Some(name.clone()),
            ..TaskSpecContainerSpecConfigs::default()
        })
    });
    mounts.collect()
}

/// The mode of secrets and configs where the file says nothing, as `docker stack deploy` has it.
pub(super) const READABLE: u32 = 0o444;

fn readable(mode: Option<FileMode>) -> u32 {
    mode.map_or(READABLE, FileMode::bits)
}

fn mounts(project: &Project, service: &Service) -> Vec<EngineMount> {
    let volumes = service.volumes.iter().map(|mount| match mount {
        Mount::Bind {
            source,
            target,
            read_only,
            ..
        } => EngineMount {
            typ: Some(MountType::BIND),
            source: Some(source.display().to_string()),
            target: Some(target.clone()),
            read_only: Some(*read_only),
            ..EngineMount::default()
        },
        Mount::Volume {
            source,
            target,
            read_only,
            volume,
        } => {
            let definition = source.as_ref().and_then(|key| project.volumes.get(key));
            let mut options = definition.map(|it| volume_options(project, it));
            if volume.nocopy {
                options.get_or_insert_default().no_copy = Some(true);
            }
            EngineMount {
                typ: Some(MountType::VOLUME),
                source: definition.map(|it| it.name.clone()),
                target: Some(target.clone()),
                read_only: Some(*read_only),
                volume_options: options,
                ..EngineMount::default()
            }
        }
        Mount::Tmpfs { target, tmpfs } => memory(target, *tmpfs, None),
    });
    let short = service.memory();
    // As a tmpfs that is mounted without saying.
    let short = short.map(|(target, options)| memory(target, options, Some(0o1777)));
    volumes.chain(short).collect()
}

fn memory(target: &str, options: TmpfsOptions, mode: Option<i64>) -> EngineMount {
    EngineMount {
        typ: Some(MountType::TMPFS),
        target: Some(target.to_owned()),
        tmpfs_options: Some(MountTmpfsOptions {
            size_bytes: options.size.map(signed),
            mode: options.mode.map(|it| i64::from(it.bits())).or(mode),
            ..MountTmpfsOptions::default()
        }),
        ..EngineMount::default()
    }
}

/// The node makes the volume from these when its first task comes. Who made it is on it.
fn volume_options(project: &Project, volume: &Volume) -> MountVolumeOptions {
    if volume.external {
        return MountVolumeOptions::default();
    }
    let mut labels: HashMap<String, String> = volume.labels.clone().into_iter().collect();
    labels.insert(labels::PROJECT.to_owned(), project.name.to_string());
    labels.insert(labels::STACK.to_owned(), project.name.to_string());
    let options: HashMap<_, _> = volume.driver_opts.clone().into_iter().collect();
    let named = volume.driver.is_some() || !options.is_empty();
    MountVolumeOptions {
        labels: Some(labels),
        driver_config: named.then(|| MountVolumeOptionsDriverConfig {
            name: Some(volume.driver.clone().unwrap_or_else(|| "local".to_owned())),
            options: Some(options),
        }),
        ..MountVolumeOptions::default()
    }
}

fn port(port: &Port) -> EndpointPortConfig {
    EndpointPortConfig {
        protocol: Some(match port.protocol {
            Protocol::Tcp => EndpointPortConfigProtocolEnum::TCP,
            Protocol::Udp => EndpointPortConfigProtocolEnum::UDP,
            Protocol::Sctp => EndpointPortConfigProtocolEnum::SCTP,
        }),
        target_port: Some(port.target.into()),
        published_port: port.published.map(i64::from),
        publish_mode: Some(match port.mode {
            Some(PublishMode::Host) => EndpointPortConfigPublishModeEnum::HOST,
            Some(PublishMode::Ingress) | None => EndpointPortConfigPublishModeEnum::INGRESS,
        }),
        ..EndpointPortConfig::default()
    }
}

fn placement(placement: &Placement, home: Option<&String>) -> TaskSpecPlacement {
    let constraints = placement.constraints.iter().map(ToString::to_string);
    let home = home.map(|id| format!("node.id == {id}"));
    let spread = placement
        .preferences
        .iter()
        .map(|it| TaskSpecPlacementPreferences {
            spread: Some(TaskSpecPlacementSpread {
                spread_descriptor: Some(it.spread.clone()),
            }),
        });
    TaskSpecPlacement {
        constraints: Some(constraints.chain(home).collect()),
        preferences: Some(spread.collect()),
        max_replicas: placement.max_replicas_per_node.map(i64::from),
        ..TaskSpecPlacement::default()
    }
}

fn restart_policy(policy: &TaskRestart) -> TaskSpecRestartPolicy {
    TaskSpecRestartPolicy {
        condition: Some(match policy.condition {
            RestartCondition::None => TaskSpecRestartPolicyConditionEnum::NONE,
            RestartCondition::OnFailure => TaskSpecRestartPolicyConditionEnum::ON_FAILURE,
            RestartCondition::Any => TaskSpecRestartPolicyConditionEnum::ANY,
        }),
        delay: policy.delay.map(nanos),
        max_attempts: policy.max_attempts.map(i64::from),
        window: policy.window.map(nanos),
    }
}

fn update_config(config: &UpdateConfig) -> ServiceSpecUpdateConfig {
    use ServiceSpecUpdateConfigFailureActionEnum as Failure;
    use ServiceSpecUpdateConfigOrderEnum as Order;
    ServiceSpecUpdateConfig {
        parallelism: Some(config.parallelism.into()),
        delay: Some(nanos(config.delay)),
        failure_action: Some(match config.failure_action {
            FailureAction::Continue => Failure::CONTINUE,
            FailureAction::Rollback => Failure::ROLLBACK,
            FailureAction::Pause => Failure::PAUSE,
        }),
        monitor: Some(nanos(config.monitor)),
        max_failure_ratio: config.max_failure_ratio.map(Ratio::fraction),
        order: Some(match config.order {
            UpdateOrder::StopFirst => Order::STOP_FIRST,
            UpdateOrder::StartFirst => Order::START_FIRST,
        }),
    }
}

/// A rollback that fails can't be rolled back.
fn rollback_config(config: &UpdateConfig) -> ServiceSpecRollbackConfig {
    use ServiceSpecRollbackConfigFailureActionEnum as Failure;
    use ServiceSpecRollbackConfigOrderEnum as Order;
    ServiceSpecRollbackConfig {
        parallelism: Some(config.parallelism.into()),
        delay: Some(nanos(config.delay)),
        failure_action: Some(match config.failure_action {
            FailureAction::Continue => Failure::CONTINUE,
            FailureAction::Rollback | FailureAction::Pause => Failure::PAUSE,
        }),
        monitor: Some(nanos(config.monitor)),
        max_failure_ratio: config.max_failure_ratio.map(Ratio::fraction),
        order: Some(match config.order {
            UpdateOrder::StopFirst => Order::STOP_FIRST,
            UpdateOrder::StartFirst => Order::START_FIRST,
        }),
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
