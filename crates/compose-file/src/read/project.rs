//! The top level: the project's name and the sections `services`, `networks`, `volumes` and
//! `secrets`.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::external::{check_external, external_and_name};
use super::forms::{certificate_names, host_path, is_name};
use super::words::command;
use super::{backup, network, replica_set, service, swarm, verify};
use crate::context::Context;
use crate::cursor::Cursor;
use crate::fields::Fields;
use crate::model::{
    Backup, Config, ConfigName, Generate, Network, NetworkKey, ProjectName, ReplicaSet, Rotate,
    Secret, SecretName, Service, ServiceName, Swarm, Verify, Volume, VolumeKey,
};

/// Top-level keys of Compose that aren't supported, and what to do instead.
const HINTS: &[(&str, &str)] = &[
    ("configs", "mount a file through `volumes` instead"),
    ("include", "write the services into one file"),
    ("models", "run the model as a service"),
];

/// What the top level of a file says.
#[derive(Default)]
pub(crate) struct Sections {
    pub(crate) services: IndexMap<ServiceName, Service>,
    pub(crate) networks: IndexMap<NetworkKey, Network>,
    pub(crate) volumes: IndexMap<VolumeKey, Volume>,
    pub(crate) secrets: IndexMap<SecretName, Secret>,
    pub(crate) replica_set: Option<ReplicaSet>,
    pub(crate) backup: Option<Backup>,
    pub(crate) configs: IndexMap<ConfigName, Config>,
    pub(crate) swarm: Option<Swarm>,
    pub(crate) verify: Option<Verify>,
}

/// The project's name. It is read first since default names contain it. As in Compose: `given`
/// comes from outside the file and wins, with what to call its source; then `name:`; then the
/// name of the file's directory.
pub(crate) fn project_name(root: &Cursor<'_>, given: Option<(&str, String)>) -> ProjectName {
    const EXPECTED: &str = "lower-case letters, digits, - and _, beginning with a letter or digit";
    let in_file = root
        .has("name")
        .then(|| Fields::of(root)?.get("name"))
        .flatten()
        .and_then(|cursor| {
            let name = cursor.string()?;
            if !is_project_name(name) {
                cursor.expected(EXPECTED);
            }
            Some(ProjectName(name.to_owned()))
        });
    let Some((source, name)) = given else {
        return in_file.unwrap_or_else(|| of_directory(root.context));
    };
    if !is_project_name(&name) {
        let message = format!("the project name {name:?} from {source}: expected {EXPECTED}");
        root.context.problem(None, "", message);
    }
    ProjectName(name)
}

/// The directory's name with the letters that a project's name may have, in lower case.
fn of_directory(context: &Context) -> ProjectName {
    let directory = context.directory.file_name().unwrap_or_default();
    let name: String = directory
        .to_string_lossy()
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(*c))
        .collect();
    let name = name.trim_start_matches(['_', '-']);
    if name.is_empty() {
        let message = format!(
            "the directory {} has no name that a project could bear: set `name:`, \
             COMPOSE_PROJECT_NAME or --project",
            context.directory.display()
        );
        context.problem(None, "", message);
    }
    ProjectName(name.to_owned())
}

fn is_project_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c))
}

/// Everything else. `root.context` knows the project's name by now.
pub(crate) fn project(root: &Cursor<'_>) -> Sections {
    let Some(fields) = Fields::of(root) else {
        return Sections::default();
    };
    // Read by `project_name`; and obsolete.
    let _ = (fields.nullable("name"), fields.nullable("version"));
    let services = fields.required("services");
    if let Some(services) = &services
        && services.entries().is_some_and(|entries| entries.is_empty())
    {
        services.problem("no services");
    }
    let sections = Sections {
        services: section(services, ServiceName, service::service),
        networks: section(fields.get("networks"), NetworkKey, network::network),
        volumes: section(fields.get("volumes"), VolumeKey, volume),
        secrets: section(fields.get("secrets"), SecretName, secret),
        replica_set: fields
            .get("x-replica-set")
            .and_then(|c| replica_set::replica_set(&c)),
        backup: fields.get("x-backup").and_then(|c| backup::backup(&c)),
        // Not asked for in a file for one machine, and so reported.
        configs: if root.context.swarm {
            section(fields.get("configs"), ConfigName, swarm::config)
        } else {
            IndexMap::new()
        },
        swarm: fields.get("x-swarm").and_then(|c| swarm::swarm(&c)),
        verify: fields.get("x-verify").and_then(|c| verify::verify(&c)),
    };
    fields.finish(HINTS);
    sections
}

