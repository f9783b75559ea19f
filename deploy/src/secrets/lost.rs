//! Secrets whose file is gone while what was made with them is there. Another value would lock
//! everybody out, so none is generated.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::{Secrets, consumers, used};
use crate::compose::Project;
use crate::compose::model::{Mount, Secret, SecretName, Service, Volume};
use crate::state::{Container, State};

/// A generated secret that must not be generated anew.
#[derive(Debug)]
pub struct Lost<'a> {
    /// Its name in the file.
    pub name: &'a SecretName,
    /// Its entry there.
    pub secret: &'a Secret,
    /// What knows its value: `volume blog_data`, a directory, or a container.
    pub known_to: String,
}

/// The generated secrets without a file that data knows already: data of a service that reads the
/// secret, or of the one that is told of new values (`x-rotate`), whose container counts too.
pub fn lost<'a>(
    project: &'a Project,
    state: &'a State,
    secrets: &'a Secrets,
) -> impl Iterator<Item = Lost<'a>> {
    let gone = used(project)
        .filter(move |(name, secret)| secret.generate.is_some() && !secrets.exists(name));
    gone.filter_map(move |(name, secret)| {
        Some(Lost {
            name,
            secret,
            known_to: known_to(project, state, name, secret)?,
        })
    })
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
pub fn path_in<'a>(container: &'a Container, name: &SecretName) -> Option<&'a str> {
    let files = container.config.as_ref()?.get("secret_files")?;
    files.get(name.as_str())?.as_str()
}

/// Where there is data that a service wrote: the first of its named volumes that exists, or of its
/// directories on this host that isn't empty. What it can't write, and what is in memory, is none.
pub fn data_of(project: &Project, state: &State, service: &Service) -> Option<String> {
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
