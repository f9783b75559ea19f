//! What is in the project's secrets and configs, and which objects of the Swarm have it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use compose_file::Project;
use compose_file::model::{Config, ConfigName, Secret, SecretName};
use engine::error::{Error, Result};
use engine::swarm::object::{Kind, New, Object};
use engine::swarm::spec::References;
use engine::swarm::stack::{Service, Stack};

use crate::secrets::Secrets;

/// The contents of all secrets and configs that services see. Of a secret that is yet to be generated
/// there is none.
pub(super) struct Contents<'a> {
    /// With the values in it, of a generated one.
    secrets: BTreeMap<&'a SecretName, (&'a [u8], Vec<&'a str>)>,
    configs: BTreeMap<ConfigName, Vec<u8>>,
}

impl<'a> Contents<'a> {
    /// Reads the configs' files.
    ///
    /// # Errors
    /// When one can't be read.
    pub(super) fn read(project: &'a Project, secrets: &'a Secrets) -> Result<Self> {
        let contents = |(name, secret): (&'a SecretName, &'a Secret)| {
            let generated = secret.is_generated_value();
            let values = generated.then(|| secrets.values(name, secret));
            Some((name, (secrets.content(name)?, values.unwrap_or_default())))
        };
        let mut configs = BTreeMap::new();
        let seen = project.services.values().flat_map(|it| &it.configs);
        for name in seen.map(|mount| &mount.source) {
            let content = match project.configs.get(name) {
                None => continue,
                Some(Config::Content(content)) => content.clone().into_bytes(),
                Some(Config::File(file)) => fs::read(file).map_err(|err| {
                    Error::usage(
                        format!("config {name}: {}: {err}", file.display()),
                        "see to the file, then run again",
                    )
                })?,
            };
            configs.insert(name.clone(), content);
        }
        Ok(Self {
            secrets: project.secrets.iter().filter_map(contents).collect(),
            configs,
        })
    }

    /// Finds the objects that have these contents. Returns those that have yet to be made.
    pub(super) fn find(
        &self,
        project: &Project,
        stack: &Stack,
        references: &mut References,
    ) -> Vec<New<'_>> {
        let find = |kind: Kind, key: &str, content: &[u8]| -> Option<(String, String)> {
            let mut objects = stack.objects.iter();
            let object =
                objects.find(|it| it.kind == kind && it.key() == key && it.holds(content))?;
            Some((object.id.clone(), object.name.clone()))
        };
        let mut new = Vec::new();
        for (&name, (content, values)) in &self.secrets {
            let found = find(Kind::Secret, name, content).unwrap_or_else(|| {
                let made = New::of(Kind::Secret, &project.name, name, content).with_values(values);
                let name = made.name().to_owned();
                new.push(made);
                (String::new(), name)
            });
            references.secrets.insert(name.clone(), found);
        }
        for (name, content) in &self.configs {
            let found = find(Kind::Config, name, content).unwrap_or_else(|| {
                let made = New::of(Kind::Config, &project.name, name, content);
                let name = made.name().to_owned();
                new.push(made);
                (String::new(), name)
            });
            references.configs.insert(name.clone(), found);
        }
        new
    }
}

/// The objects that neither the file's keys lead to, nor services that stay as they are.
pub(super) fn unused<'a>(
    stack: &'a Stack,
    references: &'a References,
    staying: impl Iterator<Item = &'a Service>,
) -> Vec<&'a Object> {
    let secrets = references.secrets.values();
    let configs = references.configs.values();
    let led_to = secrets.chain(configs).map(|(id, _)| id.as_str());
    let used: BTreeSet<&str> = led_to.chain(staying.flat_map(Service::objects)).collect();
    let objects = stack.objects.iter();
    objects
        .filter(|it| it.is_content() && !used.contains(it.id.as_str()))
        .collect()
}
