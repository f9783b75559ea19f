//! Checks across a whole project: references, dependency cycles, conflicts over ports, names and
//! mount points, settings that exclude each other.

mod swarm;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use super::Position;
use super::context::Context;
use super::fields::nearest;
use super::model::{
    Backup, Certificate, Condition, HealthTest, Mount, NetworkMode, Port, ReplicaSet, Secret,
    SecretName, Service, ServiceName, Verify, exclude_each_other,
};
use super::read::Sections;
use super::yaml::{Node, Value};

/// The checks are made for files that people write; this bounds their cost.
const MAX_SERVICES: usize = 1000;

/// Reports to `context` all that doesn't fit together. `root` gives positions. Returns what is for
/// others to judge: where several containers of a service write to one place.
pub(super) fn check(
    sections: &Sections,
    root: &Node,
    context: &Context,
) -> BTreeMap<ServiceName, Position> {
    let check = Check {
        sections,
        root,
        context,
    };
    if sections.services.len() > MAX_SERVICES {
        check.report(&["services"], format!("more than {MAX_SERVICES} services"));
        return BTreeMap::new();
    }
    for (name, service) in &sections.services {
        check.references(name, service);
        check.replicas(name, service);
        check.network_mode(name, service);
        check.mount_points(name, service);
        if context.swarm {
            check.on_swarm(name, service);
        }
    }
    for (name, secret) in &sections.secrets {
        check.told(name, secret);
        check.certificate(name, secret);
    }
    if let Some(set) = &sections.replica_set {
        check.replica_set(set);
    }
    if let Some(backup) = &sections.backup {
        check.backup(backup);
    }
    if let Some(verify) = &sections.verify {
        check.verify(verify);
    }
    check.cycles();
    check.published_ports();
    check.names();
    let shared = |(name, service): (&ServiceName, &Service)| {
        let mount = service.shared_places().next()?;
        let mut keys = vec!["services", name, "volumes"];
        if let Mount::Volume {
            source: Some(volume),
            ..
        } = mount
        {
            keys.push(volume);
        }
        (service.deploy.replicas > 1).then(|| (name.clone(), locate(root, &keys)))
    };
    sections.services.iter().filter_map(shared).collect()
}

struct Check<'a> {
    sections: &'a Sections,
    root: &'a Node,
    context: &'a Context,
}

