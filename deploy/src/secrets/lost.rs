//! Secrets whose file is gone, or holds something else, while what was made with them is there.
//! Another value would lock everybody out, so none is generated, and none is put in its place.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use compose_file::Project;
use compose_file::model::{Generate, Mount, Rotate, Secret, SecretName, Service, Volume};
use engine::state::{Container, State};

use super::file::consumers;
use super::{Secrets, print, used, values};
use crate::diff;
use crate::spec;

/// A password that must not be generated anew.
#[derive(Debug)]
pub(crate) struct Lost<'a> {
    /// Its name in the file.
    pub(crate) name: &'a SecretName,
    /// Its entry there.
    pub(crate) secret: &'a Secret,
    /// What knows its value: `volume blog_data`, a directory, or a container.
    pub(crate) known_to: String,
}

/// The passwords without a file that data knows already: data of a service that reads the
/// secret, or of the one that is told of new values (`x-rotate`), whose container counts too, but
/// not where that can be told of any value.
pub(crate) fn lost<'a>(
    project: &'a Project,
    state: &'a State,
    secrets: &'a Secrets,
) -> impl Iterator<Item = Lost<'a>> {
    let gone = used(project).filter(move |(name, secret)| {
        secret.generate == Some(Generate::Password)
            && !secrets.exists(name)
            && !can_be_told(secret, secrets)
    });
    gone.filter_map(move |(name, secret)| {
        Some(Lost {
            name,
            secret,
            known_to: known_to(project, state, name, secret)?,
        })
    })
}

/// Whether what keeps it in its data takes any value from us: then no other locks anybody out.
fn can_be_told(secret: &Secret, secrets: &Secrets) -> bool {
    let by = secret.rotate.as_ref().and_then(|it| it.by.as_ref());
    by.is_some_and(|by| secrets.exists(by))
}

/// A password that isn't the one that data was made with.
#[derive(Debug)]
pub(crate) struct Exchanged<'a> {
    /// Its name in the file.
    pub(crate) name: &'a SecretName,
    /// Its entry there.
    pub(crate) secret: &'a Secret,
    /// As [`Lost::known_to`].
    pub(crate) known_to: String,
    /// The newest container of those that were made with the other value.
    pub(crate) container: &'a Container,
}

/// The passwords that data knows, as [`lost`] has it, and that have no value in common with
/// any container that was made with them. (In the middle of a rotation they have one.)
pub(crate) fn exchanged<'a>(
    project: &'a Project,
    state: &'a State,
    secrets: &'a Secrets,
) -> impl Iterator<Item = Exchanged<'a>> {
    let there = used(project).filter(move |(name, secret)| {
        secret.generate == Some(Generate::Password)
            && secrets.exists(name)
            && !can_be_told(secret, secrets)
    });
    there.filter_map(move |(name, secret)| {
        let containers =
            consumers(project, name).flat_map(|(service, _)| state.of_service(service));
        let judged: Vec<(&Container, bool)> = containers
            .filter_map(|it| Some((it, has_value_of(secrets, name, it)?)))
            .collect();
        if judged.iter().any(|(_, has)| *has) {
            return None;
        }
        let (container, _) = judged.into_iter().max_by_key(|(it, _)| it.created)?;
        Some(Exchanged {
            name,
            secret,
            known_to: known_to(project, state, name, secret)?,
            container,
        })
    })
}

/// The secrets whose value the service that keeps it in its data may not have: the data is older than
/// this, or what told it was interrupted. Another container that was made with the value proves that it
/// has: none is before.
pub(crate) fn untold<'a>(
    project: &'a Project,
    state: &'a State,
    secrets: &'a Secrets,
) -> impl Iterator<Item = (&'a SecretName, &'a Rotate)> {
    used(project).filter_map(move |(name, secret)| {
        let rotate = secret.rotate.as_ref().filter(|it| it.by.is_some())?;
        let told = project.services.get(&rotate.service)?;
        let is_there = state.of_service(&rotate.service).next().is_some()
            || data_of(project, state, told).is_some();
        let mut readers = consumers(project, name)
            .filter(|(service, _)| **service != rotate.service)
            .flat_map(|(service, _)| state.of_service(service));
        let known = readers.any(|it| has_value_of(secrets, name, it) == Some(true));
        (is_there && !known).then_some((name, rotate))
    })
}

