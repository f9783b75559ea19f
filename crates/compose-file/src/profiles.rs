//! Which services are enabled: Compose's `profiles`, which a service without any doesn't need
//! (<https://github.com/compose-spec/compose-spec/blob/main/15-profiles.md>).
//!
//! The whole file is read, interpolated and judged key by key; whether it fits together is asked of what
//! is enabled alone. That is what Docker Compose 2 does too.

pub(crate) mod active;

use std::collections::HashSet;
use std::path::PathBuf;

use indexmap::IndexMap;

use self::active::Active;
use super::check::locate;
use super::context::Context;
use super::model::{
    Disabled, Mount, NetworkKey, NetworkMode, Secret, SecretName, Service, ServiceName,
};
use super::options::LoadOptions;
use super::read::Sections;
use super::yaml::Node;

/// Takes what isn't enabled out of `sections`. Reports to `context` what can't do without it.
pub(super) fn set_aside(
    sections: &mut Sections,
    options: &LoadOptions,
    root: &Node,
    context: &Context,
) -> Disabled {
    let enabled = enabled(sections, options, &context.profiles);
    let (on, off): (IndexMap<_, _>, IndexMap<_, _>) = std::mem::take(&mut sections.services)
        .into_iter()
        .partition(|(name, _)| enabled.contains(name));
    sections.services = on;
    if off.is_empty() {
        return Disabled::default();
    }
    without_optional(sections, &off);
    let references = References {
        off: &off,
        root,
        context,
    };
    for (name, service) in &sections.services {
        references.of_service(name, service);
    }
    let disabled = Disabled {
        networks: only_of(&off, &mut sections.networks, &sections.services, |it| {
            it.networks.keys().map(NetworkKey::as_str).collect()
        }),
        volumes: only_of(&off, &mut sections.volumes, &sections.services, |it| {
            it.volumes.iter().filter_map(named_volume).collect()
        }),
        secrets: secrets(sections, &off),
        services: off.clone(),
    };
    only_of(&off, &mut sections.configs, &sections.services, |it| {
        it.configs.iter().map(|it| it.source.as_str()).collect()
    });
    references.of_top_level(sections);
    disabled
}

/// Those of the profiles, the targets, and what these depend on as far as their profiles have it.
fn enabled(sections: &Sections, options: &LoadOptions, active: &Active) -> HashSet<ServiceName> {
    let services = &sections.services;
    let by_profile = services
        .iter()
        .filter(|(_, service)| active.enables(&service.profiles));
    let mut enabled: HashSet<ServiceName> = by_profile.map(|(name, _)| name.clone()).collect();
    let named = |name: &String| services.get_key_value(name.as_str());
    let mut asked: Vec<_> = options.targets.iter().filter_map(named).collect();
    while let Some((name, service)) = asked.pop() {
        if enabled.insert(name.clone()) {
            let needed = service.dependencies();
            let needed = needed.filter_map(|it| services.get_key_value(it));
            asked.extend(needed.filter(|(_, it)| active.may_enable(&it.profiles)));
        }
    }
    enabled
}

/// What a service can do without (`required: false`), it isn't said to depend on, and `x-verify` says
/// nothing of what isn't there.
fn without_optional(sections: &mut Sections, off: &IndexMap<ServiceName, Service>) {
    for service in sections.services.values_mut() {
        let depends_on = &mut service.depends_on;
        depends_on.retain(|name, it| it.required || !off.contains_key(name));
    }
    if let Some(verify) = &mut sections.verify {
        verify
            .entry_points
            .retain(|name, _| !off.contains_key(name));
        verify.no_way_out.retain(|name| !off.contains_key(name));
        verify.only_published.retain(|name| !off.contains_key(name));
    }
}

/// Takes out of `section` what only services of `off` use.
fn only_of<K: AsRef<str> + std::hash::Hash + Eq, T>(
    off: &IndexMap<ServiceName, Service>,
    section: &mut IndexMap<K, T>,
    on: &IndexMap<ServiceName, Service>,
    used: impl for<'s> Fn(&'s Service) -> Vec<&'s str>,
) -> IndexMap<K, T> {
    let unused: HashSet<&str> = off.values().flat_map(&used).collect();
    let used: HashSet<&str> = on.values().flat_map(&used).collect();
    let (out, stays) = std::mem::take(section)
        .into_iter()
        .partition(|(key, _)| unused.contains(key.as_ref()) && !used.contains(key.as_ref()));
    *section = stays;
    out
}

fn named_volume(mount: &Mount) -> Option<&str> {
    match mount {
        Mount::Volume { source, .. } => source.as_deref(),
        _ => None,
    }
}

/// A certificate and its key stay together.
fn secrets(
    sections: &mut Sections,
    off: &IndexMap<ServiceName, Service>,
) -> IndexMap<SecretName, Secret> {
    let unused = only_of(off, &mut sections.secrets, &sections.services, |it| {
        it.secrets.iter().map(|it| it.source.as_str()).collect()
    });
    let (paired, gone) = unused.into_iter().partition(|(_, secret)| {
        let mut stay = sections.secrets.values();
        let place = place(secret);
        place.is_some() && stay.any(|it| self::place(it) == place)
    });
    sections.secrets.extend::<IndexMap<_, _>>(paired);
    gone
}

/// Where a certificate and its key are, but for the extension.
fn place(secret: &Secret) -> Option<PathBuf> {
    secret
        .is_of_certificate()
        .then(|| secret.file.with_extension(""))
}

/// What the rest of the file says of services that aren't enabled.
struct References<'a> {
    off: &'a IndexMap<ServiceName, Service>,
    root: &'a Node,
    context: &'a Context,
}

impl References<'_> {
    fn of_service(&self, name: &str, service: &Service) {
        for other in service.depends_on.keys() {
            let or = format!(", or have {name} do without it (`required: false`)");
            self.check(&["services", name, "depends_on", other], other, &or);
        }
        if let Some(NetworkMode::Service(other)) = &service.network_mode {
            self.check(&["services", name, "network_mode"], other, "");
        }
    }

    fn of_top_level(&self, sections: &Sections) {
        for (name, secret) in &sections.secrets {
            if let Some(rotate) = &secret.rotate {
                let keys = ["secrets", name, "x-rotate", "service"];
                self.check(&keys, &rotate.service, "");
            }
        }
        for member in sections.replica_set.iter().flat_map(|it| &it.members) {
            self.check(&["x-replica-set", "members"], member, "");
        }
        let entries = sections.verify.iter().flat_map(|it| &it.entry_points);
        for (name, entry) in entries {
            let place = ["x-verify", "entry_points", name];
            let at = |keys: &[&'static str]| [&place[..], keys].concat();
            if let Some(other) = &entry.accepted_by {
                self.check(&at(&["accepted_by"]), other, "");
            }
            if let Some(tls) = &entry.tls {
                self.check(&at(&["tls", "service"]), &tls.service, "");
            }
            if let Some(document) = &entry.document {
                self.check(&at(&["document", "service"]), &document.service, "");
            }
        }
    }

    fn check(&self, keys: &[&str], name: &ServiceName, or: &str) {
        let Some(service) = self.off.get(name) else {
            return;
        };
        let profiles = service.profiles.join(", ");
        let first = service.profiles.first().map_or("", String::as_str);
        let message = format!(
            "the service {name} isn't enabled: it is of the profile {profiles}; enable it \
             (`--profile {first}`){or}"
        );
        let at = locate(self.root, keys);
        self.context.problem(Some(at), &keys.join("."), message);
    }
}