impl Check<'_> {
    /// Reports a problem at the node that the keys lead to, or as near as they lead.
    fn report(&self, keys: &[&str], message: impl Into<String>) {
        self.context
            .problem(Some(locate(self.root, keys)), &keys.join("."), message);
    }

    /// Everything that a service names must exist.
    fn references(&self, name: &str, service: &Service) {
        let known = self.defined("networks");
        for network in service.networks.keys() {
            if network.as_str() != "default" {
                self.reference(&["services", name, "networks", network], "network", &known);
            }
        }
        let known = self.defined("volumes");
        for mount in &service.volumes {
            if let Mount::Volume {
                source: Some(volume),
                ..
            } = mount
            {
                self.reference(&["services", name, "volumes", volume], "volume", &known);
            }
        }
        let known = self.defined("secrets");
        for secret in &service.secrets {
            self.reference(
                &["services", name, "secrets", &secret.source],
                "secret",
                &known,
            );
        }
        let known = self.defined("configs");
        for config in &service.configs {
            let keys = ["services", name, "configs", &config.source];
            self.reference(&keys, "config", &known);
        }
        let known = self.defined("services");
        for (other, dependency) in &service.depends_on {
            let keys = ["services", name, "depends_on", other];
            self.reference(&keys, "service", &known);
            let disabled = self
                .sections
                .services
                .get(other)
                .and_then(|service| service.healthcheck.as_ref()?.test.as_ref())
                .is_some_and(|test| *test == HealthTest::Disabled);
            if dependency.condition == Condition::ServiceHealthy && disabled {
                self.report(
                    &keys,
                    format!("{other} never gets healthy: its health check is disabled"),
                );
            }
        }
        if let Some(NetworkMode::Service(other)) = &service.network_mode {
            let keys = ["services", name, "network_mode"];
            if !known.contains(&other.as_str()) {
                self.undefined(&keys, "service", other, &known);
            }
        }
    }

    /// Each member is one container, which others know by the service's name.
    fn replica_set(&self, set: &ReplicaSet) {
        let known = self.defined("services");
        for (index, member) in set.members.iter().enumerate() {
            let keys = ["x-replica-set", "members"];
            let twice = set.members[..index].contains(member);
            match self.sections.services.get(member) {
                _ if twice => self.report(&keys, format!("{member} is there twice")),
                Some(service) if service.deploy.replicas > 1 => {
                    let message =
                        format!("{member} has replicas: each member is a service of its own");
                    self.report(&keys, message);
                }
                Some(_) => {}
                None => self.undefined(&keys, "service", member, &known),
            }
        }
    }

    /// Who backs up is there.
    fn backup(&self, backup: &Backup) {
        let known = self.defined("services");
        if !known.contains(&backup.service.as_str()) {
            let keys = ["x-backup", "service"];
            self.undefined(&keys, "service", &backup.service, &known);
        }
    }

    /// What `x-verify` says of services is so by the rest of the file.
    fn verify(&self, verify: &Verify) {
        self.only_published(verify);
        let known = self.defined("services");
        for (name, entry) in &verify.entry_points {
            let keys = |key| ["x-verify", "entry_points", name.as_str(), key];
            if !known.contains(&name.as_str()) {
                self.undefined(&keys("")[..3], "service", name, &known);
            }
            if let Some(other) = &entry.accepted_by {
                if !known.contains(&other.as_str()) {
                    self.undefined(&keys("accepted_by"), "service", other, &known);
                } else if other == name {
                    let message = "accepts what comes in itself; without the key it does so anyway";
                    self.report(&keys("accepted_by"), message);
                }
            }
            if let (Some(port), Some(service)) = (entry.port, self.sections.services.get(name))
                && !service.publishes(port)
            {
                let message = format!("{name} doesn't publish the TCP port {port}");
                self.report(&keys("port"), message);
            }
            if let Some(tls) = &entry.tls {
                let keys = |key| [&keys("tls")[..], &[key]].concat();
                if !known.contains(&tls.service.as_str()) {
                    self.undefined(&keys("service"), "service", &tls.service, &known);
                }
                let service = self.sections.services.get(name);
                if entry.port == Some(tls.port) {
                    self.report(&keys("port"), "HTTP without TLS is spoken there, by `port`");
                } else if service.is_some_and(|it| !it.publishes(tls.port)) {
                    let message = format!("{name} doesn't publish the TCP port {}", tls.port);
                    self.report(&keys("port"), message);
                }
            }
            if let Some(document) = &entry.document
                && !known.contains(&document.service.as_str())
            {
                let keys = [&keys("document")[..], &["service"]].concat();
                self.undefined(&keys, "service", &document.service, &known);
            }
        }
        for name in &verify.no_way_out {
            let keys = ["x-verify", "no_way_out", name.as_str()];
            match self.sections.services.get(name) {
                None => self.undefined(&keys, "service", name, &known),
                Some(service) => {
                    if let Some(way) = self.way_out(service) {
                        self.report(&keys, format!("{name} has a way out: {way}"));
                    }
                }
            }
        }
    }

    /// What is only reached by published ports has one.
    fn only_published(&self, verify: &Verify) {
        let known = self.defined("services");
        for name in &verify.only_published {
            let keys = ["x-verify", "only_published", name.as_str()];
            match self.sections.services.get(name) {
                None => self.undefined(&keys, "service", name, &known),
                Some(service) if service.ports.iter().all(|port| port.published.is_none()) => {
                    self.report(&keys, format!("{name} publishes no port"));
                }
                Some(_) => {}
            }
        }
    }

    /// By which setting a service has one. What an external network is, the engine knows.
    fn way_out(&self, service: &Service) -> Option<String> {
        if let Some(mode) = &service.network_mode {
            return (*mode != NetworkMode::None).then(|| format!("network_mode: {mode}"));
        }
        let mut networks = service.networks.keys();
        let open = networks.find(|key| {
            let network = self.sections.networks.get(*key);
            network.is_some_and(|network| !network.internal && !network.external)
        });
        open.map(|key| format!("the network {key} isn't internal"))
    }

    /// The keys of a top-level section, also of entries that have problems of their own.
    fn defined(&self, section: &str) -> Vec<&str> {
        let Value::Map(sections) = &self.root.value else {
            return Vec::new();
        };
        match sections
            .iter()
            .find(|entry| entry.key == section)
            .map(|entry| &entry.value.value)
        {
            Some(Value::Map(entries)) => entries.iter().map(|entry| entry.key.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    /// Reports when the last of the keys isn't among the known ones.
    fn reference(&self, keys: &[&str], kind: &str, known: &[&str]) {
        if let Some(name) = keys.last()
            && !known.contains(name)
        {
            self.undefined(keys, kind, name, known);
        }
    }

    fn undefined(&self, keys: &[&str], kind: &str, name: &str, known: &[&str]) {
        let hint = match nearest(name, known) {
            Some(near) => format!("; did you mean {near}?"),
            None if known.is_empty() => format!("; the file defines no {kind}s"),
            None => format!("; defined are {}", known.join(", ")),
        };
        self.report(keys, format!("the {kind} {name} isn't defined{hint}"));
    }

    /// Who is told of a secret's new value is a service that has the secret.
    fn told(&self, name: &str, secret: &Secret) {
        let Some(rotate) = &secret.rotate else { return };
        let keys = ["secrets", name, "x-rotate", "service"];
        let known = self.defined("services");
        if !known.contains(&rotate.service.as_str()) {
            self.undefined(&keys, "service", &rotate.service, &known);
            return;
        }
        // One with problems of its own isn't there; those are reported.
        let told = self.sections.services.get(&rotate.service);
        if told.is_some_and(|told| told.secrets.iter().all(|it| it.source.as_str() != name)) {
            let message = format!(
                "{} doesn't have the secret {name}: add it to the service's secrets",
                rotate.service
            );
            self.report(&keys, message);
        }
        if let Some(by) = &rotate.by {
            self.told_by(name, &rotate.service, by);
        }
    }

    /// Who is told has the other secret too, and is there before those who read this one.
    fn told_by(&self, name: &str, told: &ServiceName, by: &SecretName) {
        let keys = ["secrets", name, "x-rotate", "by"];
        let known = self.defined("secrets");
        if !known.contains(&by.as_str()) || by.as_str() == name {
            self.undefined(&keys, "secret", by, &known);
            return;
        }
        let has = |service: &Service, secret: &str| {
            let mut secrets = service.secrets.iter();
            secrets.any(|it| it.source.as_str() == secret)
        };
        let services = &self.sections.services;
        if services.get(told).is_some_and(|it| !has(it, by)) {
            let message = format!("{told} doesn't have the secret {by}: add it to its secrets");
            self.report(&keys, message);
        }
        for (reader, service) in services.iter().filter(|(it, _)| *it != told) {
            if has(service, name) && !service.depends_on.contains_key(told) {
                let message = format!(
                    "{reader} reads {name}, and has to start after {told} was told of it: add {told} \
                     to its depends_on"
                );
                self.report(&keys, message);
            }
        }
    }

    /// A generated certificate and its key are files of one name beside each other.
    fn certificate(&self, name: &str, secret: &Secret) {
        if !secret.is_of_certificate() {
            return;
        }
        let keys = |key| ["secrets", name, key];
        let (own, other) = (Certificate::EXTENSION, Certificate::KEY_EXTENSION);
        let other = match secret.file.extension().and_then(|it| it.to_str()) {
            Some(Certificate::EXTENSION) => other,
            Some(Certificate::KEY_EXTENSION) => own,
            _ => {
                let message =
                    format!("a generated certificate is NAME.{own}, and its key NAME.{other}");
                self.report(&keys("file"), message);
                return;
            }
        };
        if other == own && !secret.names.is_empty() {
            let message = format!("the names belong to the certificate, NAME.{own}");
            self.report(&keys("x-names"), message);
        }
        let pair = Certificate::all(&self.sections.secrets)
            .any(|pair| pair.name.as_str() == name || pair.key_name.as_str() == name);
        if !pair {
            let what = if other == own { "certificate" } else { "key" };
            let file = secret.file.with_extension(other);
            let file = file.file_name().unwrap_or_default().display();
            let message =
                format!("its {what} is missing: a secret with {file} and x-generate: certificate");
            self.report(&keys("x-generate"), message);
        }
    }

    /// What only one container can have.
    fn replicas(&self, name: &str, service: &Service) {
        let replicas = service.deploy.replicas;
        if replicas < 2 {
            return;
        }
        let alone = |keys: &[&str], what: &str| {
            let message = format!("{what} is for one container, and there are {replicas} replicas");
            self.report(keys, message);
        };
        // On a Swarm, each is on a node of its own, or the port is every node's.
        let mut ports = service.ports.iter().filter(|_| !self.context.swarm);
        if let Some(port) = ports.find_map(|port| port.published) {
            alone(
                &["services", name, "ports"],
                &format!("the host port {port}"),
            );
        }
        if service.container_name.is_some() {
            alone(&["services", name, "container_name"], "a container's name");
        }
        for (network, attachment) in &service.networks {
            let keys = ["services", name, "networks", network];
            if attachment.ipv4_address.is_some() || attachment.ipv6_address.is_some() {
                alone(&keys, "a fixed address");
            }
        }
    }

    /// What doesn't go together with a `network_mode`. The engine refuses the same.
    fn network_mode(&self, name: &str, service: &Service) {
        let Some(mode) = &service.network_mode else {
            return;
        };
        let shared = matches!(mode, NetworkMode::Service(_));
        let own_network = matches!(mode, NetworkMode::Bridge);
        let excluded = [
            ("networks", !service.networks.is_empty()),
            ("ports", !own_network && !service.ports.is_empty()),
            ("expose", shared && !service.expose.is_empty()),
            ("hostname", shared && service.hostname.is_some()),
            ("dns", shared && !service.dns.is_empty()),
            ("extra_hosts", shared && !service.extra_hosts.is_empty()),
        ];
        for (key, _) in excluded.iter().filter(|(_, present)| *present) {
            let message = format!("{key} can't be used together with network_mode: {mode}");
            self.report(&["services", name, key], message);
        }
    }

    /// Two things can't be at one path.
    fn mount_points(&self, name: &str, service: &Service) {
        let volumes = service
            .volumes
            .iter()
            .map(|mount| ("volumes", mount.target()));
        let tmpfs = service.tmpfs.keys().map(|path| ("tmpfs", path.as_str()));
        let secrets = service
            .secrets
            .iter()
            .map(|secret| ("secrets", secret.target.as_str()));
        let configs = service
            .configs
            .iter()
            .map(|config| ("configs", config.target.as_str()));
        let mut taken = HashSet::new();
        for (key, path) in volumes.chain(tmpfs).chain(secrets).chain(configs) {
            if !taken.insert(path.trim_end_matches('/')) {
                let message = format!("there is something else at {path} in the container already");
                self.report(&["services", name, key], message);
            }
        }
    }

    /// Services that wait for each other would never start.
    fn cycles(&self) {
        let mut done = HashSet::new();
        for name in self.sections.services.keys() {
            self.walk(name, &mut Vec::new(), &mut done);
        }
    }

    fn walk<'s>(&'s self, name: &'s str, trail: &mut Vec<&'s str>, done: &mut HashSet<&'s str>) {
        if let Some(start) = trail.iter().position(|earlier| *earlier == name) {
            let cycle = [&trail[start..], &[name]].concat().join(" → ");
            let message = format!("services that wait for each other: {cycle}");
            self.report(&["services", trail[start], "depends_on"], message);
            return;
        }
        let Some(service) = self.sections.services.get(name) else {
            return;
        };
        if done.contains(name) {
            return;
        }
        trail.push(name);
        for other in service.dependencies() {
            self.walk(other, trail, done);
        }
        trail.pop();
        done.insert(name);
    }

    /// One address and port of the host goes to one container.
    fn published_ports(&self) {
        let mut taken: HashMap<_, Vec<(&ServiceName, Option<IpAddr>)>> = HashMap::new();
        for (name, service) in &self.sections.services {
            for Port {
                published,
                host_ip,
                protocol,
                ..
            } in &service.ports
            {
                let Some(port) = published else { continue };
                let holders = taken.entry((*port, *protocol)).or_default();
                if let Some((other, _)) = holders
                    .iter()
                    .find(|(_, ip)| exclude_each_other(*ip, *host_ip))
                {
                    let message =
                        format!("the host port {port}/{protocol} is taken by {other} already");
                    self.report(&["services", name, "ports"], message);
                }
                holders.push((name, *host_ip));
            }
        }
    }

    /// Names on the engine are unique.
    fn names(&self) {
        let Sections {
            services,
            networks,
            volumes,
            ..
        } = self.sections;
        let containers = services
            .iter()
            .filter_map(|(key, service)| Some((key.as_str(), service.container_name.as_deref()?)));
        self.unique("services", containers);
        self.unique(
            "networks",
            networks
                .iter()
                .map(|(key, n)| (key.as_str(), n.name.as_str())),
        );
        self.unique(
            "volumes",
            volumes
                .iter()
                .map(|(key, v)| (key.as_str(), v.name.as_str())),
        );
    }

    fn unique<'s>(&self, section: &str, names: impl Iterator<Item = (&'s str, &'s str)>) {
        let mut taken = BTreeMap::new();
        for (key, name) in names {
            if let Some(other) = taken.insert(name, key) {
                let message = format!("the name {name} is that of {section}.{other} too");
                self.report(&[section, key], message);
            }
        }
    }
}

/// The position of the node at the keys. In a list, a key finds the item that begins with it.
pub(super) fn locate(root: &Node, keys: &[&str]) -> Position {
    let Some((key, rest)) = keys.split_first() else {
        return root.at;
    };
    match &root.value {
        Value::Map(entries) => match entries.iter().find(|entry| entry.key == *key) {
            Some(entry) if rest.is_empty() => entry.key_at,
            Some(entry) => match &entry.value.value {
                Value::Null => entry.key_at,
                _ => locate(&entry.value, rest),
            },
            None => root.at,
        },
        Value::List(items) => {
            let found = items.iter().find(|item| {
                match &item.value {
                Value::Scalar(scalar) => {
                    scalar.text.split(':').next().is_some_and(|text| text == *key)
                }
                Value::Map(entries) => entries.iter().any(|entry| {
                    matches!(&entry.value.value, Value::Scalar(scalar) if scalar.text == *key)
                }),
                _ => false,
            }
            });
            found.map_or(root.at, |item| item.at)
        }
        _ => root.at,
    }
}
