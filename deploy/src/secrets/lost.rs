//! Secrets whose file is gone while what was made with them is there. Another value would lock
//! everybody out, so none is generated.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::{Secrets, consumers, used};
use crate::compose::Project;
use crate::compose::model::{Mount, Secret, SecretName, Service, Volume};
use crate::state::State;

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
        let data = consumers(project, name).find_map(|(_, it)| data_of(project, state, it));
        let told = || {
            let rotate = secret.rotate.as_ref()?;
            let container = state.of_service(&rotate.service).next()?;
            Some(format!("container {}", container.name))
        };
        Some(Lost {
            name,
            secret,
            known_to: data.or_else(told)?,
        })
    })
}

/// Where there is data that a service wrote: the first of its named volumes that exists, or of its
/// directories on this host that isn't empty. What it can't write, and what is in memory, is none.
pub fn data_of(project: &Project, state: &State, service: &Service) -> Option<String> {
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
        Mount::Bind {
            source,
            read_only: false,
            ..
        } => holds_something(source).then(|| format!("directory {}", source.display())),
        Mount::Volume { .. } | Mount::Bind { .. } | Mount::Tmpfs { .. } => None,
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
