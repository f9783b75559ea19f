//! One service.

use std::collections::BTreeMap;

use super::environment::environment;
use super::forms::{address, container_path, duration, is_name, size};
use super::network::{attachments, extra_hosts, list_of, network_mode};
use super::process::{
    capability, image, logging, memswap_limit, restart, security_option, ulimits,
};
use super::words::words;
use super::{build, deploy, health, hooks, mounts, ports, swarm};
use crate::cursor::Cursor;
use crate::fields::Fields;
use crate::model::{Attachment, NetworkKey, PullPolicy, Service};

/// Keys of Compose that aren't supported, and what to do instead.
const HINTS: &[(&str, &str)] = &[
    ("configs", "mount a file through `volumes`"),
    ("develop", "it is for `docker compose watch`"),
    ("devices", "containers get no devices of the host"),
    ("extends", "use a YAML anchor and a merge key (`<<`)"),
    ("external_links", "use a network that both are on"),
    (
        "links",
        "services find each other by name on a network that both are on",
    ),
    ("mem_swappiness", "use `memswap_limit`"),
    (
        "privileged",
        "use `cap_add` for the capabilities that are needed",
    ),
    ("volumes_from", "name the volume in both services"),
];

/// An entry of `services`.
pub(super) fn service(name: &str, cursor: &Cursor<'_>) -> Option<Service> {
    let fields = Fields::of(cursor)?;
    let string = |key| fields.get(key).and_then(|c| c.filled()).map(str::to_owned);
    let strings = |key| {
        fields
            .get(key)
            .and_then(|c| c.strings())
            .unwrap_or_default()
    };
    let labels = |key| fields.get(key).and_then(|c| c.labels()).unwrap_or_default();

    let profiles = fields.get("profiles").map(|c| profiles(&c));
    let profiles = profiles.unwrap_or_default();
    let enabled = cursor.context.profiles.may_enable(&profiles);
    let build = fields.get("build").and_then(|c| build::build(&c));
    let image = fields.get("image").and_then(|c| image(&c));
    if !cursor.has("build") && !cursor.has("image") {
        cursor.problem("neither image nor build; one of them says what to run");
    }
    let pull_policies = [
        ("always", PullPolicy::Always),
        ("missing", PullPolicy::Missing),
        ("if_not_present", PullPolicy::Missing),
        ("never", PullPolicy::Never),
    ];
    let container_name = fields.get("container_name").and_then(|c| {
        let name = c.filled()?;
        if !is_name(name) {
            c.expected("letters, digits, ., _ and -, beginning with a letter or digit");
        }
        Some(name.to_owned())
    });

    let service = Service {
        profiles,
        image: image.unwrap_or_else(|| format!("{}-{name}", cursor.context.project)),
        build,
        pull_policy: fields
            .get("pull_policy")
            .and_then(|c| c.choice(&pull_policies))
            .unwrap_or_default(),
        container_name,
        command: fields.nullable("command").and_then(|c| words(&c)),
        entrypoint: fields.nullable("entrypoint").and_then(|c| words(&c)),
        environment: environment(&fields, enabled),
        networks: networks(cursor, fields.get("networks").as_ref()),
        network_mode: fields.get("network_mode").and_then(|c| network_mode(&c)),
        ports: fields
            .get("ports")
            .map(|c| ports::ports(&c))
            .unwrap_or_default(),
        expose: fields
            .get("expose")
            .map(|c| ports::expose(&c))
            .unwrap_or_default(),
        volumes: fields
            .get("volumes")
            .map(|c| mounts::volumes(&c))
            .unwrap_or_default(),
        tmpfs: fields
            .get("tmpfs")
            .map(|c| mounts::tmpfs(&c))
            .unwrap_or_default(),
        secrets: fields
            .get("secrets")
            .map(|c| mounts::secrets(&c))
            .unwrap_or_default(),
        // Not asked for in a file for one machine, and so reported.
        configs: if cursor.context.swarm {
            fields
                .get("configs")
                .map(|c| swarm::configs(&c))
                .unwrap_or_default()
        } else {
            Vec::new()
        },
        healthcheck: fields
            .get("healthcheck")
            .and_then(|c| health::healthcheck(&c)),
        depends_on: fields
            .get("depends_on")
            .map(|c| health::depends_on(&c))
            .unwrap_or_default(),
        deploy: deploy::deploy(&fields),
        memswap_limit: fields.get("memswap_limit").and_then(|c| memswap_limit(&c)),
        shm_size: fields.get("shm_size").and_then(|c| size(&c)),
        read_only: fields
            .get("read_only")
            .and_then(|c| c.boolean())
            .unwrap_or(false),
        cap_add: list_of(&fields, "cap_add", capability),
        cap_drop: list_of(&fields, "cap_drop", capability),
        security_opt: list_of(&fields, "security_opt", security_option),
        user: string("user"),
        ulimits: fields
            .get("ulimits")
            .map(|c| ulimits(&c))
            .unwrap_or_default(),
        sysctls: labels("sysctls"),
        cpu_shares: fields
            .get("cpu_shares")
            .and_then(|c| c.integer(2..=262_144)),
        restart: fields
            .get("restart")
            .and_then(|c| restart(&c))
            .unwrap_or_default(),
        post_start: fields
            .get("post_start")
            .map(|c| hooks::hooks(&c))
            .unwrap_or_default(),
        pre_stop: fields
            .get("pre_stop")
            .map(|c| hooks::hooks(&c))
            .unwrap_or_default(),
        stop_grace_period: fields.get("stop_grace_period").and_then(|c| duration(&c)),
        stop_signal: string("stop_signal"),
        init: fields.get("init").and_then(|c| c.boolean()),
        logging: fields.get("logging").and_then(|c| logging(&c)),
        labels: labels("labels"),
        hostname: string("hostname"),
        working_dir: fields.get("working_dir").and_then(|c| container_path(&c)),
        extra_hosts: fields
            .get("extra_hosts")
            .map(|c| extra_hosts(&c))
            .unwrap_or_default(),
        dns: list_of(&fields, "dns", |c| address(c, "IP")),
        dns_search: list_of(&fields, "dns_search", |c| c.filled().map(str::to_owned)),
        dns_opt: strings("dns_opt"),
    };
    fields.finish(HINTS);
    Some(service)
}

/// Each once.
fn profiles(cursor: &Cursor<'_>) -> Vec<String> {
    let mut profiles: Vec<String> = Vec::new();
    for item in cursor.items().unwrap_or_default() {
        let name = item.filled().map(str::to_owned);
        profiles.extend(name.filter(|name| !profiles.contains(name)));
    }
    profiles
}

/// A service that names neither networks nor a mode is on the network `default`.
fn networks(
    service: &Cursor<'_>,
    networks: Option<&Cursor<'_>>,
) -> BTreeMap<NetworkKey, Attachment> {
    let attachments = networks.map(attachments).unwrap_or_default();
    if attachments.is_empty() && !service.has("network_mode") {
        return BTreeMap::from([(NetworkKey("default".to_owned()), Attachment::default())]);
    }
    attachments
}
