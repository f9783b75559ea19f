//! Secrets: files on this host, made on first use, mounted read-only, never shown.

pub(crate) mod file;
mod lost;
mod recover;
mod values;

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::time::SystemTime;

use compose_file::Project;
use compose_file::model::{Generate, Secret, SecretName, Service, ServiceName};
use engine::error::{Error, Result};
use engine::file as files;
use file::{Made, access, consumers, store, unreadable, unwritable};
pub(crate) use lost::{Exchanged, Lost, data_of, exchanged, lost, path_in, untold};
use rand::distr::{Alphanumeric, SampleString};
pub(crate) use recover::Recovery;
use sha2::{Digest, Sha256};
use values::Values;

use crate::certificates;

/// Letters and digits of a generated password: 40 of 62 kinds are 238 bits.
const PASSWORD_LENGTH: usize = 40;

/// The contents of the project's secrets, held to compare fingerprints and to tell services of
/// new values.
#[derive(Default)]
pub(crate) struct Secrets(BTreeMap<SecretName, Vec<u8>>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Secrets {
    /// Reads those that exist. One that doesn't and can't be generated is an error.
    pub(crate) fn read(project: &Project) -> Result<Self> {
        let secrets = Self::present(project)?;
        let gone = |(name, secret): &(&SecretName, &Secret)| {
            secret.generate.is_none() && !secrets.exists(name)
        };
        match used(project).find(gone) {
            Some((name, secret)) => Err(unreadable(name, secret, &ErrorKind::NotFound.into())),
            None => Ok(secrets),
        }
    }

    /// Reads those that exist.
    fn present(project: &Project) -> Result<Self> {
        let mut contents = BTreeMap::new();
        for (name, secret) in used(project) {
            match fs::read(&secret.file) {
                Ok(content) => _ = contents.insert(name.clone(), content),
                Err(err) if err.kind() == ErrorKind::NotFound => {}
                Err(err) => return Err(unreadable(name, secret, &err)),
            }
        }
        Ok(Self(contents))
    }

    /// Leaves those out that are to be made anew, as if they weren't there.
    pub(crate) fn without<'a>(mut self, due: impl Iterator<Item = &'a SecretName>) -> Self {
        due.for_each(|name| _ = self.0.remove(name));
        self
    }

    /// As if the secret's file had this content.
    #[cfg(test)]
    pub(crate) fn put(&mut self, name: &SecretName, content: &str) {
        self.0.insert(name.clone(), content.into());
    }

    /// Whether the secret's file exists.
    pub(crate) fn exists(&self, name: &SecretName) -> bool {
        self.0.contains_key(name)
    }

    /// What is in the secret's file.
    pub(crate) fn content(&self, name: &SecretName) -> Option<&[u8]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// The values that may be in force, the newest first: of a generated secret one for each line
    /// of its file, else the content as a whole. Empty where it isn't text.
    pub(crate) fn values(&self, name: &SecretName, secret: &Secret) -> Vec<&str> {
        let Some(content) = self.0.get(name) else {
            return Vec::new();
        };
        if secret.is_generated_value() {
            return values::lines(content);
        }
        let whole = std::str::from_utf8(content).ok();
        whole
            .map(|text| text.trim_end_matches(['\r', '\n']))
            .into_iter()
            .collect()
    }

    /// Those values by the names of the secrets that a service reads.
    pub(crate) fn read_by<'a>(
        &'a self,
        project: &'a Project,
        service: &str,
    ) -> BTreeMap<&'a str, Vec<&'a str>> {
        let service = project.services.get(service);
        let mounts = service.into_iter().flat_map(|service| &service.secrets);
        mounts
            .filter_map(|mount| {
                let (name, secret) = project.secrets.get_key_value(&mount.source)?;
                let values = self.values(name, secret);
                (!values.is_empty()).then_some((name.as_str(), values))
            })
            .collect()
    }

    /// The secrets in the middle of a rotation, in the file's order: old and new value are both
    /// in their files. That is also the record that the rotation has to be brought to its end.
    pub(crate) fn rotating<'a>(
        &'a self,
        project: &'a Project,
    ) -> impl Iterator<Item = (&'a SecretName, &'a Secret)> {
        let generated = used(project).filter(|(_, secret)| secret.is_generated_value());
        generated.filter(move |(name, _)| matches!(self.state(name), Values::Rotating(..)))
    }

    /// Which secrets are being rotated and what ends it, for those who look at the stack.
    pub(crate) fn rotation_under_way(&self, project: &Project) -> Option<String> {
        let names: Vec<&str> = self
            .rotating(project)
            .map(|(name, _)| name.as_str())
            .collect();
        (!names.is_empty()).then(|| {
            format!(
                "a rotation is under way of {}, with the new and the old value both in the file; \
                 `deploy up` brings it to its end",
                names.join(", ")
            )
        })
    }

    fn state(&self, name: &SecretName) -> Values<'_> {
        self.0
            .get(name)
            .map_or(Values::Other, |content| Values::of(content))
    }

    /// Puts new values before those that are in force: of all these secrets, or of none when the
    /// file of one isn't fit for it.
    pub(crate) fn begin_rotation(&self, secrets: &[(&SecretName, &Secret)]) -> Result<()> {
        let mut contents = Vec::with_capacity(secrets.len());
        for (name, secret) in secrets {
            let Values::Settled(old) = self.state(name) else {
                return Err(Error::failed(
                    format!(
                        "secret {name}: {} doesn't hold one value but none or several, which \
                         deploy didn't write",
                        secret.file.display()
                    ),
                    "leave in it the value that is in force, or name the secrets to rotate",
                ));
            };
            contents.push(values::rotating(&password(), old));
        }
        for ((name, secret), content) in secrets.iter().zip(contents) {
            files::replace(&secret.file, content.as_bytes())
                .map_err(|err| unwritable(name, secret, &err))?;
        }
        Ok(())
    }

    /// Leaves the new value alone in the file of a secret that is being rotated.
    pub(crate) fn end_rotation(&self, name: &SecretName, secret: &Secret) -> Result<()> {
        let Values::Rotating(new, _) = self.state(name) else {
            return Ok(());
        };
        files::replace(&secret.file, new.as_bytes()).map_err(|err| unwritable(name, secret, &err))
    }

    /// SHA-256 of salt and content: tells whether a secret changed since `salt` was
    /// drawn. The salt sits beside it in a container's label; whoever can read labels
    /// controls the engine and could read the mounted file itself.
    pub(crate) fn fingerprint(&self, name: &SecretName, salt: &str) -> Option<String> {
        self.0.get(name).map(|content| print(content, salt))
    }

    /// The same of each value in the files of the generated secrets that a service reads; without
    /// those that it is told of, which its containers have in their data.
    pub(crate) fn fingerprints<'a>(
        &self,
        project: &'a Project,
        name: &ServiceName,
        service: &'a Service,
        salt: &str,
    ) -> BTreeMap<&'a str, Vec<String>> {
        let mounted = service.secrets.iter().filter_map(|mount| {
            let secret = project.secrets.get(&mount.source)?;
            let values = values::lines(self.0.get(&mount.source)?);
            let prints = values.iter().map(|value| print(value.as_bytes(), salt));
            let counts = secret.is_generated_value() && !secret.is_told_to(name);
            counts.then(|| (mount.source.as_str(), prints.collect()))
        });
        mounted.collect()
    }
}