/// Whether a container was made with a value that the secret's file has; `None`: it doesn't tell.
fn has_value_of(secrets: &Secrets, name: &SecretName, container: &Container) -> Option<bool> {
    let (salt, recorded) = fingerprint(container, name)?;
    let content = secrets.0.get(name)?;
    let known = container.secrets.get(name.as_str());
    // Before a rotation began, a value may have been written with the end of its line.
    let forms = values::lines(content)
        .into_iter()
        .flat_map(|value| ["", "\n", "\r\n"].map(|end| format!("{value}{end}")));
    let mut prints = forms.map(|form| print(form.as_bytes(), salt));
    let has = |print: &String| print == recorded || known.is_some_and(|it| it.contains(print));
    Some(has(&print(content, salt)) || prints.any(|it| has(&it)))
}

/// Salt and fingerprint of the secret that a container was made with; none of a container that is
/// told of new values.
pub(super) fn fingerprint<'a>(
    container: &'a Container,
    name: &SecretName,
) -> Option<(&'a str, &'a str)> {
    let recorded = container.config.as_ref()?;
    let print = recorded.get(diff::SECRETS)?.get(name.as_str())?.as_str()?;
    Some((spec::salt_of(recorded)?, print))
}

fn known_to(
    project: &Project,
    state: &State,
    name: &SecretName,
    secret: &Secret,
) -> Option<String> {
    let mut services = consumers(project, name).map(|(_, service)| service);
    let mut containers = consumers(project, name)
        .flat_map(|(service, _)| state.of_service(service))
        .peekable();
    if containers.peek().is_none() {
        // What directories hold before the first `up`, somebody else put there.
        return services.find_map(|it| volume_of(project, state, it));
    }
    // If none has it mounted, the secret is new in the file.
    let reader = containers.find(|it| it.config.is_none() || path_in(it, name).is_some())?;
    let told = || Some(format!("container {}", reader.name)).filter(|_| secret.rotate.is_some());
    services
        .find_map(|it| data_of(project, state, it))
        .or_else(told)
}

/// The path from which a container was given the secret's file.
pub(crate) fn path_in<'a>(container: &'a Container, name: &SecretName) -> Option<&'a str> {
    let files = container.config.as_ref()?.get("secret_files")?;
    files.get(name.as_str())?.as_str()
}

/// Where there is data that a service wrote: the first of its named volumes that exists, or of its
/// directories on this host that isn't empty. What it can't write, and what is in memory, is none.
pub(crate) fn data_of(project: &Project, state: &State, service: &Service) -> Option<String> {
    let directory = |mount: &Mount| match mount {
        Mount::Bind {
            source,
            read_only: false,
            ..
        } if holds_something(source) => Some(format!("directory {}", source.display())),
        _ => None,
    };
    volume_of(project, state, service).or_else(|| service.volumes.iter().find_map(directory))
}

fn volume_of(project: &Project, state: &State, service: &Service) -> Option<String> {
    service.volumes.iter().find_map(|mount| match mount {
        Mount::Volume {
            source: Some(key),
            read_only: false,
            ..
        } => {
            let volume = project.volumes.get(key)?;
            (!in_memory(volume) && exists(state, &volume.name))
                .then(|| format!("volume {}", volume.name))
        }
        _ => None,
    })
}

fn exists(state: &State, volume: &str) -> bool {
    let ours = state.volumes.iter().any(|it| it.name == volume);
    ours || state.foreign.volumes.contains_key(volume)
}

fn in_memory(volume: &Volume) -> bool {
    let kind = volume.driver_opts.get("type");
    kind.is_some_and(|kind| kind == "tmpfs" || kind == "ramfs")
}

/// Where it can't be seen, it may.
fn holds_something(path: &Path) -> bool {
    match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(err) => err.kind() != ErrorKind::NotFound,
    }
}
