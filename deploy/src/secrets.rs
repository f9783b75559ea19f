//! Secrets: files on this host, made on first use, mounted read-only, never shown.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;

use rand::distr::{Alphanumeric, SampleString};
use sha2::{Digest, Sha256};

use crate::compose::Project;
use crate::compose::model::{Generate, Secret, SecretName, Service};
use crate::error::{Error, Result};

/// Letters and digits of a generated password: 40 of 62 kinds are 238 bits.
const PASSWORD_LENGTH: usize = 40;

/// The contents of the project's secrets, held only to compare fingerprints.
#[derive(Default)]
pub struct Secrets(BTreeMap<SecretName, Vec<u8>>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Secrets {
    /// Reads those that exist. One that doesn't and can't be generated is an error.
    pub fn read(project: &Project) -> Result<Self> {
        let mut contents = BTreeMap::new();
        for (name, secret) in used(project) {
            match fs::read(&secret.file) {
                Ok(content) => _ = contents.insert(name.clone(), content),
                Err(err) if err.kind() == ErrorKind::NotFound && secret.generate.is_some() => {}
                Err(err) => return Err(unreadable(name, secret, &err)),
            }
        }
        Ok(Self(contents))
    }

    /// Whether the secret's file exists.
    pub fn exists(&self, name: &SecretName) -> bool {
        self.0.contains_key(name)
    }

    /// SHA-256 of salt and content: tells whether a secret changed since `salt` was
    /// drawn. The salt sits beside it in a container's label; whoever can read labels
    /// controls the engine and could read the mounted file itself.
    pub fn fingerprint(&self, name: &SecretName, salt: &str) -> Option<String> {
        let content = self.0.get(name)?;
        Some(hex::encode(
            Sha256::new()
                .chain_update(salt)
                .chain_update(content)
                .finalize(),
        ))
    }
}

/// A fresh salt for [`Secrets::fingerprint`].
pub fn salt() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), 16)
}

/// The secrets that some service mounts.
pub fn used(project: &Project) -> impl Iterator<Item = (&SecretName, &Secret)> {
    project
        .secrets
        .iter()
        .filter(|(name, _)| consumers(project, name).next().is_some())
}

fn consumers<'a>(
    project: &'a Project,
    name: &'a SecretName,
) -> impl Iterator<Item = &'a Service> + 'a {
    project
        .services
        .values()
        .filter(move |service| service.secrets.iter().any(|mount| mount.source == *name))
}

/// Makes the secret's file. Returns a note where its mode is wider than 0600.
///
/// The file appears whole or not at all, also when the machine loses power.
pub fn generate(project: &Project, name: &SecretName, secret: &Secret) -> Result<Option<String>> {
    let Some(Generate::Password) = secret.generate else {
        return Err(Error::failed(
            format!("secret {name}: {} does not exist", secret.file.display()),
            "write the file, or add `x-generate: password` to the secret",
        ));
    };
    let (owner, mode, note) = access(project, name, secret);
    let content = Alphanumeric.sample_string(&mut rand::rng(), PASSWORD_LENGTH);
    write_atomically(&secret.file, content.as_bytes(), mode, owner)
        .map_err(|err| unreadable(name, secret, &err))?;
    Ok(note)
}

/// Who has to read the file decides owner and mode: containers see it with the
/// host's numbers, since file-backed secrets are bind mounts.
fn access(
    project: &Project,
    name: &SecretName,
    secret: &Secret,
) -> (Option<(u32, u32)>, u32, Option<String>) {
    let users: Vec<Option<(u32, u32)>> = consumers(project, name).map(numeric_user).collect();
    let everyone_root = users.iter().all(|user| matches!(user, Some((0, _))));
    let same = users
        .first()
        .copied()
        .flatten()
        .filter(|user| users.iter().all(|it| *it == Some(*user)));
    let file = secret.file.display();
    match same {
        Some(user) if rustix::process::geteuid().is_root() => (Some(user), 0o600, None),
        _ if everyone_root => (None, 0o600, None),
        _ => (
            None,
            0o644,
            Some(format!(
                "{file} has mode 0644, protected by its directory alone: the services that \
                 read it don't run under one numeric `user:`, or deploy doesn't run as root \
                 and can't give it to them"
            )),
        ),
    }
}

/// `uid[:gid]` when written in numbers. A service without `user:` runs as whatever
/// its image says, which is unknown here.
fn numeric_user(service: &Service) -> Option<(u32, u32)> {
    let user = service.user.as_deref()?;
    let (uid, gid) = user.split_once(':').unwrap_or((user, user));
    Some((uid.parse().ok()?, gid.parse().ok()?))
}

fn write_atomically(
    file: &Path,
    content: &[u8],
    mode: u32,
    owner: Option<(u32, u32)>,
) -> std::io::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("/"));
    if !directory.exists() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
    }
    let mut temporary = file.to_path_buf().into_os_string();
    temporary.push(format!(".{}", salt()));
    let written = (|| {
        let mut handle = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        handle.write_all(content)?;
        handle.set_permissions(Permissions::from_mode(mode))?;
        if let Some((uid, gid)) = owner {
            chown(&temporary, Some(uid), Some(gid))?;
        }
        handle.sync_all()?;
        // Not rename: a file that appeared meanwhile is somebody's password already in use.
        fs::hard_link(&temporary, file)?;
        File::open(directory)?.sync_all()
    })();
    let removed = fs::remove_file(&temporary);
    written.and(removed)
}

fn unreadable(name: &SecretName, secret: &Secret, err: &std::io::Error) -> Error {
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