/// What to tell of secrets that are yet to be generated, where others could read or replace them.
pub(crate) fn unfit_places(
    project: &Project,
    names: &[SecretName],
) -> impl Iterator<Item = String> {
    let made = names
        .iter()
        .filter_map(|name| project.secrets.get_key_value(name));
    made.filter_map(|(name, secret)| {
        let (access, _) = access(project, name, secret);
        let unfit = unwritable(name, secret, &files::unfit(&secret.file, access)?);
        Some(format!("{}: {}", unfit.message, unfit.next))
    })
}

/// What to tell of generated secrets that everybody on this machine may read: a directory that was
/// there before, or was opened since.
pub(crate) fn exposed(project: &Project) -> Vec<String> {
    let generated = used(project).filter(|(_, secret)| secret.generate.is_some());
    let exposed = generated.filter_map(|(name, secret)| {
        let files::WriteError::Exposed { directory, .. } = files::exposure(&secret.file)? else {
            return None;
        };
        let (file, directory) = (secret.file.display(), directory.display());
        Some(format!(
            "secret {name}: nothing keeps other users of this machine from {file}: \
             `chmod 700 {directory}`, then `deploy up --rotate-secrets {name}`"
        ))
    });
    exposed.collect()
}

fn print(content: &[u8], salt: &str) -> String {
    let hash = Sha256::new().chain_update(salt).chain_update(content);
    hex::encode(hash.finalize())
}

/// A fresh salt for [`Secrets::fingerprint`].
pub(crate) fn salt() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), 16)
}

/// The secrets that some service mounts.
pub(crate) fn used(project: &Project) -> impl Iterator<Item = (&SecretName, &Secret)> {
    project
        .secrets
        .iter()
        .filter(|(name, _)| consumers(project, name).next().is_some())
}

/// Makes the secret's file.
///
/// The file appears whole or not at all, also when the machine loses power.
pub(crate) fn generate(project: &Project, name: &SecretName, secret: &Secret) -> Result<Made> {
    match secret.generate {
        Some(Generate::Password | Generate::Token | Generate::Key) => Ok(Made {
            how: "generated",
            note: store(project, name, secret, password().as_bytes())?,
        }),
        Some(Generate::Certificate) => certificates::make(project, name, SystemTime::now()),
        None => Err(Error::failed(
            format!("secret {name}: {} does not exist", secret.file.display()),
            "write the file, or add `x-generate: password` to the secret",
        )),
    }
}

fn password() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), PASSWORD_LENGTH)
}
