//! A secret's file: who reads it, and how it comes to be there for them.

use std::io::ErrorKind;

use compose_file::Project;
use compose_file::model::{Secret, SecretName, Service, ServiceName};
use engine::error::{Error, Result};
use engine::file::{self, Access, WriteError};

/// The services that mount a secret.
pub(crate) fn consumers<'a>(
    project: &'a Project,
    secret: &'a SecretName,
) -> impl Iterator<Item = (&'a ServiceName, &'a Service)> + 'a {
    project
        .services
        .iter()
        .filter(move |(_, service)| service.secrets.iter().any(|mount| mount.source == *secret))
}

/// A secret that was made.
#[derive(Debug)]
pub(crate) struct Made {
    /// What became of it: `generated`, or `renewed`.
    pub(crate) how: &'static str,
    /// Where its mode is wider than 0600.
    pub(crate) note: Option<String>,
}

/// Makes the secret's file with this content, for those who read it. Returns a note where its
/// mode is wider than 0600. A file that is there is never replaced.
pub(crate) fn store(
    project: &Project,
    name: &SecretName,
    secret: &Secret,
    content: &[u8],
) -> Result<Option<String>> {
    let (access, note) = access(project, name, secret);
    file::create(&secret.file, content, access).map_err(|err| unwritable(name, secret, &err))?;
    Ok(note)
}

/// Who has to read the file decides owner and mode: containers see it with the
/// host's numbers, since file-backed secrets are bind mounts.
pub(super) fn access(
    project: &Project,
    name: &SecretName,
    secret: &Secret,
) -> (Access, Option<String>) {
    let users: Vec<Option<(u32, u32)>> = consumers(project, name)
        .map(|(_, service)| numeric_user(service))
        .collect();
    let everyone_root = users.iter().all(|user| matches!(user, Some((0, _))));
    let same = users
        .first()
        .copied()
        .flatten()
        .filter(|user| users.iter().all(|it| *it == Some(*user)));
    let access = |mode, owner| Access { mode, owner };
    match same {
        Some(user) if rustix::process::geteuid().is_root() => (access(0o600, Some(user)), None),
        _ if everyone_root => (access(0o600, None), None),
        _ => {
            let note = format!(
                "{} has mode 0644 and is protected by its directory, which nobody but its owner \
                 and root may enter: the services that read it don't run under one numeric \
                 `user:`, or deploy doesn't run as root and can't give it to them",
                secret.file.display()
            );
            (access(0o644, None), Some(note))
        }
    }
}

/// `uid[:gid]` when written in numbers. A service without `user:` runs as whatever
/// its image says, which is unknown here.
pub(crate) fn numeric_user(service: &Service) -> Option<(u32, u32)> {
    let user = service.user.as_deref()?;
    let (uid, gid) = user.split_once(':').unwrap_or((user, user));
    Some((uid.parse().ok()?, gid.parse().ok()?))
}

pub(crate) fn unwritable(name: &SecretName, secret: &Secret, err: &WriteError) -> Error {
    match err {
        WriteError::Io(err) => unreadable(name, secret, err),
        WriteError::Exposed { directory, .. } => Error::failed(
            format!("secret {name}: {err}"),
            format!("`chmod 700 {}`, and run again", directory.display()),
        ),
    }
}

pub(super) fn unreadable(name: &SecretName, secret: &Secret, err: &std::io::Error) -> Error {
    let next = match err.kind() {
        ErrorKind::NotFound => "write the file, or add `x-generate: password` to the secret",
        ErrorKind::PermissionDenied => "run as the user who owns the file (`sudo deploy up`?)",
        _ => "see to the file, then run again",
    };
    Error::failed(
        format!("secret {name}: {}: {err}", secret.file.display()),
        next,
    )
}