/// A mapping of names to entries of one kind.
fn section<K: std::hash::Hash + Eq, T>(
    section: Option<Cursor<'_>>,
    key: impl Fn(String) -> K,
    read: impl Fn(&str, &Cursor<'_>) -> Option<T>,
) -> IndexMap<K, T> {
    let entries = section
        .and_then(|section| section.entries())
        .unwrap_or_default();
    let read = entries.into_iter().filter_map(|(name, cursor)| {
        if !is_name(name) {
            cursor.problem(format!(
                "the name {name:?}: expected letters, digits, ., _ and -, beginning with a letter or digit"
            ));
        }
        Some((key(name.to_owned()), read(name, &cursor)?))
    });
    read.collect()
}

fn volume(key: &str, cursor: &Cursor<'_>) -> Option<Volume> {
    if cursor.is_null() {
        return Some(Volume {
            name: format!("{}_{key}", cursor.context.project),
            external: false,
            driver: None,
            driver_opts: BTreeMap::new(),
            labels: BTreeMap::new(),
        });
    }
    let fields = Fields::of(cursor)?;
    let (external, name) = external_and_name(key, &fields);
    let volume = Volume {
        name,
        external,
        driver: fields
            .get("driver")
            .and_then(|c| c.filled())
            .map(str::to_owned),
        driver_opts: fields
            .get("driver_opts")
            .and_then(|c| c.options())
            .unwrap_or_default(),
        labels: fields
            .get("labels")
            .and_then(|c| c.labels())
            .unwrap_or_default(),
    };
    check_external(&fields, external);
    fields.finish(&[]);
    Some(volume)
}

fn secret(key: &str, cursor: &Cursor<'_>) -> Option<Secret> {
    let fields = Fields::of(cursor)?;
    swarm::default_name(key, &fields);
    let file = fields.required("file");
    let generate = fields.get("x-generate").and_then(|c| {
        c.choice(&[
            ("password", Generate::Password),
            ("token", Generate::Token),
            ("key", Generate::Key),
            ("certificate", Generate::Certificate),
        ])
    });
    let names = fields.get("x-names");
    if let Some(names) = &names
        && generate != Some(Generate::Certificate)
    {
        names.problem("they are what a certificate is for: add x-generate: certificate");
    }
    let names = names
        .and_then(|c| certificate_names(&c))
        .unwrap_or_default();
    let rotate = fields.get("x-rotate");
    if let Some(rotate) = &rotate
        && !cursor.has("x-generate")
    {
        rotate.problem("deploy makes new values only of what it generates: add x-generate");
    }
    if let Some(rotate) = &rotate
        && generate == Some(Generate::Certificate)
    {
        rotate.problem("a new certificate is read from its file; nobody is told of it");
    }
    if let Some(rotate) = &rotate
        && generate == Some(Generate::Key)
    {
        rotate.problem("a key isn't rotated: remove it, or x-generate: key");
    }
    let rotate = rotate.and_then(|c| self::rotate(&c));
    fields.finish(&[
        ("external", "external secrets need Swarm; name a `file`"),
        ("environment", "name a `file`"),
        (
            "content",
            "secrets don't belong into the Compose file; name a `file`",
        ),
        ("name", "it means something with Swarm only; remove it"),
    ]);
    Some(Secret {
        file: host_path(&file?)?,
        generate,
        rotate,
        names,
    })
}

fn rotate(cursor: &Cursor<'_>) -> Option<Rotate> {
    let fields = Fields::of(cursor)?;
    let service = fields.required("service").and_then(|c| c.filled());
    let command = fields.required("command").and_then(|c| command(&c));
    let by = fields.get("by").and_then(|c| c.filled());
    fields.finish(&[]);
    Some(Rotate {
        service: ServiceName(service?.to_owned()),
        command: command?,
        by: by.map(|name| SecretName(name.to_owned())),
    })
}
